"""Writes that outlive a power cut: a file's data and its entry in the folder are on the disk before the next write begins."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial-"
"""How the name of a file begins that is being written. After a kill or a power cut it may be left behind."""
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: its fsync leaves data in the disk's own cache
_NOT_FOR_FOLDERS = (errno.EINVAL, errno.ENOTSUP)  # some network file systems write folders by themselves


def replace_file(path: Path, write: Callable[[BinaryIO], object], *, mode: int = 0o600) -> None:
    """Write a file as a whole: readers, and a machine that starts again after a power cut, see the old content or the new."""
    make_folders(path.parent)
    handle, name = tempfile.mkstemp(prefix=PARTIAL, dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            _sync(stream.fileno())
        partial.chmod(mode)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it that are missing, for their owner alone, whatever the umask is."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(0o700, exist_ok=True)
        sync_folder(each.parent)


def sync_files(root: Path, paths: Iterable[Path]) -> None:
    """Bring files below `root`, and the entries of all folders from there down to them, to the disk."""
    folders = {root}
    for path in paths:
        with path.open("rb") as stream:
            _sync(stream.fileno())
        folders.update(each for each in path.parents if each.is_relative_to(root))
    for folder in sorted(folders, reverse=True):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Bring the entries of a folder to the disk: what was made, renamed and removed in it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _sync(handle)
    except OSError as error:
        if error.errno not in _NOT_FOR_FOLDERS:
            raise
    finally:
        os.close(handle)


def _sync(handle: int) -> None:
    if _FULL_SYNC is None:
        os.fsync(handle)
    else:
        fcntl.fcntl(handle, _FULL_SYNC)
