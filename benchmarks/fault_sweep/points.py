"""The calls that fail, each in each way, and how what was ordered ends then."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fault_sweep.account import Account, MakeExecutor, Worker
from benchmarks.fault_sweep.orders import Order
from benchmarks.fault_sweep.state import State, differences, read_state
from tests.aws.faults import KILLED, WAYS
from tests.aws.sagemaker.replay import Left, Replay, Work, remember

RIGHT, WORDS, LATER, MODEL, WRONG = (
    "right",
    "words, then right",
    "right, the registry later",
    "right, a model left",
    "WRONG",
)
_READS = ("Get", "Describe", "List", "Head", "BatchGet")
_REPEATABLE = ("s3.PutObject", "s3.CopyObject")
"""What may be sent twice, by botocore: the same bytes."""
_AT_THE_SERVICE = ("reset after", "access denied", KILLED)
"""The ways that are told apart by what the service has done, or by what the code around the call does. The others end in botocore."""
_IN_EACH_PHASE = (*_AT_THE_SERVICE, "limit exceeded")
_SIGKILL = -9


@dataclass(frozen=True)
class Point:
    """A call that fails: of which phase, of which operation, which one, and how."""

    phase: str
    operation: str
    number: int
    way: str

    @property
    def plan(self) -> dict[str, Any]:
        """What a worker is told."""
        return {"operation": f"{self.phase}: {self.operation}", "way": self.way, "number": self.number}


@dataclass(frozen=True)
class Taken:
    """How an order ended without a fault.

    codes    its exit codes
    said     what it printed
    """

    codes: list[int]
    said: str
    calls: list[str]
    state: State
    left: dict[Work, Left] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)


def list_points(calls: Sequence[str], phases: tuple[str, ...], known: set[str]) -> Iterator[Point]:
    """Yield the points of what is ordered. Add to the operations that have failed in every way already, `known`."""
    for name, count in Counter(calls).items():
        phase, _, operation = name.partition(": ")
        if phases and not phase.startswith(phases):
            continue
        for number in range(1, 1 + (1 if _is_read(operation) else count)):
            for way in _ways(operation, is_first=number == 1, is_known=operation in known):
                yield Point(phase, operation, number, way)
        known.add(operation)


def _is_read(operation: str) -> bool:
    return operation.partition(".")[2].startswith(_READS)


def _ways(operation: str, *, is_first: bool, is_known: bool) -> Sequence[str]:
    """Return the ways in which a call fails.

    is_first   whether it is the first of its operation in the phase
    is_known   whether an earlier phase of the command has tried the operation in every way
    """
    ways: tuple[str, ...] = WAYS
    if is_known:
        ways = _IN_EACH_PHASE
        if _is_read(operation):
            ways = ("access denied",)  # a kill after it is one after the write before
    if not is_first:
        ways = (KILLED,) if operation in _REPEATABLE else _AT_THE_SERVICE
    return [way for way in ways if way != "limit exceeded" or operation.startswith("sagemaker.Create")]


def take(
    account: Account, folder: Path, order: Order, make_executor: MakeExecutor, *, remembers: bool = False
) -> Taken:
    """Run an order once in a copy of the working folder, with nothing that fails."""
    moved = account.moved_to(folder)
    worker = Worker(folder, "only")
    with moved.answering(make_executor) as environment:
        code = worker.run(environment, order, {})
        left = remember(moved.lake.session.client("s3"), moved.sagemaker.jobs.values()) if remembers else {}
        modules = worker.modules if code >= 0 else []
        return Taken([code], worker.said, worker.calls, read_state(moved), left=left, modules=modules)


def advance(account: Account, folder: Path, order: Order, left: dict[Work, Left]) -> Account:
    """Run an order in this process's account, and return the account with the working folder as it is then."""
    moved = account.moved_to(folder)
    worker = Worker(folder, "only")
    with moved.answering(replaying(left)) as environment:
        worker.run(environment, order, {})
    return moved


def replaying(left: dict[Work, Left]) -> MakeExecutor:
    """Return what makes an executor of jobs whose work is known."""
    return lambda s3, logs: Replay(s3, logs, left)


def try_point(
    account: Account, folder: Path, order: Order, point: Point, left: dict[Work, Left], clean: Taken
) -> tuple[str, list[str]]:
    """Run an order with a call that fails, and again if it has not ended as it does without. Return the outcome, and what is wrong."""
    moved = account.moved_to(folder)
    first, second = Worker(folder, "first"), Worker(folder, "second")
    (done,), outcome = clean.codes, ""
    with moved.answering(replaying(left)) as environment:
        try:
            code = first.run(environment, order, point.plan)
        except TimeoutError as error:
            second.dismiss()
            return WRONG, [str(error)]
        problems = [] if first.has_failed else ["the call did not happen"]
        behind = differences(clean.state, read_state(moved)) if code == done else []
        if code not in (done, _SIGKILL):
            problems += [] if "Expected" in first.said else [f"exit code {code} without a word: {first.said[-2000:]}"]
            problems += [f"a traceback: {first.said[-3000:]}"] if "Traceback" in first.said else []
        if (code == _SIGKILL) != (point.way == KILLED):
            problems.append(f"exit code {code}")
        if code == done and not behind:
            second.dismiss()
        else:
            try:
                again = second.run(environment, order, {})
            except TimeoutError as error:
                return WRONG, [str(error)]
            if again != done:
                problems.append(f"exit code {again} when run again: {second.said[-3000:]}")
            problems += differences(clean.state, read_state(moved))
    if (point.operation, point.way) == ("sagemaker.DeleteModel", "access denied"):
        behind, problems = [], [line for line in problems if not line.startswith("models: ")]
        outcome = MODEL
    problems += [line for line in behind if not _is_of_registry(line)]
    if problems:
        return WRONG, problems
    shutil.rmtree(folder)
    if not outcome:
        outcome = LATER if behind else RIGHT if code in (done, _SIGKILL) else WORDS
    return outcome, []


def _is_of_registry(line: str) -> bool:
    return line.startswith("packages: ") or "registry.json" in line
