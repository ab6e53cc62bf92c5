"""One call to AWS that fails, in each way in which calls fail: a hook of botocore's, before the request is sent."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

KILLED = "killed after"
ANSWERS = {
    "throttled": ("ThrottlingException", 400),
    "500": ("InternalFailure", 500),
    "access denied": ("AccessDeniedException", 400),
    "limit exceeded": ("ResourceLimitExceeded", 400),
}
WAYS = ("throttled", "500", "reset before", "reset after", "access denied", "limit exceeded", KILLED)


class Killed(BaseException):
    """The worker is gone: nothing of it runs after this."""


def raise_killed() -> None:
    """Stand in for the end of the process."""
    raise Killed


@dataclass
class Faults:
    """Makes one call of one operation fail in one way.

    operation   as `sagemaker.CreateProcessingJob`; "" for none
    way         one of WAYS; "" once the call has failed
    number      which call of the operation
    kill        ends the worker
    seen        the operations that were called, in order
    """

    operation: str = ""
    way: str = ""
    number: int = 1
    kill: Callable[[], object] = raise_killed
    seen: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        service, operation = event_name.split(".")[1:]
        name = f"{service}.{operation}"
        with self._lock:  # transfers run in threads
            self.seen.append(name)
            if name != self.operation or not self.way or self.seen.count(name) != self.number:
                return None
            way, self.way = self.way, ""
        if way.endswith("after"):
            URLLib3Session().send(request)
            if way == KILLED:
                self.kill()
        if way.startswith("reset"):
            raise ConnectionClosedError(endpoint_url=request.url)
        return answer(request.url, service, *ANSWERS[way])


def answer(url: str, service: str, code: str, status: int) -> AWSResponse:
    """Return an error as a service words it: XML from S3, JSON from the others."""
    if service == "s3":
        names = {"ThrottlingException": ("SlowDown", 503), "AccessDeniedException": ("AccessDenied", 403)}
        code, status = names.get(code, (code, status))
        body, kind = f"<Error><Code>{code}</Code><Message>made up</Message></Error>".encode(), "application/xml"
    else:
        body = json.dumps({"__type": code, "message": "made up"}).encode()
        kind = "application/x-amz-json-1.1"
    return AWSResponse(url, status, {"Content-Type": kind, "Content-Length": str(len(body))}, Body(body))


class Body:
    """The body of a response that never came over a wire."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.content

    def read(self, *_: Any) -> bytes:
        content, self.content = self.content, b""
        return content
