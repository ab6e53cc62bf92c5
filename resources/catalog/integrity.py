"""Compare published versions with their manifests, before anything is made from them.

Sizes are always compared, and the digests of all files that are no tables: bundles, reports, pages, lists. Tables are large: their digests are
compared by `churn verify`. A damaged version is made again by the job that made it; what is made from it is not.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b

from churn_model.errors import listed, problem
from churn_model.reports.step_report import PublishedFile
from resources.catalog.digests import digest_object
from resources.catalog.names import TABLE_ASSETS, remedy_for
from resources.errors import DamagedError, NotInLake
from resources.ports.lake import MANIFEST, Lake, Manifest

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


def _require(lake: Lake, prefix: str, manifest: Manifest | None) -> Manifest:
    if manifest is None:
        raise DamagedError(
            problem(expected=f"a published version at {lake.uri(prefix)}", found="none", todo=remedy_for(prefix))
        )
    return manifest


def list_manifests(lake: Lake, folder: str) -> Iterator[tuple[str, Manifest]]:
    """Yield the prefix and the manifest of each published version below a folder. A damaged manifest counts as none."""
    for entry in lake.entries(folder):
        if entry.key.endswith("/" + MANIFEST):
            prefix = entry.key.removesuffix(MANIFEST)
            try:
                yield prefix, read_manifest(lake, prefix)
            except DamagedError:
                continue


def find_damage(lake: Lake, prefix: str, files: Mapping[str, PublishedFile], *, tables: bool = False) -> Sequence[str]:
    """Return what is not as `files` says below a prefix, with what to do. `tables`: compare the digests of tables too."""
    sizes = {entry.key: entry.size for entry in lake.entries(prefix)}
    problems = []
    for name, file in files.items():
        key = prefix + name
        size, is_table, todo = sizes.get(key), name.endswith(_TABLE), remedy_for(prefix)
        if size != file.size:
            expected, found = f"{file.size:,} bytes", "no file" if size is None else f"{size:,}"
        elif (tables or not is_table) and not _has_digest(lake, key, file.digest):
            expected, found = "the content that was published", "another"
            if is_table:  # by its size it is whole: without its manifest the version is not found again
                dataset, asset = prefix.split("/")[:2]
                repair = f"run `churn verify {dataset} --repair`"
                todo = f"{repair if asset in TABLE_ASSETS else f'remove {lake.uri(prefix + MANIFEST)}'}, then {todo}"
        else:
            continue
        problems.append(problem(expected=f"{expected} in {lake.uri(key)}", found=found, todo=todo))
    return problems


def _has_digest(lake: Lake, key: str, digest: str) -> bool:
    size = len(digest) // 2
    return 1 <= size <= blake2b.MAX_DIGEST_SIZE and digest_object(lake, key, size=size) == digest


def find_whole(lake: Lake, prefix: str) -> Manifest | None:
    """Return the manifest of a version that is as it was published; None if there is no version. Raise DamagedError with all that is not."""
    manifest = find_manifest(lake, prefix)
    if manifest and (damage := find_damage(lake, prefix, manifest.files)):
        raise DamagedError(listed(damage))
    return manifest


def require_whole(lake: Lake, prefix: str) -> Manifest:
    """Return the manifest of a version that is as it was published. Raise DamagedError if there is none, or with all that is not."""
    return _require(lake, prefix, find_whole(lake, prefix))


def require_whole_input(lake: Lake, key: str) -> None:
    """Raise DamagedError if what a step is to read is not as it was published: a version, or a folder of one."""
    if key.endswith("/") and find_whole(lake, key) is None:
        require_whole(lake, version_of_folder(lake, key))


def version_of_folder(lake: Lake, prefix: str) -> str:
    """Return the prefix of the version that a prefix is, or that it is a folder of."""
    above = prefix.rstrip("/").rpartition("/")[0] + "/"
    return above if lake.list(above + MANIFEST, limit=1) else prefix
