"""Whom the generator asks: a server by its address, or the endpoint on SageMaker. Imported by the generator's own process alone.

Each returns a function that takes a body and returns the kind of its error, None for an answer of status 200, and the answer's length.
"""

import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError

from churn_assets.load_test.orders import GIVES_UP_SECONDS, MOST_CONNECTIONS

Ask = Callable[[bytes], tuple[str | None, int]]
NO_ANSWER = f"no answer within {GIVES_UP_SECONDS:.0f} s"
_JSON = "application/json"
_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, NO_ANSWER),
    (ConnectionRefusedError, "connection refused"),
    (socket.gaierror, "unknown host"),
    (ssl.SSLError, "TLS failed"),
    (ConnectionError, "connection closed"),
    (HTTPParseError, "connection closed, or no HTTP"),
)


def open_client(target: Mapping[str, Any]) -> Ask:
    """Return a function that asks a target: `{"url": ..., "token": ...}` or `{"endpoint": <dataset>}`."""
    return _open_endpoint(target["endpoint"]) if "endpoint" in target else _open_server(target["url"], target["token"])


def _open_server(url: str, token: str) -> Ask:
    parts = urlsplit(url)
    secret = {"Authorization": f"Bearer {token}"} if token else {}
    # The connection that was used last is used again: there are as many as requests that wait at once, and no more.
    client = HTTPClient(
        parts.hostname or "",
        parts.port or (443 if parts.scheme == "https" else 80),
        headers={"Content-Type": _JSON, **secret},
        ssl=parts.scheme == "https",
        concurrency=MOST_CONNECTIONS,
        connection_timeout=GIVES_UP_SECONDS,
        network_timeout=GIVES_UP_SECONDS,
    )

    def ask(body: bytes) -> tuple[str | None, int]:
        try:
            response = client.post(parts.path, body)
            length = len(response.read())
        except (OSError, HTTPParseError) as error:
            return next((kind for known, kind in _KINDS if isinstance(error, known)), "network error"), 0
        return (None if response.status_code == 200 else f"status {response.status_code}"), length

    return ask


def _open_endpoint(dataset: str) -> Ask:
    from resources.settings import read_settings
    from resources.wiring import open_asking

    return open_asking(read_settings(), dataset, connections=MOST_CONNECTIONS, seconds=GIVES_UP_SECONDS)
