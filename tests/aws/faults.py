"""One call to AWS that fails, in each way in which calls fail: a hook of botocore's, before the request is sent."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import dagster as dg
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from resources.aws import queries, session

KILLED = "killed after"
ANSWERS = {
    "throttled": ("ThrottlingException", 400),
    "500": ("InternalFailure", 500),
    "access denied": ("AccessDeniedException", 400),
    "limit exceeded": ("ResourceLimitExceeded", 400),
}
BEFORE, AFTER = "before the first asset", "outside of an asset"
WAYS = ("throttled", "500", "reset before", "reset after", "access denied", "limit exceeded", KILLED)


class Killed(BaseException):
    """The worker is gone: nothing of it runs after this."""


def raise_killed() -> None:
    """Stand in for the end of the process."""
    raise Killed


@dataclass
class Faults:
    """Makes one call of one operation fail in one way.

    operation   as `name` gives it; "" for none
    way         one of WAYS; "" once the call has failed
    number      which call of the operation
    kill        ends the worker
    name        gives an operation's name from its own, `sagemaker.CreateProcessingJob`, and the request's headers
    seen        the names of the operations that were called, in order
    """

    operation: str = ""
    way: str = ""
    number: int = 1
    kill: Callable[[], object] = raise_killed
    name: Callable[[str, Mapping[str, str]], str] = lambda operation, _headers: operation
    seen: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        service, operation = event_name.split(".")[1:]
        with self._lock:  # transfers run in threads
            name = self.name(f"{service}.{operation}", request.headers)
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


@dataclass
class Death(Faults):
    """The worker is killed after a call: none of those that it would make on its way out reaches AWS."""

    is_gone: bool = False

    def __call__(self, request: Any, event_name: str, **more: Any) -> AWSResponse | None:
        if self.is_gone:
            raise Killed
        try:
            return super().__call__(request, event_name, **more)
        except Killed:
            self.is_gone = True
            raise


@contextmanager
def failing(faults: Faults) -> Iterator[None]:
    """Let calls of all clients that are opened meanwhile fail in this process, or the worker die."""
    open_session = session.open_session

    def open_faulty(region: str) -> Any:
        made = open_session(region)
        made.events.register_first("before-send", faults)
        return made

    with patch.object(session, "open_session", open_faulty), patch.object(queries, "open_session", open_faulty):
        session.forget_clients()
        try:
            yield
        finally:
            session.forget_clients()


class Phases:
    """Names operations by what the run was at: `raw_customers: s3.GetObject`, `tuned_model, after job 1: s3.PutObject on a condition`.

    The phases of an asset are the time before it asks for a job, that job, and the time since its result is copied; so for each of its jobs.
    """

    def __init__(self) -> None:
        self._asset, self._jobs, self._part = "", 0, ""

    def __call__(self, operation: str, headers: Mapping[str, str]) -> str:
        asset = self._find_asset()
        if asset != self._asset:
            self._asset, self._jobs, self._part = asset, 0, ""
        verb, _, resource = operation.partition("sagemaker.")[2].partition("Create")
        if not verb and resource.endswith("Job"):
            self._jobs += 1
            self._part = f", job {self._jobs}"
        elif operation == "s3.CopyObject" and self._jobs:
            self._part = f", after job {self._jobs}"
        moves = operation == "s3.PutObject" and any(name in headers for name in ("If-Match", "If-None-Match"))
        return f"{asset}{self._part}: {operation}{' on a condition' if moves else ''}"

    def _find_asset(self) -> str:
        """Return the asset that is being materialized. A call of another thread belongs to the one that the run was at last."""
        if threading.current_thread() is not threading.main_thread():
            return self._asset or BEFORE
        try:
            return str(dg.AssetExecutionContext.get().asset_key.path[-1])
        except dg.DagsterInvariantViolationError:
            return BEFORE if self._asset in ("", BEFORE) else AFTER


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
