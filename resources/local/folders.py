"""Walk the folders of a lake in the order of a bucket's keys. What is no plain file is named and never opened or followed."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from churn_model.errors import problem
from resources.durable import PARTIAL
from resources.errors import LakeError
from resources.ports.lake import Entry, Unreadable

_DISK_REMEDY = "free some space, or check the folder's permissions"
_MOST_LEVELS = 64  # of folders in folders
_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def walk(folder: Path, prefix: str, after: str = "", start: str = "") -> Iterator[Entry | Unreadable]:
    """Yield what is below `folder`, whose key is `prefix`, in the byte order of the keys, from the first key greater than `after`.

    `start` is how the names in `folder` itself begin. Raise LakeError if `folder` cannot be opened.
    """
    try:
        items = _list_folder(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise LakeError(
            problem(
                expected=f"to list {prefix or 'the lake'}",
                found=error.strerror or str(error),
                todo="check the folder's permissions",
            )
        ) from error
    yield from _walk_items(items, prefix, after, start)


def _list_folder(folder: str | Path) -> list[tuple[str, os.DirEntry[str]]]:
    """Return what is in a folder by name, in key order. A folder has the slash that every key below it has there."""
    with os.scandir(folder) as items:
        named = [(f"{item.name}/" if item.is_dir(follow_symlinks=False) else item.name, item) for item in items]
    return sorted(named, key=lambda pair: os.fsencode(pair[0]))


def _walk_items(
    items: list[tuple[str, os.DirEntry[str]]], prefix: str, after: str, start: str
) -> Iterator[Entry | Unreadable]:
    for name, item in items:
        # A listing does not show what is being written, as a bucket shows no upload in progress.
        if not name.startswith(start) or name.startswith(PARTIAL) or (name.startswith(".") and name.endswith(".lock")):
            continue
        text = os.fsencode(name).decode("utf-8", "backslashreplace")
        key = prefix + text
        if text != name:
            yield Unreadable(key, "its name is not UTF-8; rename it", may_hold_data=True)
        elif not name.endswith("/"):
            if key > after:
                yield from _describe_item(key, item)
        elif key > after or after.startswith(key):
            yield from _walk_folder(key, item, after)


def _walk_folder(key: str, item: os.DirEntry[str], after: str) -> Iterator[Entry | Unreadable]:
    if key.count("/") > _MOST_LEVELS:
        yield Unreadable(key, f"it is more than {_MOST_LEVELS} folders deep; move its files up", may_hold_data=True)
        return
    try:
        items = _list_folder(item.path)
    except FileNotFoundError:
        return  # removed since the folder around it was read, as can happen in a bucket
    except OSError as error:
        yield _refused(key, "folder", error)
        return
    yield from _walk_items(items, key, after, "")


def describe(path: Path, key: str) -> Entry | Unreadable | None:
    """Return a file as an object, anything else but a folder as unreadable, and None if there is nothing."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        return _refused(key, "file", error)
    return None if stat.S_ISDIR(found.st_mode) else _describe(key, found)


def _describe(key: str, found: os.stat_result) -> Entry | Unreadable:
    if stat.S_ISREG(found.st_mode):
        return Entry(key, found.st_size, to_time(found.st_mtime), f"{found.st_size}-{found.st_mtime_ns}")
    if stat.S_ISLNK(found.st_mode):
        return Unreadable(key, "links are not followed; copy what it points at", may_hold_data=True)
    what = _SPECIAL.get(stat.S_IFMT(found.st_mode), "no file")
    return Unreadable(key, f"it is {what}; remove it", may_hold_data=False)


def to_time(seconds: float) -> datetime:
    """Return a file's time in UTC. Some file systems keep times that no calendar has: those are its first or last moment."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.min.replace(tzinfo=UTC) if seconds < 0 else datetime.max.replace(tzinfo=UTC)


def _describe_item(key: str, item: os.DirEntry[str]) -> Iterator[Entry | Unreadable]:
    """Yield what an item of a folder is, and nothing if it was removed meanwhile."""
    try:
        yield _describe(key, item.stat(follow_symlinks=False))
    except FileNotFoundError:
        return
    except PermissionError as error:
        yield _refused(key, "file", error)


def _refused(key: str, what: str, error: OSError) -> Unreadable:
    reason = f"the {what} cannot be opened ({error.strerror or error}); check its permissions"
    return Unreadable(key, reason, may_hold_data=True)


@contextmanager
def translate_os_errors(what: str) -> Iterator[None]:
    """Raise LakeError instead of an OSError; `what` was to be done, as an infinitive without `to`."""
    try:
        yield
    except OSError as error:
        raise LakeError(
            problem(expected=f"to {what}", found=error.strerror or str(error), todo=_DISK_REMEDY)
        ) from error
