"""The endpoint of one machine is no process: what was deployed is a file, and answers in the process that asks, by the code of the real one.

`churn serve` is the server of this machine. This is what makes the assets, jobs and commands of an endpoint work without an account.
"""

import io
import json
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from churn_model.errors import problem
from churn_model.models.bundle_file import BUNDLE
from churn_model.records import from_plain
from churn_model.spec.dataset import Dataset
from resources.catalog.versions import restrict_dataset
from resources.durable import replace_file
from resources.errors import EndpointError
from resources.file_locks import hold
from resources.ports.endpoint import (
    CHAMPION,
    IN_SERVICE,
    Candidate,
    Deployment,
    Endpoint,
    EndpointAnswer,
    Served,
    no_endpoint,
    require_unchanged,
)
from resources.ports.lake import Lake

_MOST_TIMES = 10_000
"""Requests that are counted; the file of their times is put aside once it holds so many."""
_MOST_BYTES = 20 * _MOST_TIMES


@dataclass(frozen=True)
class _Deployed:
    version: str
    model: str
    bundle: str
    spec: str  # as the server may see it
    since: float
    candidate: Candidate | None = None
    candidate_bundle: str = ""


class LocalEndpoint(Endpoint):
    """Keeps `<dataset>.json`, what is deployed, and when it was asked: `<dataset>.asked`, and `<dataset>.asked-before`, the times before those."""

    lake: Lake
    folder: str

    def deploy(self, deployment: Deployment) -> Served:
        name, found = deployment.dataset.name, self._read(deployment.dataset.name)
        if found and (found.version, found.candidate) == (deployment.version, deployment.candidate):
            return _to_served(name, found, is_new=False)
        spec = restrict_dataset(deployment.dataset, "endpoint")
        new = _Deployed(
            deployment.version,
            deployment.model,
            deployment.bundle,
            spec.to_json(),
            time.time(),
            deployment.candidate,
            deployment.candidate_bundle,
        )
        for model, bundle in _models(new):
            with self._answering(new, model, bundle) as server:
                pinged = _call(server, "GET", "/ping", b"", {})
            if pinged.status != "200 OK":
                kept = f"; {found.model} goes on answering" if found else ""
                raise EndpointError(
                    problem(
                        expected=f"model {model} to answer",
                        found=f"{json.loads(pinged.body)['error']}{kept}",
                        todo="see what it says",
                    )
                )
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        replace_file(self._path(name), lambda stream: stream.write(json.dumps(asdict(new)).encode()))
        return _to_served(name, new, is_new=True)

    def delete(self, dataset: str, *, unchanged_since: float | None = None) -> bool:
        if unchanged_since is not None and (found := self._read(dataset)):
            require_unchanged(dataset, found.since, unchanged_since)
        there = self._path(dataset).exists()
        for path in (self._path(dataset), self._asked(dataset), self._asked_before(dataset)):
            path.unlink(missing_ok=True)
        return there

    def find(self, dataset: str) -> Served | None:
        found = self._read(dataset)
        return None if found is None else _to_served(dataset, found, is_new=False)

    def ask(self, dataset: str, body: bytes, *, content_type: str, accept: str, variant: str = "") -> EndpointAnswer:
        found = self._read(dataset)
        if found is None:
            raise EndpointError(no_endpoint(dataset))
        model, bundle = _choose(found, variant)
        self._note_time(dataset)
        with self._answering(found, model, bundle) as server:
            answered = _call(
                server, "POST", "/invocations", body, {"CONTENT_TYPE": content_type, "HTTP_ACCEPT": accept}
            )
        if answered.status != "200 OK":
            words = json.loads(answered.body)["error"]
            raise EndpointError(
                problem(expected=f"an answer of the endpoint of {dataset}", found=words, todo="correct the request")
            )
        return EndpointAnswer(body=answered.body, content_type=answered.headers["Content-Type"], model=model)

    def count_requests(self, dataset: str, within: timedelta) -> float:
        if not Path(self.folder).exists():
            return 0.0
        files = (self._asked_before(dataset), self._asked(dataset))
        with self._noting(dataset):
            times = [each for file in files if file.exists() for each in file.read_text().split()][-_MOST_TIMES:]
        return float(sum(float(each) > time.time() - within.total_seconds() for each in times))

    def _path(self, dataset: str) -> Path:
        return Path(self.folder) / f"{dataset}.json"

    def _asked(self, dataset: str) -> Path:
        return Path(self.folder) / f"{dataset}.asked"

    def _asked_before(self, dataset: str) -> Path:
        return Path(self.folder) / f"{dataset}.asked-before"

    def _noting(self, dataset: str) -> AbstractContextManager[None]:
        """Return the lock on the two files of times."""
        return hold(Path(self.folder) / f".{dataset}.lock")

    def _note_time(self, dataset: str) -> None:
        """Note that it is asked now. Two files take turns, so that neither grows for ever."""
        with self._noting(dataset):
            with self._asked(dataset).open("a") as times:
                times.write(f"{time.time()}\n")
            if self._asked(dataset).stat().st_size >= _MOST_BYTES:
                self._asked(dataset).replace(self._asked_before(dataset))

    def _read(self, dataset: str) -> _Deployed | None:
        try:
            return from_plain(_Deployed, json.loads(self._path(dataset).read_bytes()))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise EndpointError(
                problem(
                    expected=f"what is deployed in {self._path(dataset)}",
                    found="something else",
                    todo=f"run `churn endpoint {dataset} delete`, then deploy again",
                )
            ) from error

    @contextmanager
    def _answering(self, deployed: _Deployed, model: str, bundle: str) -> Iterator[Any]:
        """Yield the application that answers with one model of a deployment."""
        from churn_model.steps.endpoint import EndpointServer
        from churn_model.steps.transform_variables import to_variables

        request = {"version": deployed.version, "model": model, "xgboost": ""}
        with tempfile.TemporaryDirectory(prefix="endpoint-") as folder:
            (Path(folder) / BUNDLE).write_bytes(self.lake.read(bundle))
            variables = to_variables(Dataset.from_json(deployed.spec), request)
            yield EndpointServer(variables | {"CHURN_MODEL": folder})


