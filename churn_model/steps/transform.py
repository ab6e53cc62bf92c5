"""Step `score` behind HTTP, as SageMaker Batch Transform asks: a part of a batch in, its predictions out, both as Parquet.

    GET  /ping                  200
    GET  /execution-parameters  how large a request may be, and one at a time: a request uses all cores
    POST /invocations           200 with the predictions, in the order of the rows and with `ScoredPart` in their footer; 400 with words

The model's server imports `app`, a WSGI application. `transform_variables` says which variables tell it what to do; CHURN_MODEL is the folder
that the model was unpacked into, /opt/ml/model.

A model that cannot score answers each request with why: a server that did not start would be waited for, and then fail without words.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from churn_model.errors import ChurnError, InputError, describe_causes, problem
from churn_model.models.bundle_file import BUNDLE
from churn_model.steps.batch_scorer import BatchScorer, score_part
from churn_model.steps.transform_variables import MOST_BYTES, PARQUET, REQUEST, from_variables
from churn_model.steps.xgboost_release import require_xgboost

_STATUS = {200: "200 OK", 400: "400 Bad Request", 404: "404 Not Found", 500: "500 Error"}

_LIMITS = json.dumps(
    {"MaxConcurrentTransforms": 1, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": MOST_BYTES >> 20}
).encode()

_Answer = tuple[int, str, bytes]  # status, media type, body
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class PartServer:
    """A WSGI application that scores parts."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._refusal = ""
        try:
            self._scorer = make_scorer(environment)
        except ChurnError as error:
            self._refusal = str(error)
            print(self._refusal, file=sys.stderr, flush=True)  # noqa: T201
        except Exception as error:  # variables or a model of another kind: each request is told
            traceback.print_exc()
            self._refusal = describe_causes(error)

    def __call__(self, request: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as WSGI has it."""
        answers: dict[tuple[str, str], Callable[[], _Answer]] = {
            ("GET", "/ping"): _ping,
            ("GET", "/execution-parameters"): _show_limits,
            ("POST", "/invocations"): lambda: self._score(request["wsgi.input"]),
        }
        answer = answers.get((request["REQUEST_METHOD"], request["PATH_INFO"]), _not_found)
        status, kind, body = answer()
        start_response(_STATUS[status], [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _score(self, stream: BinaryIO) -> _Answer:
        if self._refusal:
            return _words(400, self._refusal)
        try:
            return 200, PARQUET, score_part(self._scorer, read_body(stream, MOST_BYTES))
        except ChurnError as error:
            return _words(400, str(error))
        except Exception as error:  # whatever it is, the job's log is to show it
            traceback.print_exc()
            return _words(500, describe_causes(error))


def _ping() -> _Answer:
    return 200, "text/plain", b""


def _show_limits() -> _Answer:
    return 200, "application/json", _LIMITS


def _not_found() -> _Answer:
    return _words(
        404, "Expected /ping, /execution-parameters or /invocations; found another path. Ask for one of them."
    )


def make_scorer(environment: Mapping[str, str]) -> BatchScorer:
    """Return the scorer of the model and the spec that the environment names. Raise ChurnError."""
    dataset, request = from_variables(environment)
    require_xgboost(request)
    folder = Path(environment.get("CHURN_MODEL", "/opt/ml/model"))
    return BatchScorer(folder / BUNDLE, dataset, {**request, "threads": request["threads"] or _cores()})


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_body(stream: BinaryIO, limit: int) -> bytes:
    """Return a request's body. Raise ChurnError if it is longer than `limit` bytes."""
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise InputError(problem(expected=f"a part of at most {limit:,} bytes", found="more", todo="run the job again"))
    return body


def _words(status: int, words: str) -> _Answer:
    return status, "text/plain; charset=utf-8", words.encode()


app: Any = PartServer(os.environ) if REQUEST in os.environ else None
"""The application that the model's server imports; None where nobody asks for one."""
