"""`churn mcp` in a process of its own, asked by the SDK's client over its standard input and output."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from churn_assets.assistant.desk import Desk
from churn_assets.assistant.server import serve_stdio
from churn_assets.assistant.tools import INSTRUCTIONS, TOOLS, call_tool
from resources.errors import CommandError
from resources.settings import PROJECT
from tests.churn_assets.assistant.scored_shop import HOSTILE_ID, ScoredShop, make_scored_shop

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("list_batches", {}),
    ("show_list", {"batch": "2024-02", "count": 3}),
    ("explain_customer", {"batch": "2024-02", "id": HOSTILE_ID}),
    ("ask_what_if", {"batch": "2024-02", "id": "C3", "changes": {"minutes": 900}}),
    ("report_earnings", {}),
    ("describe_trust", {}),
    ("explain_customer", {"batch": "2024-02", "id": "nobody"}),
    ("show_list", {"batch": 7}),
    ("drop_table", {}),
]


@pytest.fixture
def shop(tmp_path: Path) -> ScoredShop:
    return make_scored_shop(tmp_path)


def environment(shop: ScoredShop) -> dict[str, str]:
    root = shop.root.parent
    return {
        "CHURN_HOME": str(root / "home"),
        "CHURN_DATASETS": str(shop.root),
        "DAGSTER_HOME": "",
        "PYTHONPATH": str(PROJECT),
    }


def test_the_client_of_the_sdk_gets_every_answer_and_nothing_is_written(
    shop: ScoredShop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = tmp_path_factory.mktemp("log") / "said.txt"
    command = ["-m", "churn_assets.cli", "mcp", "shop"]
    found: list[Any] = []

    async def talk() -> None:
        with log.open("w") as said:
            server = StdioServerParameters(command=sys.executable, args=command, env=environment(shop), cwd=PROJECT)
            with anyio.fail_after(120):
                async with Client(stdio_client(server, errlog=said)) as client:
                    found.append(client.instructions)
                    found.append(await client.list_tools())
                    found.extend([await client.call_tool(name, arguments) for name, arguments in CALLS])

    before = shop.files()
    anyio.run(talk)
    assert shop.files() == before
    assert log.read_text() == ""
    instructions, offered, *results = found
    assert instructions == INSTRUCTIONS
    assert [(tool.name, tool.input_schema) for tool in offered.tools] == [(tool.name, tool.schema) for tool in TOOLS]
    assert all(tool.annotations.read_only_hint for tool in offered.tools)
    desk = Desk(shop.lake, shop.spec, threads=1)
    for (name, arguments), result in zip(CALLS, results, strict=True):
        expected = call_tool(desk, name, arguments)
        assert result.is_error == (expected.body is None)
        if expected.body is None:
            assert result.content[0].text == expected.error
        else:
            assert result.structured_content == expected.body == json.loads(result.content[0].text)
    assert sum(result.is_error for result in results) == 3


def test_without_the_sdk_the_command_says_how_to_install_it(shop: ScoredShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(CommandError, match=r"found none\. Install the extra: `\.venv/bin/pip install 'mcp>=2\.3,<3'`"):
        serve_stdio(Desk(shop.lake, shop.spec, threads=1))
