"""`churn ui` of a working folder, in processes of its own, and what its interface answers."""

import http.client
import json
from collections.abc import Mapping
from typing import Any

from tests.harness.home import Home
from tests.harness.machine import free_port, waited

_ANSWER_SECONDS = 120  # a busy machine loads the code meanwhile


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
        """Return what the UI's own interface answers to a query in GraphQL."""
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
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ANSWER_SECONDS)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()
