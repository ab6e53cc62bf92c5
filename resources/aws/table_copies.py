"""Copies of users' tables: one UNLOAD for each, also if the worker that began it is killed.

A note below `jobs/` names a copy while it is being made. Whoever makes the same copy within the hour goes on with it: by the token that its name is,
Athena answers with the query that it knows. The note goes before the rows do: where it still stands, all of them are there.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import dagster as dg

from churn_model.errors import problem
from churn_model.tables import part_name
from resources.aws.lake import S3Lake
from resources.aws.queries import Athena
from resources.catalog.digests import digest_of_parts
from resources.catalog.pointers import utc_now
from resources.errors import LakeError, NotInLake, SwapConflict, TablesError

_WORTH = timedelta(hours=1)
"""For how long a copy is gone on with: no query takes longer, and nothing below `jobs/` has expired."""
_ATTEMPTS = 5  # at a copy that others make, and end, at the same time


@dataclass(frozen=True)
class _Begun:
    """A copy that is being made, as its note tells. `name`: that of its prefixes, and Athena's token, of 32 characters at least."""

    name: str
    at: str

    def to_bytes(self) -> bytes:
        return json.dumps({"name": self.name, "at": self.at}).encode()


@dataclass(frozen=True)
class TableCopier:
    """Copies rows into the lake."""

    lake: S3Lake
    athena: Athena

    def copy(self, table: str, select: str, database: str, prefix: str) -> Sequence[str]:
        """Write what a query selects of a table below `prefix`, and return the keys. Raise TablesError or LakeError."""
        note = f"jobs/unload-{digest_of_parts([table, select, prefix])}.json"
        for _ in range(_ATTEMPTS):
            begun = self._begin(note)
            if begun and (keys := self._make(table, select, database, prefix, note, begun)):
                return keys
        raise TablesError(
            problem(
                expected=f"to copy the table {table}",
                found=f"that others copied it at the same time in {_ATTEMPTS} attempts",
                todo="run the job again; published results are reused",
            )
        )

    def _begin(self, note: str) -> _Begun | None:
        """Return the copy to go on with, or a new one; None if another worker has just begun one."""
        found = self._read(note)
        if found is not None:
            begun = _Begun(**json.loads(found))
            if datetime.fromisoformat(utc_now()) - datetime.fromisoformat(begun.at) < _WORTH:
                return begun
        begun = _Begun(f"unload-{uuid4().hex}", utc_now())
        try:
            self.lake.swap(note, found, begun.to_bytes())
        except SwapConflict:
            return None
        return begun

    def _make(
        self, table: str, select: str, database: str, prefix: str, note: str, begun: _Begun
    ) -> Sequence[str] | None:
        """Return the keys of a copy; None if another worker has ended it meanwhile, and removed what it was made by."""
        # UNLOAD removes nothing that is there, and its files' names have no ending. Which rows are in which file is another with each query, and an
        # object's ETag with each copy: what two workers write must never mix.
        scratch, target = f"jobs/{begun.name}/", f"{prefix}unload-{uuid4().hex}/"
        keys: list[str] = []
        try:
            self.athena.run(
                f"unload ({select}) to '{self.lake.uri(scratch)}' with (format = 'PARQUET', compression = 'ZSTD')",
                database,
                token=begun.name,
            )
            written = list(self.lake.entries(scratch))
            if not self._stands(note, begun):
                return None
            if not written:
                todo = "fill it, or correct `source` in the spec"
                raise TablesError(problem(expected=f"rows in the table {table}", found="none", todo=todo))
            for number, source in enumerate(written):
                self.lake.copy_object(source, target + part_name(number))
                keys.append(target + part_name(number))
        except LakeError:
            with suppress(LakeError):  # what went wrong first is what is said
                self.lake.remove(keys)
            if not self._stands(note, begun):
                return None
            raise
        finally:
            self._end(note, begun, scratch)
        return keys

    def _stands(self, note: str, begun: _Begun) -> bool:
        return self._read(note) == begun.to_bytes()

    def _read(self, note: str) -> bytes | None:
        try:
            return self.lake.read(note)
        except NotInLake:
            return None

    def _end(self, note: str, begun: _Begun, scratch: str) -> None:
        """Remove what a copy was made by, whether it was made or not: it is customers' data. What cannot be removed expires with its prefix."""
        try:
            if self._stands(note, begun):
                self.lake.remove([note])
            self.lake.remove([each.key for each in self.lake.entries(scratch)])
        except LakeError as error:
            dg.get_dagster_logger().warning(
                f"Rows of customers are left below {self.lake.uri(scratch)} until they expire: {error}"
            )
