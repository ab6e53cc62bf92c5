"""The connections of a worker: so many, and each request that comes on one more is refused and the connection closed."""

from typing import ClassVar

from starlette.types import Receive, Scope, Send

from churn_assets.model_server.reading import to_http
from churn_assets.server.bounded_http import BoundedHttp
from churn_model.serving.protocol import refuse
from churn_model.serving.requests import BadRequest


class LimitedHttp(BoundedHttp):
    """Answer 503 to requests on more than `most_connections` connections, however short they are."""

    most_connections: ClassVar[int] = 512

    def on_headers_complete(self) -> None:
        """Choose who answers."""
        if len(self.connections) > self.most_connections:
            self.app = _refuse_connection
        super().on_headers_complete()


async def _refuse_connection(scope: Scope, receive: Receive, send: Send) -> None:
    busy = BadRequest(503, expected="a free connection", found="too many open ones", todo="try again in a second")
    response = to_http(refuse(busy))
    response.headers["connection"] = "close"
    await response(scope, receive, send)
