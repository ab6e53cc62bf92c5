"""The ports: all that assets, jobs and sensors know of the outside. Each has a contract suite in `tests/ports/` that runs on every adapter.

Shaped for a folder and for a bucket alike: keys are text with `/`, ordered as UTF-8 bytes; there is no rename, no append and no lock.
How S3, Athena and SageMaker keep these promises is in docs/adr/0003-ports.md.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import dagster as dg

from churn_model.dataset import Dataset

MANIFEST = "_manifest.json"


@dataclass(frozen=True)
class Entry:
    """One object of the lake as a listing shows it."""

    key: str
    size: int
    modified: datetime  # in UTC
    token: str  # changes whenever the object is written: an ETag, or size and modification time


@dataclass(frozen=True)
class PublishedFile:
    """One file of a published version; `rows` is None where the file is no table."""

    size: int
    digest: str
    rows: int | None = None


@dataclass(frozen=True)
class Manifest:
    """What makes a version whole. It is written last: a prefix without it does not exist for any reader."""

    version: str
    files: Mapping[str, PublishedFile]  # by name below the prefix
    upstream: Mapping[str, str] = field(default_factory=dict)  # versions this one was made from
    made_at: str = ""  # ISO time in UTC: the only clock in a version

    def to_json(self) -> bytes:
        """The manifest as it stands in the lake."""
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Manifest":
        """The manifest that `to_json` wrote."""
        raw = json.loads(data)
        files = {name: PublishedFile(**entry) for name, entry in raw.pop("files").items()}
        return cls(files=files, **raw)


@dataclass(frozen=True, kw_only=True)
class StepRequest:
    """One step to run. Its output prefix is its identity: a prefix is computed from the version, so the same request is the same work."""

    step: str
    version: str
    dataset: Dataset
    inputs: Mapping[str, Sequence[str]]  # name of the input: keys, or prefixes that end with `/`
    output: str  # prefix that ends with `/`
    threads: int


@dataclass(frozen=True)
class StepReport:
    """What a step says of itself in report.json: numbers and checks; never a message for one kind of screen."""

    step: str
    counts: Mapping[str, int]
    metrics: Mapping[str, float | None]
    checks: Sequence[Mapping[str, Any]]
    detail: Mapping[str, Any]
    files: Mapping[str, PublishedFile]

    @classmethod
    def from_json(cls, data: bytes) -> "StepReport":
        """The report that `churn_model.steps.layout` wrote."""
        raw = json.loads(data)
        files = {name: PublishedFile(**entry) for name, entry in raw["files"].items()}
        return cls(raw["step"], raw["counts"], raw["metrics"], raw["checks"], raw["detail"], files)


class Lake(dg.ConfigurableResource, ABC):
    """A folder or a bucket. Nothing in it is overwritten in place except pointers, and those only by `swap`."""

    @abstractmethod
    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Sequence[Entry]:
        """At most `limit` objects below `prefix` whose key is greater than `after`, in key order."""

    @abstractmethod
    def open(self, key: str) -> BinaryIO:
        """The object's bytes as a stream. Raises NotInLake."""

    @abstractmethod
    def digest(self, key: str) -> str:
        """A text that differs where the content differs. Raises NotInLake."""

    @abstractmethod
    def put(self, key: str, content: bytes | Path) -> None:
        """Write one object whole: readers see the old one or the new one. For landing and for files of a version that is not published yet."""

    @abstractmethod
    def publish(self, prefix: str, manifest: Manifest) -> None:
        """Make the files below `prefix` a version: checks that each is there with its size, then writes the manifest.

        Publishing the same again does nothing. Raises PublishError.
        """

    @abstractmethod
    def swap(self, key: str, expected: bytes | None, new: bytes) -> None:
        """Replace the object's bytes if they are still `expected` (None: if there is none). Raises SwapConflict."""

    @abstractmethod
    def uri(self, key: str) -> str:
        """Where a person finds the object: a path or an s3:// address."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Every object below `prefix`, page by page."""
        after = ""
        while page := self.list(prefix, after):
            yield from page
            after = page[-1].key

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises NotInLake."""
        with self.open(key) as stream:
            return stream.read()


class Tables(dg.ConfigurableResource, ABC):
    """Published versions as tables for readers in SQL."""

    @abstractmethod
    def publish(self, dataset: str, kind: str, version: str, prefix: str, batch: str | None = None) -> None:
        """Let the table `<dataset>.<kind>` show the Parquet files below `prefix`; with `batch`, only that batch's part of it moves.

        Repeating it changes nothing. Raises TablesError.
        """

    @abstractmethod
    def count(self, dataset: str, kind: str) -> int:
        """The rows that a reader in SQL sees. Raises TablesError."""

    @abstractmethod
    def unload(self, query: str, prefix: str) -> None:
        """Write the query's rows below `prefix` as Parquet. Raises TablesError."""


class Runner(dg.ConfigurableResource, ABC):
    """Runs steps: as processes here, as jobs on SageMaker."""

    threads: int = 2

    @abstractmethod
    def run(self, request: StepRequest) -> StepReport:
        """The step's report, its files below `request.output`.

        Never two at once for one output: where one is running, waits for it; where one has ended well, returns its report.
        Raises StepFailed with the step's own words.
        """


@dataclass(frozen=True)
class ModelRecord:
    """What the registry keeps of a model that was judged."""

    version: str
    evaluation: str
    outcome: str  # first | promoted | kept | refused | rolled_back
    reason: str
    decided_at: str  # ISO time in UTC
    metrics: Mapping[str, float | None]

    @property
    def is_approved(self) -> bool:
        """Whether this model was a champion at that time."""
        return self.outcome in ("first", "promoted", "rolled_back")


class Registry(dg.ConfigurableResource, ABC):
    """The history of decisions, beside the pointer that says who is champion now."""

    @abstractmethod
    def record(self, dataset: str, record: ModelRecord) -> None:
        """Keep one decision; the same decision twice is kept once."""

    @abstractmethod
    def approved(self, dataset: str) -> Sequence[ModelRecord]:
        """The models that became champion, oldest first."""
