"""The lake: a folder or a bucket of objects, most of them written once."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import dagster as dg

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
