"""Functions that are called in forks of this process, which have all that it has in memory."""

import gc
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import TypeVar

T = TypeVar("T")
_FORK = multiprocessing.get_context("fork")
_THREAD_SECONDS = 20


def require_no_threads() -> None:
    """Wait until the threads of the last requests have ended. Raise RuntimeError if others are left: a fork would lose them."""
    gc.collect()  # clients hold their connections
    limit = time.monotonic() + _THREAD_SECONDS
    while threading.active_count() > 1:
        if time.monotonic() > limit:
            raise RuntimeError(f"expected no threads before a fork; found {threading.enumerate()}")
        time.sleep(0.01)


def call_in_fork(call: Callable[[], T]) -> T:
    """Call a function in a fork, and return what it returned."""
    ((_, result),) = call_in_forks({"only": call}.items(), 1)
    return result


def call_in_forks(calls: Iterable[tuple[str, Callable[[], T]]], at_once: int) -> Iterator[tuple[str, T]]:
    """Call functions in forks, some at once, and yield the name of each with what it returned, as they end. Raise RuntimeError if one raised."""
    waiting, running = iter(calls), dict[Connection, tuple[str, ForkProcess]]()
    while True:
        while len(running) < at_once and (following := next(waiting, None)):
            name, call = following
            require_no_threads()
            answers, child_end = _FORK.Pipe(duplex=False)
            process = _FORK.Process(target=_answer, args=(call, child_end))
            process.start()
            child_end.close()
            running[answers] = (name, process)
        if not running:
            return
        for answers in [each for each in wait(list(running)) if isinstance(each, Connection)]:
            name, process = running.pop(answers)
            try:
                result = answers.recv()
            except EOFError:
                process.join()
                raise RuntimeError(f"a fork ended with {process.exitcode} before it answered") from None
            process.join()
            answers.close()
            yield name, result


def _answer(call: Callable[[], object], answers: Connection) -> None:
    answers.send(call())
