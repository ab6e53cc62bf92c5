"""A real server around an application, and requests to it just as they are written."""

import asyncio
import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
import uvicorn
from starlette.types import ASGIApp

from churn_assets.server.bounded_http import BoundedHttp


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass(frozen=True)
class Server:
    """A server on this machine. `headers` are sent as they are: Host too, unless none is among them."""

    port: int

    def request(self, method: str, path: str, headers: Sequence[tuple[str, str]] = ()) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        own = [] if any(name == "Host" for name, _ in headers) else [("Host", "localhost:3000")]
        for name, value in (*own, *headers):
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        answer = Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read().decode()
        )
        connection.close()
        return answer


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Serve an application until the test ends."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: ASGIApp, http: type[asyncio.Protocol] = BoundedHttp) -> Server:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, http=http, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        running.append((server, thread))
        return Server(int(listener.getsockname()[1]))

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join()