@dataclass(frozen=True)
class _Answered:
    status: str
    headers: dict[str, str]
    body: bytes


def _call(server: Any, method: str, path: str, body: bytes, headers: dict[str, str]) -> _Answered:
    begun: list[tuple[str, dict[str, str]]] = []
    request = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body), **headers}
    content = b"".join(server(request, lambda status, found: begun.append((status, dict(found)))))
    return _Answered(*begun[0], content)


def _models(deployed: _Deployed) -> list[tuple[str, str]]:
    """Return the version and the key of the bundle of each model that is deployed, the champion's first."""
    beside = [(deployed.candidate.model, deployed.candidate_bundle)] if deployed.candidate else []
    return [(deployed.model, deployed.bundle), *beside]


def _choose(deployed: _Deployed, variant: str) -> tuple[str, str]:
    """Return the model that answers a request, and the key of its bundle: the one that is asked for, or one drawn by the shares."""
    candidate, models = deployed.candidate, _models(deployed)
    if not variant:
        is_candidates = candidate is not None and random.random() < candidate.share  # noqa: S311  # as SageMaker draws
        return models[-1 if is_candidates else 0]
    named = [CHAMPION, *([candidate.name] if candidate and not candidate.shadow else [])]
    if variant not in named:
        expected = f"a variant that answers, {' or '.join(named)}"
        raise EndpointError(problem(expected=expected, found=variant[:63], todo="correct it, or leave it out"))
    return models[named.index(variant)]


def _to_served(dataset: str, deployed: _Deployed, *, is_new: bool) -> Served:
    return Served(
        name=dataset,
        status=IN_SERVICE,
        version=deployed.version,
        model=deployed.model,
        since=deployed.since,
        candidate=deployed.candidate,
        is_new=is_new,
    )
