"""`python -m churn_assets.server.webserver`: Dagster's UI behind the guard, with the published pages beside it.

`dagster-webserver` takes no middleware, so its application is made here and served as its own command does it.
"""

import argparse

import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import (
    DEFAULT_DB_STATEMENT_TIMEOUT,
    DEFAULT_POOL_MAX_OVERFLOW,
    DEFAULT_POOL_RECYCLE,
)
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from churn_assets.server.bounded_http import BoundedHttp
from churn_assets.server.guard import RequestGuard
from churn_assets.server.published_pages import PublishedPages
from resources.ports.outputs import SERVED_BELOW
from resources.settings import read_settings

HOST = "127.0.0.1"
_POLL_MILLISECONDS = 2000
_OPEN_CONNECTIONS_END_WITHIN_SECONDS = 3  # the UI's websockets stay open


class UiWithPages:
    """Dagster's application and the published pages; queries to the UI come by POST."""

    def __init__(self, ui: ASGIApp, pages: ASGIApp) -> None:
        self.ui = ui
        self.pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the application that it is for."""
        path = str(scope.get("path", ""))
        if scope["type"] == "http" and path.startswith(SERVED_BELOW):
            await self.pages(scope, receive, send)
        elif scope["type"] == "http" and path.rstrip("/") == "/graphql" and not _asks_by_post_or_for_a_page(scope):
            # Dagster executes a mutation from the query string; any page may make a browser send it.
            refusal = PlainTextResponse("Expected a GraphQL query by POST.", 405, {"Allow": "POST"})
            await refusal(scope, receive, send)
        else:
            await self.ui(scope, receive, send)


def _asks_by_post_or_for_a_page(scope: Scope) -> bool:
    """Return whether a request brings its query in its body, or asks for the query editor, which executes nothing by itself."""
    headers = Headers(scope=scope)
    if scope["method"] == "POST":
        # With any other content Dagster takes the query from the address, as it does by GET.
        kind = headers.get("content-type", "")
        return "application/json" in kind or "application/graphql" in kind
    return scope["method"] in ("GET", "HEAD") and "text/html" in headers.get("accept", "")


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workspace", required=True)
    arguments = parser.parse_args()
    settings = read_settings()
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW)
        target = WorkspaceFileTarget([arguments.workspace])
        with WorkspaceProcessContext(instance, target, version=dg.__version__) as context:
            ui = create_app_from_workspace_process_context(context, live_data_poll_rate=_POLL_MILLISECONDS)
            app = RequestGuard(UiWithPages(ui, PublishedPages(settings.out)), settings.allowed_hosts)
            uvicorn.run(
                app,
                http=BoundedHttp,
                host=HOST,
                port=arguments.port,
                log_level="warning",
                timeout_graceful_shutdown=_OPEN_CONNECTIONS_END_WITHIN_SECONDS,
            )


if __name__ == "__main__":
    main()
