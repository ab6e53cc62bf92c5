"""Compare published versions with their manifests, before anything is made from them.

Sizes are always compared, and the digests of all files that are no tables: bundles, reports, pages, lists. Tables are large: their digests are
compared by `churn verify`. A damaged version is made again by the job that made it; what is made from it is not.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import TypeVar

from churn_model.errors import listed, problem
from churn_model.reports.step_report import PublishedFile
from resources.catalog.digests import digest_listed
from resources.catalog.names import TABLE_ASSETS, remedy_for
from resources.errors import DamagedError, NotInLake
from resources.ports.lake import MANIFEST, Entry, Lake, Manifest

T = TypeVar("T")
_TABLE = ".parquet"
_ZEROS = b"\x00 \t\r\n"


def describe_content(data: bytes, error: Exception) -> str:
    """Return what is found in place of JSON of an expected shape, for messages."""
    if not data.strip(_ZEROS):
        return "an empty file" if not data else "a file of blanks or zeros"
    return f"something else ({str(error)[:200]})"


def find_manifest(lake: Lake, prefix: str) -> Manifest | None:
    """Return the manifest of a version, or None if nothing is published there. Raise DamagedError if it cannot be read."""
    try:
        data = lake.read(prefix + MANIFEST)
    except NotInLake:
        return None
    return _parse_manifest(lake, prefix, data)


def _parse_manifest(lake: Lake, prefix: str, data: bytes) -> Manifest:
    try:
        return Manifest.from_json(data)
    except (ValueError, RecursionError) as error:
        raise DamagedError(
            problem(
                expected=f"a manifest in {lake.uri(prefix + MANIFEST)}",
                found=describe_content(data, error),
                todo=remedy_for(prefix),
            )
        ) from error


def read_manifest(lake: Lake, prefix: str) -> Manifest:
    """Return the manifest of a published version. Raise DamagedError if nothing is published there, or if it cannot be read."""
    return _require(lake, prefix, find_manifest(lake, prefix))


def _require(lake: Lake, prefix: str, found: T | None) -> T:
    if found is None:
        raise DamagedError(
            problem(expected=f"a published version at {lake.uri(prefix)}", found="none", todo=remedy_for(prefix))
        )
    return found


def list_manifests(lake: Lake, folder: str) -> Iterator[tuple[str, Manifest]]:
    """Yield the prefix and the manifest of each published version below a folder. A damaged manifest counts as none."""
    for entry in lake.entries(folder):
        if entry.key.endswith("/" + MANIFEST):
            prefix = entry.key.removesuffix(MANIFEST)
            with suppress(DamagedError, NotInLake):  # one that is withdrawn meanwhile is none either
                yield prefix, _parse_manifest(lake, prefix, lake.read_listed(entry))


def find_damage(lake: Lake, prefix: str, files: Mapping[str, PublishedFile], *, tables: bool = False) -> Sequence[str]:
    """Return what is not as `files` says below a prefix, with what to do. `tables`: compare the digests of tables too."""
    return compare_files(lake, prefix, files, {entry.key: entry for entry in lake.entries(prefix)}, tables=tables)


def compare_files(
    lake: Lake, prefix: str, files: Mapping[str, PublishedFile], entries: Mapping[str, Entry], *, tables: bool = False
) -> Sequence[str]:
    """Return what of a listing is not as `files` says, with what to do."""
    problems = []
    for name, file in files.items():
        key = prefix + name
        entry, is_table, todo = entries.get(key), name.endswith(_TABLE), remedy_for(prefix)
        if entry is None or entry.size != file.size:
            expected, found = f"{file.size:,} bytes", "no file" if entry is None else f"{entry.size:,}"
        elif (tables or not is_table) and not _has_digest(lake, entry, file.digest):
            expected, found = "the content that was published", "another"
            if is_table:  # by its size it is whole: without its manifest the version is not found again
                dataset, asset = prefix.split("/")[:2]
                repair = f"run `churn verify {dataset} --repair`"
                todo = f"{repair if asset in TABLE_ASSETS else f'remove {lake.uri(prefix + MANIFEST)}'}, then {todo}"
        else:
            continue
        problems.append(problem(expected=f"{expected} in {lake.uri(key)}", found=found, todo=todo))
    return problems


def _has_digest(lake: Lake, entry: Entry, digest: str) -> bool:
    size = len(digest) // 2
    return 1 <= size <= blake2b.MAX_DIGEST_SIZE and digest_listed(lake, entry, size=size) == digest


def require_version(lake: Lake, prefix: str) -> tuple[Manifest, Mapping[str, Entry]]:
    """Return the manifest of a published version, and the objects below its prefix. Raise DamagedError if there is none, or if it cannot be read."""
    manifest, entries = list_version(lake, prefix)
    return _require(lake, prefix, manifest), entries


def find_whole(lake: Lake, prefix: str) -> Manifest | None:
    """Return the manifest of a version that is as it was published; None if there is no version. Raise DamagedError with all that is not."""
    return _find_whole(lake, prefix)[0]


def read_file(lake: Lake, prefix: str, name: str) -> bytes | None:
    """Return a file of a version that is as it was published; None if there is no version. Raises what `find_whole` raises."""
    manifest, entries = _find_whole(lake, prefix)
    if manifest is None:
        return None
    key = prefix + name
    return lake.read_listed(entries[key]) if key in entries else lake.read(key)


def require_file(lake: Lake, prefix: str, name: str) -> bytes:
    """Return a file of a version that is as it was published. Raise DamagedError if there is no version, or with all that is not."""
    return _require(lake, prefix, read_file(lake, prefix, name))


def _find_whole(lake: Lake, prefix: str) -> tuple[Manifest | None, Mapping[str, Entry]]:
    manifest, entries = list_version(lake, prefix)
    if manifest and (damage := compare_files(lake, prefix, manifest.files, entries)):
        raise DamagedError(listed(damage))
    return manifest, entries


def list_version(lake: Lake, prefix: str) -> tuple[Manifest | None, Mapping[str, Entry]]:
    """Return the manifest of a version, None if nothing is published there, and the objects below its prefix. Raise DamagedError."""
    found = list(lake.scan(prefix))
    entries = {each.key: each for each in found if isinstance(each, Entry)}
    shown = entries.get(prefix + MANIFEST)
    if shown is None:  # or it is what cannot be listed, of which reading it tells more
        manifest = None if len(entries) == len(found) else find_manifest(lake, prefix)
    else:
        manifest = _parse_manifest(lake, prefix, lake.read_listed(shown))
    return manifest, entries


def require_whole(lake: Lake, prefix: str) -> Manifest:
    """Return the manifest of a version that is as it was published. Raise DamagedError if there is none, or with all that is not."""
    return _require(lake, prefix, find_whole(lake, prefix))


def require_whole_input(lake: Lake, key: str) -> None:
    """Raise DamagedError if what a step is to read is not as it was published: a version, or a folder of one."""
    if key.endswith("/") and find_whole(lake, key) is None:
        require_whole(lake, version_of_folder(lake, key))


def version_of_folder(lake: Lake, prefix: str) -> str:
    """Return the prefix of the version that a prefix is, or that it is a folder of."""
    above = folder_above(prefix)
    return above if lake.list(above + MANIFEST, limit=1) else prefix


def folder_above(prefix: str) -> str:
    """Return the prefix of the folder that a folder is in."""
    return prefix.rstrip("/").rpartition("/")[0] + "/"
