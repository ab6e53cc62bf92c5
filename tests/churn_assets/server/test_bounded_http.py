"""The head of a request, from clients that never come to its end."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from churn_assets.server.bounded_http import BoundedHttp

if TYPE_CHECKING:
    from tests.churn_assets.server.conftest import Server

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
WHOLE = HEAD + b"Content-Length: 3000\r\n\r\n" + b"x" * 3000


class Impatient(BoundedHttp):
    most_bytes = 2_000
    most_seconds = 0.3


async def count(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
def server(serve: "Callable[..., Server]") -> "Server":
    return serve(Starlette(routes=[Route("/", count, methods=["POST"])]), Impatient)


def exchange(server: "Server", *pieces: bytes) -> bytes:
    """Send the pieces, and return all that comes until the server closes the connection."""
    found = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
            while data := client.recv(65_536):
                found += data
        except ConnectionError:
            pass  # the server closed it while this client was still sending
    return found


@pytest.mark.parametrize(
    "head",
    [b"", b"P", HEAD, HEAD + b"X: " + b"x" * 100_000, HEAD + b"X: y\r\n" * 1_000, b"GET /" + b"a" * 5_000],
    ids=["nothing", "one letter", "half", "an endless header", "headers without end", "an endless address"],
)
def test_a_head_without_end_is_cut_and_the_next_client_answered(server: "Server", head: bytes) -> None:
    assert b"HTTP/1.1 200" not in exchange(server, head)
    assert exchange(server, WHOLE.replace(b"Host", b"Connection: close\r\nHost")).endswith(b"3000")


def test_a_second_head_on_one_connection_is_bounded_too(server: "Server") -> None:
    found = exchange(server, WHOLE + HEAD)
    assert found.startswith(b"HTTP/1.1 200")
    assert b"Expected the head of a request, small and at once." in found


def test_bodies_and_requests_in_a_row_are_not_bounded_by_it(server: "Server") -> None:
    found = exchange(server, WHOLE + WHOLE, WHOLE.replace(b"Host", b"Connection: close\r\nHost"))
    assert found.count(b"HTTP/1.1 200") == 3
