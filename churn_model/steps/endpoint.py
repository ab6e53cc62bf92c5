"""The model server of a SageMaker endpoint: `churn_model.serving` behind WSGI, which the managed image speaks.

    GET  /ping         200 once the model answers; 503 with why, so that an endpoint whose model does not load never replaces another
    POST /invocations  as `churn serve` answers it, but for CSV: see below

The image's server imports `app`. `transform_variables` says which variables tell it what to do; CHURN_MODEL is the folder that the model was
unpacked into, /opt/ml/model. SageMaker passes on neither a query nor our headers: what a query says is in the custom attributes of a request, such
as `reasons=all`, and the versions are in those of the answer.

**CSV.** Databases take one value a row, without a header: `text/csv` is answered with the probabilities alone, and one bad row fails the request, for
they have no place for what is wrong with it. `text/csv; header=present` is answered as by `churn serve`, with all columns.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from churn_model.errors import ChurnError
from churn_model.models.bundle import read_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.serving.answers import dump_json
from churn_model.serving.media import CSV, JSON, choose_media, parse_media
from churn_model.serving.plan import Plan
from churn_model.serving.protocol import Request, Response, TooLate, answer_fault, refuse, respond
from churn_model.serving.requests import BadRequest, Limits
from churn_model.steps.transform_variables import REQUEST, from_variables
from churn_model.steps.xgboost_release import require_xgboost

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
VALUE = "churn_probability"
"""The column that databases get."""
_SECONDS = 55.0  # SageMaker waits a minute
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class EndpointServer:
    """A WSGI application that answers about customers."""

    def __init__(self, environment: Mapping[str, str], limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._plan: Plan | None = None
        self._refusal = ""
        try:
            self._plan = _load(environment)
        except ChurnError as error:
            self._refusal = str(error)
        except Exception as error:  # variables or a model of another kind: the endpoint's log says why it did not begin
            traceback.print_exc()
            self._refusal = f"{type(error).__name__}: {error}"
        if self._refusal:
            print(self._refusal, file=sys.stderr, flush=True)  # noqa: T201

    def __call__(self, request: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as WSGI has it."""
        routes: dict[tuple[str, str], Callable[[Mapping[str, Any]], Response]] = {
            ("GET", "/ping"): lambda _request: self._ping(),
            ("POST", "/invocations"): self._invoke,
        }
        try:
            response = routes.get((request["REQUEST_METHOD"], request["PATH_INFO"]), _not_found)(request)
        except Exception as error:  # a bug: its place, and never its message, which may hold values
            frames = "".join(traceback.format_tb(error.__traceback__))
            print(f"{type(error).__name__}\n{frames}", file=sys.stderr, flush=True)  # noqa: T201
            response = answer_fault()
        headers = [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
        if self._plan:
            attributes = f"model_version={self._plan.version},costs_version={self._plan.costs_version}"
            headers.append((ATTRIBUTES, attributes))
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", headers)
        return [response.body]

    def _ping(self) -> Response:
        if self._plan is None:
            return _say(503, self._refusal)
        return Response(status=200, body=dump_json({"model_version": self._plan.version}))

    def _invoke(self, request: Mapping[str, Any]) -> Response:
        if self._plan is None:
            return _say(503, self._refusal)
        due = time.monotonic() + _SECONDS
        try:
            body = _read_body(request["wsgi.input"], request.get("CONTENT_LENGTH", ""), self._limits.body)
            return respond(self._plan, _to_request(request, body, lambda: time.monotonic() > due), self._limits)
        except BadRequest as bad:
            return refuse(bad)
        except TooLate:
            return _say(503, f"The answer takes more than {_SECONDS:.0f} seconds; send fewer rows at a time.")


def _load(environment: Mapping[str, str]) -> Plan:
    """Return the plan of the model and the spec that the environment names. Raise ChurnError."""
    dataset, request = from_variables(environment)
    require_xgboost(request)
    return Plan(read_bundle(Path(environment.get("CHURN_MODEL", "/opt/ml/model")) / BUNDLE, threads=1), dataset)


def _to_request(request: Mapping[str, Any], body: bytes, is_late: Callable[[], bool]) -> Request:
    content_type = request.get("CONTENT_TYPE") or JSON
    accept = request.get("HTTP_ACCEPT") or "*/*"
    query = dict(parse_qsl(request.get(f"HTTP_{ATTRIBUTES.upper().replace('-', '_')}", ""), keep_blank_values=True))
    columns: tuple[str, ...] = ()
    media = choose_media(accept, parse_media(content_type))
    if media is not None and media.name == CSV and "header" not in media.parameters:
        accept, columns = f"{CSV}; header=absent", (VALUE,)
        query = {"reasons": "none", **query, "errors": "fail"}
    return Request(
        body=body,
        content_type=content_type,
        accept=accept,
        content_encoding=request.get("HTTP_CONTENT_ENCODING", ""),
        query=query,
        is_late=is_late,
        columns=columns,
    )


def _read_body(stream: BinaryIO, length: str, limit: int) -> bytes:
    """Return a request's body. Raise BadRequest if it is longer than `limit` bytes."""
    body = stream.read(min(int(length), limit + 1) if length.isdigit() else limit + 1)
    if len(body) > limit:
        todo = "send fewer rows at a time, or score them as a batch"
        raise BadRequest(413, expected=f"a body of at most {limit:,} bytes", found="more", todo=todo)
    return body


def _not_found(_request: Mapping[str, Any]) -> Response:
    return _say(404, "Expected GET /ping or POST /invocations; found another path. Ask for one of them.")


def _say(status: int, words: str) -> Response:
    return Response(status=status, body=dump_json({"error": words, "errors": []}))


app: Any = EndpointServer(os.environ) if REQUEST in os.environ else None
"""The application that the model's server imports; None where nobody asks for one."""
