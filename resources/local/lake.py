"""The lake as a folder. Keys are paths below it; a listing gives them in the order a bucket would."""

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import dagster as dg

from churn_model.errors import listed
from resources.errors import LakeError, NotInLake, PublishError, SwapConflict
from resources.local.processes import locked
from resources.local.run_locks import taking_turns
from resources.ports.lake import MANIFEST, Entry, Lake, Manifest

# Names that a put in progress carries; a listing does not show them, as a bucket shows no upload in progress.
_PARTIAL = ".partial-"


class LocalLake(Lake):
    """A folder on one machine, safe for several processes at once."""

    root: str

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["LocalLake"]:
        """For the length of a run this process's name is on it, and it is this run's turn."""
        with taking_turns(Path(self.root), context):
            yield self

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Sequence[Entry]:
        found: list[Entry] = []
        # Only the deepest whole folder of the prefix is walked; the rest of it filters names.
        folder = prefix.rpartition("/")[0]
        for key, path in _walk(self._path(folder), folder + "/" if folder else "", after):
            if key.startswith(prefix) and key > after:
                try:
                    found.append(_entry(key, path))
                except FileNotFoundError:
                    continue  # taken away while we looked, as may happen in a bucket
                if len(found) == limit:
                    break
        return found

    def open(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotInLake(
                f"expected {key} in the lake; found nothing at {self.uri(key)}; was it moved or deleted?"
            ) from error
        except OSError as error:
            raise LakeError(
                f"expected to read {key}; found: {error.strerror}; see to the folder {self.root}"
            ) from error

    def digest(self, key: str) -> str:
        found = hashlib.blake2b(digest_size=16)
        with self.open(key) as stream:
            while block := stream.read(1 << 20):
                found.update(block)
        return found.hexdigest()

    def put(self, key: str, content: bytes | Path) -> None:
        path = self._path(key)
        with _translated(f"write {key}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(prefix=_PARTIAL, dir=path.parent)
            try:
                with (
                    os.fdopen(handle, "wb") as target,
                    io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source,
                ):
                    shutil.copyfileobj(source, target)
                    target.flush()
                    os.fsync(target.fileno())
                os.chmod(partial, 0o644)  # noqa: PTH101  # mkstemp makes it private; other readers of the lake are meant to see it
                os.replace(partial, path)  # noqa: PTH105
            except BaseException:
                Path(partial).unlink(missing_ok=True)
                raise

    def publish(self, prefix: str, manifest: Manifest) -> None:
        problems = []
        for name, file in manifest.files.items():
            path = self._path(prefix + name)
            size = path.stat().st_size if path.is_file() else None
            if size != file.size:
                problems.append(
                    f"{prefix}{name}: expected {file.size} bytes; found {'no file' if size is None else f'{size} bytes'}"
                )
        if problems:
            raise PublishError(listed(problems) + "\nrun the job again: what is not whole is made anew")
        if not self._path(prefix + MANIFEST).exists():
            self.put(prefix + MANIFEST, manifest.to_json())

    def swap(self, key: str, expected: bytes | None, new: bytes) -> None:
        path = self._path(key)
        with _translated(f"move {key}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked(path.parent / f".{path.name}.lock"):
                found = path.read_bytes() if path.exists() else None
                if found != expected:
                    raise SwapConflict(
                        f"expected {key} as it was read; found it moved by another run; run again: what is published is found"
                    )
                self.put(key, new)

    def uri(self, key: str) -> str:
        return str(self._path(key))

    def remove(self, prefix: str) -> None:
        """Take away an unpublished prefix: what a step that died has left."""
        if self._path(prefix + MANIFEST).exists():
            raise LakeError(
                f"expected an unpublished prefix; found a manifest below {prefix}; published versions are never removed this way"
            )
        with _translated(f"remove {prefix}"):
            shutil.rmtree(self._path(prefix), ignore_errors=False) if self._path(prefix).exists() else None

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if key.startswith("/") or ".." in parts:
            raise LakeError(f"expected a key inside the lake; found {key!r}; use names without .. or a leading /")
        return Path(self.root, *parts)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LakeError(
            f"expected to {what}; found: {error.strerror or error}; free some space or see to the folder's permissions"
        ) from error


def _entry(key: str, path: Path) -> Entry:
    stat = path.stat()
    return Entry(key, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC), f"{stat.st_size}-{stat.st_mtime_ns}")


def _walk(folder: Path, prefix: str, after: str) -> Iterator[tuple[str, Path]]:
    """The files below `folder` in the order of their keys' bytes, leaving out folders that end before `after`."""
    try:
        inside = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise LakeError(
            f"expected to list {prefix or 'the lake'}; found: {error.strerror}; see to the folder's permissions"
        ) from error
    # A folder sorts as its name with the slash that every key below it has there.
    named = sorted(
        ((f"{item.name}/" if item.is_dir() else item.name, item) for item in inside), key=lambda pair: pair[0].encode()
    )
    for name, item in named:
        key = prefix + name
        if name.startswith(_PARTIAL) or (name.startswith(".") and name.endswith(".lock")):
            continue
        if name.endswith("/"):
            if key > after or after.startswith(key):
                yield from _walk(Path(item.path), key, after)
        elif key > after:
            yield key, Path(item.path)
