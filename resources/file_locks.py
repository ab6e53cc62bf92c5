"""Locks on files that the operating system releases when their holder dies, whatever kills it (Linux and macOS)."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from churn_model.errors import ChurnError, problem


def open_lock(path: Path) -> IO[str]:
    """Open the file of a lock to read and append, and make it if there is none. Raise ChurnError if what is there is no file."""
    return open(path, "a+", opener=_open_file)


def _open_file(path: str, flags: int) -> int:
    handle = os.open(path, flags | os.O_NONBLOCK, 0o666)  # else a named pipe would be waited for, for ever
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ChurnError(problem(expected=f"a file as the lock {path}", found="something else", todo="remove it"))
    return handle


@contextmanager
def hold(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Wait for the lock on `path` and hold it. Other processes and other threads wait; if it is `shared`, not those that share it."""
    with open_lock(path) as handle:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
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
        with open(path, opener=_open_file) as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
