"""Locks on files that the operating system releases when their holder dies, whatever kills it (Linux and macOS)."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Wait for the lock on `path` and hold it. Other processes and other threads wait."""
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def try_lock(handle: IO[str] | int) -> bool:
    """Take the lock on an open file if it is free, and return whether it was. Closing the file releases it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Return whether anybody holds the lock on `path`. Asking takes it from nobody."""
    try:
        with path.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
