"""The lake: a folder or a bucket of objects, most of them written once."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import dagster as dg

from churn_model.records import from_plain
from churn_model.reports.step_report import PublishedFile
from resources.ports.leftovers import Leftover

MANIFEST = "_manifest.json"


@dataclass(frozen=True)
class Entry:
    """One object of the lake, as a listing shows it."""

    key: str
    size: int
    modified: datetime  # in UTC
    token: str  # changes whenever the object is written: an ETag, or size and modification time


@dataclass(frozen=True)
class Manifest:
    """The list of a version's files. It is written last: to a reader, a prefix without a manifest does not exist."""

    version: str
    files: Mapping[str, PublishedFile]  # by name below the prefix
    upstream: Mapping[str, str] = field(default_factory=dict)  # versions this one was made from
    made_at: str = ""  # ISO time in UTC: the only clock in a version

    def to_json(self) -> bytes:
        """Return the manifest as it is stored in the lake."""
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Manifest":
        """Read a manifest written by `to_json`. Raise ValueError if it is none."""
        return from_plain(cls, json.loads(data))


@dataclass(frozen=True)
class Unreadable:
    """Something below a prefix that is no object: a link, a named pipe, a folder that cannot be opened."""

    key: str  # as text; bytes that are no UTF-8 are escaped
    reason: str
    may_hold_data: bool  # False for pipes, sockets and devices


class Lake(dg.ConfigurableResource, ABC):
    """A folder or a bucket. Objects are written once, except for pointers, which move by `swap` alone."""

    @property
    def is_shared(self) -> bool:
        """Whether other machines may be at work in it, whose locks are not seen here."""
        return False

    @abstractmethod
    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Sequence[Entry]:
        """Return at most `limit` objects below `prefix` whose key is greater than `after`, in key order.

        What is `Unreadable` is left out.
        """

    @abstractmethod
    def open(self, key: str) -> BinaryIO:
        """Open an object as a seekable binary stream, as `pyarrow.parquet.ParquetFile` needs. Raise NotInLake."""

    @abstractmethod
    def digests(self, entries: Iterable[Entry]) -> Mapping[str, str]:
        """Return a digest of each entry's content, by key: a folder reads it and raises NotInLake if an object is gone, a bucket's listing has it.

        Digests differ if contents differ. Equal contents may have different digests, as two uploads to a bucket may.
        """

    @abstractmethod
    def put(self, key: str, content: bytes | Path) -> None:
        """Write one object, atomically and durably: readers see the old one or the new one, also after a power cut.

        For landed files, and for the files of a version that is not published yet.
        """

    @abstractmethod
    def publish(self, prefix: str, manifest: Manifest) -> None:
        """Check that each file of the manifest is below `prefix` with its size, then write the manifest if there is none.

        A version that is already published stays as it is. Raise PublishError if a file is missing or has another size. The files are
        durable before the manifest is written: after a power cut, what a manifest names is there.
        """

    @abstractmethod
    def withdraw(self, prefix: str) -> None:
        """Remove the manifest of a damaged version: to a reader it is then not published, and can be made and published again."""

    @abstractmethod
    def discard(self, prefix: str) -> None:
        """Remove everything below a prefix that is not published. Raise LakeError if it is."""

    def leftovers(self, prefix: str, before: datetime) -> Sequence[Leftover]:
        """Return what writers that died left below `prefix`, not changed since `before`. A bucket shows no such thing."""
        return ()

    @abstractmethod
    def swap(self, key: str, expected: bytes | None, new: bytes) -> None:
        """Replace an object's bytes if they are still `expected` (None: if there is no object). Raise SwapConflict.

        Of several callers with the same `expected` exactly one succeeds, also if they write the same bytes, if a request is
        sent twice, or if its response is lost and it is sent again: an adapter that retries recognises its own write.
        """

    @abstractmethod
    def uri(self, key: str) -> str:
        """Return the object's address for a person to open: a path or an s3:// URI."""

    def scan(self, prefix: str, after: str = "") -> Iterator[Entry | Unreadable]:
        """Iterate over `entries`, and over what is no object, in key order. A bucket holds nothing but objects."""
        return self.entries(prefix, after)

    def find(self, key: str) -> Entry | Unreadable | None:
        """Return what has exactly this key, or None: one question, however much is beside it."""
        return next((entry for entry in self.list(key, limit=1) if entry.key == key), None)

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """Iterate over every object below `prefix` whose key is greater than `after`, in key order."""
        while page := self.list(prefix, after):
            yield from page
            after = page[-1].key

    def read(self, key: str) -> bytes:
        """Return an object's bytes. Raise NotInLake."""
        with self.open(key) as stream:
            return stream.read()

    def read_listed(self, entry: Entry) -> bytes:
        """Return the bytes of an object that a listing has just shown. Raise NotInLake.

        A bucket may answer from memory: its token is another one after any write. A folder always reads, since a disk changes bytes by itself.
        """
        return self.read(entry.key)
