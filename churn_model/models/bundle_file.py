"""`model.tar.gz`: named members with size limits, and which schema they follow. It reads and writes bytes and knows no model.

about.json        where the model comes from, its family, and the number of this schema
calibration.json  from raw to calibrated probabilities
canary.json       32 rows with their margins and probabilities
features.json     `required`: the landed columns that scoring needs, with their types; `schema`: how they are encoded
model.json        the booster, as XGBoost writes it
code/             the source that made it, for whoever opens the file; never read here
"""

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from churn_model.errors import BundleError, problem
from churn_model.records import from_plain
from churn_model.spec.dataset import Kind

BUNDLE = "model.tar.gz"
SCHEMA = 2
REFIT = "retrain the model: run `churn retrain` for this dataset"
MEGABYTE = 1 << 20
LIMITS = {
    "model.json": 512 * MEGABYTE,
    "features.json": 64 * MEGABYTE,
    "calibration.json": MEGABYTE,
    "about.json": 64 * MEGABYTE,
    "canary.json": 64 * MEGABYTE,
}
MOST_CODE = 64 * MEGABYTE
SOURCES = frozenset({".py", ".txt", ".json", ".toml", ".yaml", ".yml", ".md", ".cfg"})


def write_members(members: Mapping[str, bytes], path: Path, *, package: Path | None = None) -> None:
    """Write a bundle: the same bytes for the same members and sources.

    `package`: the folder of a package whose sources are kept as `code/<package>/...`, so that `code` can be put on PYTHONPATH.
    """
    contents = {**members, **_read_sources(package)}
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(contents):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(contents[name]), 0o644, 0
            archive.addfile(member, io.BytesIO(contents[name]))


def encode_json(values: Any) -> bytes:
    """Return the same bytes for the same plain values. Raise ValueError for NaN and infinities."""
    return json.dumps(values, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _read_sources(package: Path | None) -> dict[str, bytes]:
    """Return the source files below a package's folder, by their name in the bundle."""
    if package is None:
        return {}
    return {
        f"code/{package.name}/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.suffix in SOURCES and "__pycache__" not in path.parts
    }


def read_members(source: Path | BinaryIO, names: Collection[str] = LIMITS.keys()) -> dict[str, bytes]:
    """Return the members of these names; nothing is unpacked to disk.

    Raise BundleError if the file is no tar.gz, lacks one of them, holds a member that is unsafe or too large, or follows another schema.
    """
    found: dict[str, bytes] = {}
    other = 0
    try:
        with _open(source) as archive:
            for member in archive:
                _require_safe(member)
                if member.name in names and member.name not in found:
                    stream = archive.extractfile(member)
                    found[member.name] = stream.read(LIMITS[member.name]) if stream else b""
                else:
                    other += member.size
                    _require(other <= MOST_CODE, f"at most {MOST_CODE // MEGABYTE} MB beside the model", "more")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BundleError(
            problem(expected="a tar.gz file", found=f"something else ({type(error).__name__})", todo=REFIT)
        ) from error
    _require_schema(found.get("about.json"))
    absent = sorted(set(names) - set(found))
    _require(not absent, f"a bundle with {', '.join(sorted(names))}", f"no {', '.join(absent)}")
    return found


def _open(source: Path | BinaryIO) -> tarfile.TarFile:
    if isinstance(source, Path):
        return tarfile.open(source, mode="r|gz")
    return tarfile.open(fileobj=source, mode="r|gz")


def read_required_columns(source: Path | BinaryIO) -> dict[str, Kind]:
    """Return the landed columns that scoring with this bundle needs, with their types, without loading the model.

    Raise BundleError as `read_members` does.
    """
    members = read_members(source, ("about.json", "features.json"))
    try:
        return from_plain(dict[str, Kind], json.loads(members["features.json"])["required"])
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable(error) from error


def unreadable(error: Exception) -> BundleError:
    """Return the error for members that are there and do not hold what their schema says."""
    found = f"contents that do not fit ({type(error).__name__}: {str(error)[:200]})"
    return BundleError(problem(expected=f"a bundle of schema {SCHEMA}", found=found, todo=REFIT))


def _require(holds: bool, expected: str, found: str) -> None:
    if not holds:
        raise BundleError(problem(expected=expected, found=found, todo=REFIT))


def _require_safe(member: tarfile.TarInfo) -> None:
    name = PurePosixPath(member.name)
    _require(not name.is_absolute() and ".." not in name.parts, "names inside the bundle", "one that leads out of it")
    _require(member.isfile() or member.isdir(), "plain files", "a link or a device")
    limit = LIMITS.get(member.name, MOST_CODE)
    expected = f"{member.name[:40]} of at most {limit // MEGABYTE} MB"
    _require(member.size <= limit, expected, f"{member.size // MEGABYTE} MB")


def _require_schema(about: bytes | None) -> None:
    _require(about is not None, "a bundle with about.json", "none")
    try:
        # Before the schema had a number, the file said `format: 1`.
        schema = json.loads(about or b"").get("schema", 1)
    except (ValueError, AttributeError) as error:
        raise unreadable(error) from error
    if schema != SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        todo = f"update this project, or {REFIT}" if newer else REFIT
        raise BundleError(
            problem(expected=f"a bundle of schema {SCHEMA}", found=f"one of schema {schema!r:.20}", todo=todo)
        )
