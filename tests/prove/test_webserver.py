"""The real `churn ui` refuses what a page of somebody else would make a browser ask, and serves the published pages."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from tests.harness.machine import waited
from tests.harness.ui import Ui

if TYPE_CHECKING:
    from tests.harness.home import Home

pytestmark = pytest.mark.prove

JSON = {"Content-Type": "application/json"}
LAUNCH = """mutation { launchRun(executionParams: {mode: "default", runConfigData: {}, selector: {
    repositoryLocationName: "churn_assets", repositoryName: "__repository__", jobName: "shop_retrain"}}) { __typename } }"""


def test_only_own_pages_and_programs_change_anything(landed_home: "Home", copied: Callable[["Home"], "Home"]) -> None:
    home = copied(landed_home)
    page = home.path / "out" / "shop" / "report.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("<p>report")
    ui = Ui(home)
    runs, body = len(home.runs()), json.dumps({"query": LAUNCH})
    foreign = [
        ("GET", f"/graphql?query={quote(LAUNCH)}", None, {}),
        ("GET", f"//graphql/?query={quote(LAUNCH)}", None, {}),
        ("POST", f"/graphql?query={quote(LAUNCH)}", "", {"Content-Type": "text/plain"}),
        ("POST", f"/graphql?query={quote(LAUNCH)}", None, {}),
        ("GET", f"/graphql?query={quote(LAUNCH)}", None, {"Host": "evil.example", "Origin": "http://evil.example"}),
        ("POST", "/graphql", body, {**JSON, "Origin": "http://evil.example"}),
        ("POST", "/graphql", body, {**JSON, "Host": f"evil.example:{ui.port}"}),
        ("POST", "/graphql", body, {**JSON, "Origin": "null"}),
        ("POST", "/report_asset_materialization/shop/raw_customers", "{}", {**JSON, "Origin": "http://evil.example"}),
    ]
    for method, path, content, headers in foreign:
        status, text = ui.request(method, path, content, headers)
        assert status in (403, 405) or "<!DOCTYPE html>" in text, (method, path, headers, text)
    # The query editor is a page: it executes nothing by itself.
    assert "graphiql" in ui.request("GET", f"/graphql?query={quote(LAUNCH)}", None, {"Accept": "text/html"})[1].lower()
    for origin in ("http://evil.example", "null"):
        with pytest.raises(InvalidStatus, match="403"), connect(websocket_url(ui), origin=Origin(origin), proxy=None):
            pass
    assert len(home.runs()) == runs

    assert ui.request("GET", "/out/shop/report.html") == (200, "<p>report")
    assert ui.request("GET", "/out/../dagster/dagster.yaml")[0] == 404
    own = f"http://127.0.0.1:{ui.port}"
    with connect(
        websocket_url(ui), origin=Origin(own), subprotocols=[Subprotocol("graphql-ws")], proxy=None
    ) as websocket:
        websocket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(websocket.recv())["type"] == "connection_ack"
    waited("the code to be loaded", lambda: ui.asked("{ repositoriesOrError { __typename } }") or None)
    assert ui.request("POST", "/graphql", body, {**JSON, "Origin": own}) == (
        200,
        '{"data":{"launchRun":{"__typename":"LaunchRunSuccess"}}}',
    )
    assert len(home.runs()) == runs + 1


def websocket_url(ui: Ui) -> str:
    return f"ws://127.0.0.1:{ui.port}/graphql"
