"""The lake as a folder. Keys are paths below it, listed in the order a bucket would list them."""

import io
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from churn_model.errors import listed, problem
from resources.catalog.digests import digest_object
from resources.durable import make_folders, replace_file, sync_files, sync_folder
from resources.errors import LakeError, NotInLake, PublishError, SwapConflict
from resources.file_locks import hold
from resources.local.folders import describe, translate_os_errors, walk
from resources.local.leftovers import find_partial_files
from resources.ports.lake import MANIFEST, Entry, Lake, Manifest, Unreadable
from resources.ports.leftovers import Leftover


class LocalLake(Lake):
    """A folder on one machine, safe for several processes at once."""

    root: str

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Sequence[Entry]:
        return [*islice(self.entries(prefix, after), limit)]

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """Iterate in one walk: each page of a listing would read its folder again."""
        return (found for found in self.scan(prefix, after) if isinstance(found, Entry))

    def scan(self, prefix: str, after: str = "") -> Iterator[Entry | Unreadable]:
        # Only the deepest whole folder of the prefix is walked; the rest of it is how names in there begin.
        folder, slash, start = prefix.rpartition("/")
        return walk(self._path(folder), folder + slash, after, start)

    def find(self, key: str) -> Entry | Unreadable | None:
        return describe(self._path(key), key)

    def open(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotInLake(
                problem(
                    expected=f"{key} in the lake",
                    found=f"nothing at {self.uri(key)}",
                    todo="restore it, or run the job again",
                )
            ) from error
        except OSError as error:
            raise LakeError(
                problem(
                    expected=f"to read {key}",
                    found=error.strerror or str(error),
                    todo=f"check the permissions of {self.root}",
                )
            ) from error

    def digests(self, entries: Iterable[Entry]) -> Mapping[str, str]:
        return {entry.key: digest_object(self, entry.key) for entry in entries}

    def put(self, key: str, content: bytes | Path) -> None:
        def write(target: BinaryIO) -> None:
            with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
                shutil.copyfileobj(source, target)

        with translate_os_errors(f"write {key}"):
            replace_file(self._path(key), write)

    def publish(self, prefix: str, manifest: Manifest) -> None:
        problems = []
        for name, file in manifest.files.items():
            path = self._path(prefix + name)
            size = path.stat().st_size if path.is_file() else None
            if size != file.size:
                found = "no file" if size is None else f"{size} bytes"
                problems.append(
                    problem(
                        expected=f"{file.size} bytes in {prefix}{name}",
                        found=found,
                        todo="run the job again; incomplete results are made again",
                    )
                )
        if problems:
            raise PublishError(listed(problems))
        # In this order, so that after a power cut no manifest names what is not on the disk.
        with translate_os_errors(f"write {prefix}"):
            sync_files(self._path(prefix), [self._path(prefix + name) for name in manifest.files])
        if not self._path(prefix + MANIFEST).exists():
            with suppress(SwapConflict):  # another run has just published it
                self.swap(prefix + MANIFEST, None, manifest.to_json())

    def swap(self, key: str, expected: bytes | None, new: bytes) -> None:
        path = self._path(key)
        with translate_os_errors(f"move {key}"):
            make_folders(path.parent)
            with hold(path.parent / f".{path.name}.lock"):
                current = path.read_bytes() if path.exists() else None
                if current != expected:
                    raise SwapConflict(
                        problem(
                            expected=f"{key} to be unchanged",
                            found="that another run has changed it",
                            todo="run the job again; published results are reused",
                        )
                    )
                self.put(key, new)

    def withdraw(self, prefix: str) -> None:
        path = self._path(prefix + MANIFEST)
        with translate_os_errors(f"remove {prefix}{MANIFEST}"):
            path.unlink(missing_ok=True)
            if path.parent.exists():
                sync_folder(path.parent)

    def uri(self, key: str) -> str:
        return str(self._path(key))

    def discard(self, prefix: str) -> None:
        if self._path(prefix + MANIFEST).exists():
            raise LakeError(
                problem(
                    expected=f"an unpublished prefix {prefix}",
                    found="a manifest",
                    todo="keep it: published versions are never removed this way",
                )
            )
        with translate_os_errors(f"remove {prefix}"):
            shutil.rmtree(self._path(prefix), ignore_errors=False) if self._path(prefix).exists() else None

    def leftovers(self, prefix: str, before: datetime) -> Sequence[Leftover]:
        return find_partial_files(self._path(prefix), before)

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if key.startswith("/") or ".." in parts:
            raise LakeError(
                problem(expected="a key inside the lake", found=repr(key), todo="use names without .. or a leading /")
            )
        return Path(self.root, *parts)
