"""`report.json`: what a step reports of its result, written last and read by every later version of this code.

The file holds counts and metrics (single numbers), checks, and the `detail` of the step (tables and curves). Its content is one dataclass
of this package: the step writes it, and whoever reads it names the class. `schema` is raised when a reader of the one before would be
misled; a field that is added needs a default that means "not evaluated by that version", and no other number.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from churn_model.checks import Check
from churn_model.errors import ChurnError, problem
from churn_model.records import RecordError, finite, from_plain, to_plain

REPORT = "report.json"
REPORT_SCHEMA = 2
OLDEST_SCHEMA = 1
"""The oldest schema that this code still reads."""

T = TypeVar("T")


class ReportError(ChurnError):
    """A report cannot be read by this version of the code."""


@dataclass(frozen=True)
class PublishedFile:
    """One file of a published version; `rows` is None if the file is no table."""

    size: int
    digest: str
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a step returns. `content`: a dataclass of this package; its `counts` and `metrics`, if it has them, hold single numbers."""

    content: Any = field(default_factory=dict)
    checks: Sequence[Check] = ()


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """A step's report as `report.json` holds it."""

    schema: int = REPORT_SCHEMA
    step: str
    counts: Mapping[str, int]
    metrics: Mapping[str, float | None]
    checks: tuple[Check, ...]
    detail: Mapping[str, Any]
    files: Mapping[str, PublishedFile] = field(default_factory=dict)

    @classmethod
    def of(cls, step: str, report: Report, files: Mapping[str, PublishedFile]) -> "StepReport":
        """Return the report of `step`, whose result is `files`."""
        detail = to_plain(report.content)
        counts, metrics = detail.pop("counts", {}), detail.pop("metrics", {})
        return cls(
            step=step,
            counts={name: number for name, number in counts.items() if number is not None},
            metrics={name: finite(number) for name, number in metrics.items()},
            checks=tuple(report.checks),
            detail=detail,
            files=files,
        )

    def to_json(self) -> bytes:
        """Return the bytes of `report.json`: the same for the same report."""
        return json.dumps(to_plain(self), sort_keys=True, ensure_ascii=False, allow_nan=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "StepReport":
        """Return the report that `to_json` wrote. Raise ReportError if its schema is newer, or older than any that can be read."""
        try:
            raw = json.loads(data)
            _require_readable(raw)
            return from_plain(cls, raw)
        except ValueError as error:
            raise ReportError(
                problem(expected=f"a {REPORT}", found=f"something else ({error})", todo="run the step again")
            ) from error

    def read(self, kind: type[T]) -> T:
        """Return the content as `kind`, the class that this step writes. Raise ReportError if it does not fit."""
        try:
            return from_plain(kind, {**self.detail, "counts": self.counts, "metrics": self.metrics})
        except RecordError as error:
            raise ReportError(
                f"The {REPORT} of step {self.step} cannot be read by this version of the code. {error}"
            ) from error


def _require_readable(raw: Any) -> None:
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if type(schema) is not int:
        raise ValueError("no schema number")
    if schema > REPORT_SCHEMA:
        todo = "install the version of this project that wrote it, or a newer one"
    elif schema < OLDEST_SCHEMA:
        todo = "run the step again: this version of the code reads it no longer"
    else:
        return
    raise ReportError(
        problem(
            expected=f"a {REPORT} of schema {OLDEST_SCHEMA} to {REPORT_SCHEMA}",
            found=f"schema {schema} in that of step {raw.get('step', 'unknown')}",
            todo=todo,
        )
    )
