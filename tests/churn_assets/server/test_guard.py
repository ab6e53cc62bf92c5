"""The guard before our servers, asked as browsers and programs ask."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from churn_assets.server.guard import RequestGuard

if TYPE_CHECKING:
    from tests.churn_assets.server.conftest import Server

SERVER = "http://localhost:3000"


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("done")


async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("done")
    await websocket.close()


@pytest.fixture
def server(serve: "Callable[[ASGIApp], Server]") -> "Server":
    routes = [Route("/", answer, methods=["GET", "POST"]), WebSocketRoute("/ws", talk)]
    return serve(RequestGuard(Starlette(routes=routes), ["churn.example", "10.1.2.3"]))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "127.0.0.1:3000"},
        {"Host": "[::1]:3000"},
        {"Host": "LOCALHOST"},
        {"Host": "churn.example"},
        {"Host": "10.1.2.3:80"},
        {"Origin": SERVER, "Sec-Fetch-Site": "same-origin"},
        {"Host": "churn.example", "Origin": "https://churn.example"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_own_pages_and_programs_are_answered(server: "Server", headers: dict[str, str]) -> None:
    response = server.request("POST", "/", list(headers.items()))
    assert (response.status, response.text) == (200, "done")
    assert response.headers["x-frame-options"] == "SAMEORIGIN"


FOREIGN = [
    {"Host": "evil.example"},
    {"Host": "localhost.evil.example"},
    {"Host": "evil.example:3000", "Origin": "http://evil.example:3000"},
    {"Host": "127.0.0.1:3000:80"},
    {"Host": "localhost@evil.example"},
    {"Host": "evil.example#localhost"},
    {"Host": ""},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://localhost:8888"},
    {"Origin": "http://localhost:3000.evil.example"},
    {"Origin": "http://evil.example/localhost:3000"},
    {"Origin": "http://["},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_foreign_requests_are_refused_with_what_to_do(server: "Server", headers: dict[str, str]) -> None:
    response = server.request("POST", "/", list(headers.items()))
    assert response.status == 403
    assert response.text.startswith("Expected ")
    assert "; found " in response.text


def open_websocket(server: "Server", headers: Sequence[tuple[str, str]]) -> str:
    with connect(f"ws://localhost:{server.port}/ws", additional_headers=headers, proxy=None) as websocket:
        return str(websocket.recv())


def test_foreign_websockets_are_refused_before_they_open(server: "Server") -> None:
    assert open_websocket(server, [("Origin", f"http://localhost:{server.port}")]) == "done"
    for headers in (
        [("Origin", "http://evil.example")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Host", "evil.example")],
    ):
        with pytest.raises(InvalidStatus, match="403"):
            open_websocket(server, headers)


@pytest.mark.parametrize(("name", "own"), [("Host", "localhost:3000"), ("Origin", SERVER)])
def test_two_hosts_or_origins_are_refused(server: "Server", name: str, own: str) -> None:
    """A proxy and the application may each believe another one."""
    assert server.request("POST", "/", [(name, own), (name, "http://evil.example")]).status in (400, 403)


def test_a_link_from_another_site_may_be_followed(server: "Server") -> None:
    assert server.request("GET", "/", [("Sec-Fetch-Site", "cross-site")]).status == 200
