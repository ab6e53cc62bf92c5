"""What clients do to a connection: the server answers the next one as before."""

import json
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from churn_model.serving.requests import Limits
from tests.churn_assets.model_server.served import Shop, customer

BODY = json.dumps(customer()).encode()
HEAD = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY


def connect(client: httpx.Client) -> socket.socket:
    address = urlsplit(str(client.base_url))
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=20)


def answers_of(client: httpx.Client, sent: bytes, *, half_close: bool = False) -> bytes:
    """Return all that comes back until the server closes the connection, or is silent for a while."""
    with connect(client) as opened:
        opened.sendall(sent)
        if half_close:
            opened.shutdown(socket.SHUT_WR)
        opened.settimeout(30)
        found = b""
        try:
            while part := opened.recv(65_536):
                found += part
        except TimeoutError:
            pass
        return found


def require_unharmed(client: httpx.Client) -> None:
    assert client.post("/invocations", json=customer()).status_code == 200


@pytest.mark.parametrize(
    ("sent", "half_close", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9, False, b"400"),
        (b"GET\r\n\r\n", False, b"400"),
        (HEAD + b"Content-Length: -1\r\n\r\n", False, b"400"),
        (HEAD + b"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False, b"400"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", False, b"400"),
        (
            HEAD.replace(b"localhost", b"evil.example") + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}",
            False,
            b"403",
        ),
        (HEAD + b"Content-Length: 99999999\r\n\r\n", False, b"413"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"fff\r\n" + b"x" * 4095 + b"\r\n") * 4, False, b"413"),
        (HEAD + b"Content-Length: 100\r\n\r\n{", False, b"408"),
    ],
)
def test_what_is_no_request_or_too_much_is_refused_and_harms_nothing(
    shop: Shop, sent: bytes, half_close: bool, status: bytes
) -> None:
    with shop.client(limits=Limits(body=10_000), body_seconds=0.5) as client:
        assert answers_of(client, sent, half_close=half_close).split(b" ")[1] == status
        require_unharmed(client)


def test_a_client_that_has_said_all_and_closed_its_side_harms_nothing(shop: Shop) -> None:
    with shop.client(body_seconds=0.5) as client:
        for sent in (WHOLE, HEAD + b"Content-Length: 100\r\n\r\n{", b""):
            answers_of(client, sent, half_close=True)
            require_unharmed(client)


def test_requests_that_come_at_once_are_answered_in_their_order(shop: Shop) -> None:
    with shop.client() as client:
        bodies = [json.dumps(customer(customer=f"c{n}")).encode() for n in range(5)]
        sent = b"".join(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies)
        sent = sent[: sent.rindex(HEAD)] + HEAD + b"Connection: close\r\n" + sent[sent.rindex(HEAD) + len(HEAD) :]
        found = answers_of(client, sent)
        assert [found.index(f'"id":"c{n}"'.encode()) for n in range(5)] == sorted(
            found.index(f'"id":"c{n}"'.encode()) for n in range(5)
        )
        assert found.count(b"HTTP/1.1 200") == 5


def test_slow_clients_do_not_hold_up_others(shop: Shop) -> None:
    with shop.client(body_seconds=5) as client:
        slow = [connect(client) for _ in range(30)]
        for each in slow:
            each.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        started = time.monotonic()
        require_unharmed(client)
        assert time.monotonic() - started < 5  # they are still waiting
        for each in slow:
            each.close()
        require_unharmed(client)


def test_a_request_on_one_connection_too_many_is_refused_until_others_close(shop: Shop) -> None:
    with shop.client(connections=5) as client:
        held = [connect(client) for _ in range(5)]
        for each in held:  # they are open on the server's side too
            each.sendall(WHOLE)
            assert each.recv(100).startswith(b"HTTP/1.1 200")
        refused = answers_of(client, WHOLE)
        head, _, body = refused.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"connection: close" in head.lower()
        assert b"retry-after: 1" in head.lower()
        assert json.loads(body)["errors"][0]["expected"] == "a free connection"
        for each in held:
            each.close()
        for _ in range(500):
            if answers_of(client, WHOLE.replace(b"Host:", b"Connection: close\r\nHost:")).startswith(b"HTTP/1.1 200"):
                return
        pytest.fail("no connection was free again")
