"""Explain errors of the operating system (disk full, permission denied, out of memory) to the user, also if a library wraps them.

Errors about data are in `errors`.
"""

import errno
import os
import re
from collections.abc import Iterator

from churn_model.errors import problem

_AGAIN = "then run the same command again: what was published stays"
_ROOM = f"free some space, {_AGAIN}"
_HOME = "CHURN_HOME"
_PERMISSION = f"make it writable for this user, or set {_HOME} to another folder, {_AGAIN}"
_MEMORY = f"close other programs or take a machine with more memory, {_AGAIN}"
_WAIT = f"wait for the other process that holds it, {_AGAIN}"
_BY_NUMBER = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EIO: f"see to the disk, {_AGAIN}",
    errno.EROFS: _PERMISSION,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.ENOMEM: _MEMORY,
}
# SQLite keeps no number.
_BY_WORDS = {
    "database or disk is full": _ROOM,
    "disk I/O error": f"free some space or see to the disk, {_AGAIN}",
    "unable to open database file": _PERMISSION,
    "attempt to write a readonly database": _PERMISSION,
    "database is locked": _WAIT,
}
_NUMBER = re.compile(r"\[errno (\d+)\]", re.IGNORECASE)
_PATH = re.compile(r": '([^'\n]+)'")


def explain_os_error(error: BaseException, setting: str = _HOME) -> str | None:
    """Return the explanation of the operating system's error that caused `error`, or None if there is none.

    `setting`: the environment variable that names the folder in question.
    """
    for each in _chain(error):
        if isinstance(each, MemoryError):
            return problem(expected="enough memory", found="none left", todo=_MEMORY)
        if words := explain_os_error_text(f"{type(each).__name__}: {each}", setting):
            return words
    return None


def explain_os_error_text(said: str, setting: str = _HOME) -> str | None:
    """Return the explanation of an error whose text alone is left, such as `OSError: [Errno 28] No space left on device: '/lake/x'`."""
    number = _NUMBER.search(said)
    if number and int(number[1]) in _BY_NUMBER:
        path = _PATH.search(said)
        what = f"to write {path[1]}" if path else "to write to the working folder"
        return problem(
            expected=what, found=os.strerror(int(number[1])), todo=_BY_NUMBER[int(number[1])].replace(_HOME, setting)
        )
    if "OperationalError" in said:
        for words, todo in _BY_WORDS.items():
            if words in said:
                return problem(
                    expected="to read and write Dagster's databases in the working folder", found=words, todo=todo
                )
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and all its causes."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and not any(each is other for other in seen):
            seen.append(each)
            yield each
            waiting += [each.__context__, each.__cause__]
