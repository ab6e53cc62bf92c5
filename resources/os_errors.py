"""Explain errors of the operating system (disk full, permission denied, out of memory) to the user, even if a library wraps them."""

import errno
import os
import re

from churn_model.errors import describe_causes, problem

_AGAIN = "then run the same command again: what was published stays"
_ROOM = f"free some space, {_AGAIN}"
_HOME = "CHURN_HOME, or for temporary files TMPDIR,"
_DAGSTER_HOME = "CHURN_HOME, or DAGSTER_HOME if it is set,"
_SETTING = "{setting}"
_PERMISSION = f"make it writable for this user, or set {_SETTING} to another folder, {_AGAIN}"
_MEMORY = f"close other programs or take a machine with more memory, {_AGAIN}"
_DAMAGED = (
    f"restore {_SETTING} from a copy, or move its `dagster/history` and `dagster/schedules` away, {_AGAIN}; Dagster's record of runs is lost, "
    "results are not"
)
_WAIT = f"wait for the other process that holds it, {_AGAIN}"
_BY_NUMBER = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EIO: f"check the disk, {_AGAIN}",
    errno.EROFS: _PERMISSION,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.ENOMEM: _MEMORY,
    errno.ENOTDIR: f"remove the file that is in the place of a folder, {_AGAIN}",
    errno.EISDIR: f"remove the folder that is in the place of a file, {_AGAIN}",
}
# SQLite's errors carry no number.
_BY_WORDS = {
    "database or disk is full": _ROOM,
    "disk I/O error": f"free some space or check the disk, {_AGAIN}",
    "unable to open database file": _PERMISSION,
    "attempt to write a readonly database": _PERMISSION,
    "database is locked": _WAIT,
    "database disk image is malformed": _DAMAGED,
    "file is not a database": _DAMAGED,
}
_NUMBER = re.compile(r"\[errno (\d+)\]", re.IGNORECASE)
_OUT_OF_MEMORY = re.compile(r"\w*MemoryError\b")
_PATH = re.compile(r": '([^'\n]+)'")


def explain_os_error(error: BaseException, setting: str = _HOME) -> str | None:
    """Return the explanation of the operating system's error that caused `error`, or None if there is none.

    `setting`: the environment variable that names the folder in question.
    """
    return explain_os_error_text(describe_causes(error), setting)


def explain_os_error_text(text: str, setting: str = _HOME) -> str | None:
    """Return the same for an error of which only the text is left, such as `OSError: [Errno 28] No space left on device: '/lake/x'`.

    A text of several lines is an error and its causes, as `churn_model.errors.describe_causes` writes them.
    """
    lines = text.splitlines()
    return next((explanation for line in lines if (explanation := _explain_line(line, setting))), None)


def _explain_line(line: str, setting: str) -> str | None:
    if _OUT_OF_MEMORY.match(line):
        return problem(expected="enough memory", found="none left", todo=_MEMORY)
    number = _NUMBER.search(line)
    if number and int(number[1]) in _BY_NUMBER:
        path = _PATH.search(line)
        what = f"to write {path[1]}" if path else "to write a file"
        todo = _BY_NUMBER[int(number[1])].replace(_SETTING, setting)
        return problem(expected=what, found=os.strerror(int(number[1])), todo=todo)
    if "OperationalError" in line or "DatabaseError" in line:
        for words, todo in _BY_WORDS.items():
            if words in line:
                return problem(
                    expected="to read and write Dagster's databases",
                    found=words,
                    todo=todo.replace(_SETTING, _DAGSTER_HOME),
                )
    return None
