"""The protocol, spoken by its official SDK over standard input and output; what is asked and answered is `tools`'s."""

import logging
from typing import TYPE_CHECKING, Any

from churn_assets.assistant.desk import Desk
from churn_assets.assistant.tools import INSTRUCTIONS, TOOLS, call_tool
from churn_model.errors import problem
from churn_model.serving.answers import dump_json
from resources.errors import CommandError

if TYPE_CHECKING:
    from mcp.server import Server


def serve_stdio(desk: Desk) -> None:
    """Answer on standard input and output until the client closes them. Raise CommandError if the SDK is not installed."""
    _require_sdk()
    import anyio
    from mcp.server.stdio import stdio_server

    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # its messages hold what was asked
    server = make_server(desk)

    async def run() -> None:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    anyio.run(run)


def make_server(desk: Desk) -> "Server[Any]":
    """Return the server of a desk. One question is answered at a time, beside the loop that reads and writes."""
    import anyio
    import anyio.to_thread
    import mcp_types as types
    from mcp.server import Server

    one_at_a_time = anyio.CapacityLimiter(1)

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=tool.name,
                    description=tool.description,
                    input_schema=tool.schema,
                    annotations=types.ToolAnnotations(
                        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
                    ),
                )
                for tool in TOOLS
            ]
        )

    async def answer(_: Any, asked: types.CallToolRequestParams) -> types.CallToolResult:
        reply = await anyio.to_thread.run_sync(
            call_tool, desk, asked.name, asked.arguments or {}, limiter=one_at_a_time
        )
        if reply.body is None:
            return types.CallToolResult(content=[types.TextContent(type="text", text=reply.error)], is_error=True)
        text = dump_json(reply.body).decode()
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], structured_content=reply.body)

    server: Server[Any] = Server("churn", instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=answer)
    server.middleware.clear()  # it would hand what is asked to whoever traces this process
    return server


def _require_sdk() -> None:
    try:
        import mcp  # noqa: F401
    except ImportError as error:
        expected, todo = (
            "the SDK of the Model Context Protocol",
            "install the extra: `.venv/bin/pip install 'mcp>=2.3,<3'`",
        )
        raise CommandError(problem(expected=expected, found="none", todo=todo)) from error
