"""Copies of tables that users already have: one copy for each version of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from churn_model.errors import InputError, problem
from churn_model.reports.step_report import PublishedFile
from resources.catalog.integrity import find_whole
from resources.catalog.names import unload_prefix
from resources.catalog.pointers import utc_now
from resources.errors import DamagedError
from resources.ports.lake import Lake, Manifest
from resources.ports.tables import Tables


@dataclass(frozen=True)
class TableCopy:
    """A version of a user's table, and the keys of its copy in the lake."""

    version: str
    keys: Sequence[str]


def copy_table(lake: Lake, tables: Tables, dataset: str, table: str, *, crawler: str | None = None) -> TableCopy:
    """Return the copy of a table as it is now, which is made only if the table has changed since the last one.

    crawler: the one to run before. Raise InputError if the table changes while it is being copied.
    """
    if crawler is not None:
        tables.crawl(crawler)
    version = tables.version(table)
    prefix = unload_prefix(dataset, version)
    files = _find_copy(lake, prefix) or _copy(lake, tables, table, version, prefix)
    return TableCopy(version, [prefix + name for name in files])


def _find_copy(lake: Lake, prefix: str) -> Mapping[str, PublishedFile] | None:
    """Return the files of a whole copy, or None if there is none or it is damaged. A damaged one is withdrawn, to be made again."""
    try:
        manifest = find_whole(lake, prefix)
        return manifest.files if manifest else None
    except DamagedError:
        lake.withdraw(prefix)
        return None


def _copy(lake: Lake, tables: Tables, table: str, version: str, prefix: str) -> Mapping[str, PublishedFile]:
    written = set(tables.unload(table, prefix))
    if tables.version(table) != version:
        raise InputError(
            problem(
                expected=f"table {table} to stay as it is while it is copied",
                found="that its content changed",
                todo="run the job again once it is complete",
            )
        )
    # What an attempt that died has left below the prefix is no part of the copy.
    entries = [entry for entry in lake.entries(prefix) if entry.key in written]
    digests = lake.digests(entries)
    files = {entry.key.removeprefix(prefix): PublishedFile(entry.size, digests[entry.key]) for entry in entries}
    lake.publish(prefix, Manifest(version, files, made_at=utc_now()))
    return _find_copy(lake, prefix) or files  # another run may have published its own just before
