"""Functions that are called in forks of this process."""

import gc
import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_THREAD_SECONDS = 20


def require_no_threads() -> None:
    """Wait until the threads of the last requests have ended. Raise RuntimeError if others are left: a fork would lose them."""
    gc.collect()  # clients hold their connections
    limit = time.monotonic() + _THREAD_SECONDS
    while threading.active_count() > 1:
        if time.monotonic() > limit:
            raise RuntimeError(f"expected no threads before a fork; found {threading.enumerate()}")
        time.sleep(0.01)


class Fork:
    """A function that is being called in a fork. What it returns comes back by a file."""

    def __init__(self, call: Callable[[], object], file: Path) -> None:
        require_no_threads()
        sys.stdout.flush()
        sys.stderr.flush()
        self._file = file
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                file.write_bytes(pickle.dumps(call()))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)

    def result(self, status: int) -> object:
        """Return what the function returned. Raise RuntimeError if it raised."""
        if status:
            raise RuntimeError(f"a fork ended with {os.waitstatus_to_exitcode(status)}")
        found: object = pickle.loads(self._file.read_bytes())
        self._file.unlink()
        return found


def call_in_fork(call: Callable[[], T], folder: Path) -> T:
    """Call a function in a fork, and return what it returned."""
    ((_, result),) = call_in_forks({"only": call}.items(), folder, 1)
    return result


def call_in_forks(calls: Iterable[tuple[str, Callable[[], T]]], folder: Path, at_once: int) -> Iterator[tuple[str, T]]:
    """Call functions in forks, some at once, and yield the name of each with what it returned, as they end."""
    waiting, running = iter(calls), dict[int, tuple[str, Fork]]()
    while True:
        while len(running) < at_once and (following := next(waiting, None)):
            name, call = following
            fork = Fork(call, folder / f"{name}.pickle")
            running[fork.pid] = (name, fork)
        if not running:
            return
        pid, status = os.waitpid(-1, 0)
        name, fork = running.pop(pid)
        yield name, fork.result(status)  # type: ignore[misc]
