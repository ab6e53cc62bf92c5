"""`churn ui` of a working folder, in processes of its own, and what its interface answers."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from benchmarks.reliability.home import Home

T = TypeVar("T")
_PATIENCE_SECONDS = 400  # the sensor looks every 30 s, the schedule fires every minute; the rest is a busy machine


def waited(for_what: str, found: Callable[[], T | None], patience: float = _PATIENCE_SECONDS) -> T:
    """Return what `found` gives, as soon as it is something; `patience` in seconds. Raise AssertionError if it never is."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.2)
    raise AssertionError(f"waited for {for_what}")


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Ui:
    """`churn ui` of a working folder, on a port of its own."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.port = free_port()
        home.start("ui", "--port", str(self.port))
        waited("the UI to answer", self._answers)

    def _answers(self) -> bool | None:
        try:
            return bool(self.asked("{ version }")) or None
        except (OSError, http.client.HTTPException):
            return None

    def asked(self, query: str) -> dict[str, Any]:
        """What the UI's own interface answers."""
        body = json.dumps({"query": query})
        status, text = self.request("POST", "/graphql", body, {"Content-Type": "application/json"})
        if status != 200:
            raise OSError(f"{status}: {text[:500]}")
        data: dict[str, Any] = json.loads(text)["data"]
        return data

    def request(
        self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Send a request, and return the status and text of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()
