"""The processes of the generator: started together, told a step at a time, ended whatever happens."""

import importlib.util
import json
import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import Any

from churn_assets.load_test.figures import Sample, Step
from churn_assets.load_test.orders import MOST_CONNECTIONS, Order
from churn_model.errors import ChurnError, problem
from resources.errors import CommandError
from resources.settings import PROJECT

_MODULE = "churn_assets.load_test.generator"
_AHEAD_SECONDS = 0.5  # from telling a step to its begin: the users are made meanwhile
_SPARE = 1.25
_ENDS_WITHIN_SECONDS = 5


class Generators:
    """So many processes that ask one target. `target` and `bodies` go through their standard input: no argument and no file holds them."""

    def __init__(
        self, target: Mapping[str, str], bodies: Sequence[str], *, processes: int, environment: Mapping[str, str]
    ) -> None:
        _require_locust()
        self._first = json.dumps({"target": target, "bodies": list(bodies)}) + "\n"
        self._count, self._environment = processes, dict(environment)
        self._running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "Generators":
        """Start them, and wait until they are ready."""
        for _ in range(self._count):
            # Each leads a group of its own: Ctrl-C in a terminal reaches `churn` alone, which ends them.
            self._running.append(
                subprocess.Popen(
                    [sys.executable, "-m", _MODULE],
                    env=self._environment,
                    cwd=PROJECT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
            )
        try:
            for process in self._running:
                _write(process, self._first)
            for process in self._running:
                _read(process)
        except BaseException:
            self._end(by_force=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End them: by the end of their input, or by force if that was not the end of a step."""
        self._end(by_force=error is not None)

    def _end(self, *, by_force: bool) -> None:
        for process in self._running:
            if by_force:
                process.kill()
            with process:  # closes the pipes and waits
                with suppress(OSError):
                    if process.stdin is not None:
                        process.stdin.close()
                try:
                    process.wait(_ENDS_WITHIN_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()

    def run(self, step: Step, *, limit: float) -> list[Sample]:
        """Have them make the requests of a step, and return what each saw. `limit`: milliseconds that the 99th percentile may have."""
        begin = time.monotonic() + _AHEAD_SECONDS
        for index, process in enumerate(self._running):
            order = Order(
                rate=step.rate,
                seconds=step.seconds,
                begin=begin,
                index=index,
                of=self._count,
                connections=_connections(step, limit, index, self._count),
            )
            _write(process, json.dumps(asdict(order)) + "\n")
        return [Sample(**_read(process)) for process in self._running]


def most_rate(limit: float, processes: int) -> float:
    """Return the highest rate for which connections are enough as long as the limit of the 99th percentile, in milliseconds, is kept."""
    return MOST_CONNECTIONS * processes / (_SPARE * limit / 1e3)


def _connections(step: Step, limit: float, index: int, count: int) -> int:
    """Return how many requests of a process may wait at once.

    At a constant rate: more than do while answers keep the limit, so that connections run out for slow answers and for nothing else.
    """
    if step.users:
        return step.users // count + (index < step.users % count)
    return min(MOST_CONNECTIONS, math.ceil(_SPARE * step.rate / count * limit / 1e3) + 8)


def _require_locust() -> None:
    """Raise CommandError if locust is not installed. It is not imported: it patches the process that does."""
    if importlib.util.find_spec("locust") is None:
        todo = "install the extra: `.venv/bin/pip install 'locust>=2.47,<3'`"
        raise CommandError(problem(expected="locust, which makes the requests", found="none", todo=todo))


def _write(process: "subprocess.Popen[str]", line: str) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # it has ended, and `_read` says so
            process.stdin.write(line)
            process.stdin.flush()


def _read(process: "subprocess.Popen[str]") -> dict[str, Any]:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        ended = f"that it has ended with exit code {process.wait()}"
        todo = "see what it wrote above; where the system ended it, memory may have run short: ask for less, with --most or --seconds"
        raise ChurnError(problem(expected="an answer of the generator", found=ended, todo=todo))
    found: dict[str, Any] = json.loads(line)
    return found
