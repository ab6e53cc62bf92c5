"""Where a step finds and leaves things: SageMaker's own container folders under a root that the environment can move.

processing/input/config/    dataset.json (the spec as this step may see it)   request.json (version, threads, names of inputs)
processing/input/<name>/    an input; on a training job `input/data/<name>/`
processing/output/result/   what is published, report.json last
output/failure              why it failed; SageMaker shows the first 1,024 characters
checkpoints/                what a step on spot instances finds again after an interruption; missing where there are none
"""

import hashlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq

from churn_model.errors import ChurnError, InputError, describe_causes, problem
from churn_model.reports.step_report import REPORT, PublishedFile, Report, StepReport
from churn_model.spec.dataset import Dataset

FAILED_ON_PURPOSE = 2  # the exit code of an error that is meant for the user
_MESSAGE_LIMIT = 16_384

T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """The folders of one step."""

    root: Path

    @property
    def result(self) -> Path:
        """The folder of what is published."""
        return self.root / "processing" / "output" / "result"

    @property
    def checkpoints(self) -> Path:
        """The folder of what outlives an interruption, if the job has one."""
        return self.root / "checkpoints"

    def input(self, name: str) -> Path | None:
        """Return the folder of an input, or None if the step was given none of that name. Raise InputError if it was given and is gone."""
        folder = self._find(name)
        if folder is None and name in self.request.get("inputs", ()):
            raise InputError(
                problem(
                    expected=f"the input {name} of this step",
                    found="that it was moved or removed",
                    todo="run the job again; if the same happens, restore what is missing",
                )
            )
        return folder

    def required(self, name: str) -> Path:
        """Return the folder of an input. Raise ChurnError if there is none."""
        folder = self.input(name)
        if folder is None:
            raise ChurnError(
                f"Expected an input named {name} below {self.root}; found none. This is a bug in the runner that started the step"
            )
        return folder

    def _find(self, name: str) -> Path | None:
        folders = (self.root / "processing" / "input" / name, self.root / "input" / "data" / name)
        return next((folder for folder in folders if folder.exists()), None)

    def _config(self, name: str) -> str:
        folder = self._find("config")
        if folder is None:
            raise ChurnError(f"Expected the configuration of a step below {self.root}; found none.")
        return (folder / name).read_text("utf-8")

    @property
    def dataset(self) -> Dataset:
        """The spec as this step may see it."""
        return Dataset.from_json(self._config("dataset.json"))

    @property
    def request(self) -> Mapping[str, Any]:
        """`version`, `threads`, `inputs` (the names of those that were given) and `contents` (of landed files: size and digest, by key)."""
        request: Mapping[str, Any] = json.loads(self._config("request.json"))
        return request

    def files(self, name: str) -> list[tuple[str, Path]]:
        """Return the files of an input with their names below it, in the order of their names."""
        folder = self.required(name)
        found = [(path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file()]
        return sorted(found, key=lambda pair: pair[0].encode())

    def read_report(self, name: str, kind: type[T]) -> T:
        """Return what the step that made an input reports, as `kind`. Raise ReportError if this code cannot read it."""
        return StepReport.from_json((self.required(name) / REPORT).read_bytes()).read(kind)

    def write_report(self, step: str, report: Report) -> None:
        """Write report.json last and whole: its presence means that the step has succeeded."""
        files = {
            path.relative_to(self.result).as_posix(): _describe_file(path)
            for path in sorted(self.result.rglob("*"))
            if path.is_file()
        }
        partial = self.result / f".{REPORT}"
        partial.write_bytes(StepReport.of(step, report, files).to_json())
        partial.replace(self.result / REPORT)


def digest_file(path: Path) -> str:
    """Return the digest of a file, as manifests and the versions of landed files hold it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _describe_file(path: Path) -> PublishedFile:
    rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
    return PublishedFile(path.stat().st_size, digest_file(path), rows)


def run_step(name: str, step: Callable[[Layout], Report]) -> None:
    """Run a step's function in the folders that CHURN_ROOT names, and end the process.

    Exit codes: 0; 2 for an error that is meant for the user, 1 for any other. `output/failure` then holds the message.
    """
    layout = Layout(Path(os.environ.get("CHURN_ROOT", "/opt/ml")))
    try:
        layout.result.mkdir(parents=True, exist_ok=True)
        layout.write_report(name, step(layout))
    except Exception as error:
        expected = isinstance(error, ChurnError)
        message = str(error) if expected else describe_causes(error)
        print(message, file=sys.stderr) if expected else traceback.print_exc()  # noqa: T201
        failure = layout.root / "output" / "failure"
        with suppress(OSError):  # a full disk has no room for a message either
            failure.parent.mkdir(parents=True, exist_ok=True)
            failure.write_text(
                message if len(message) <= _MESSAGE_LIMIT else message[: _MESSAGE_LIMIT - 1] + "…", "utf-8"
            )
        sys.exit(FAILED_ON_PURPOSE if expected else 1)
