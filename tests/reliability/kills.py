"""Kills: a process dies by SIGKILL at a named call or at any moment, and the same command ends as if nothing had happened."""

import itertools
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from tests.harness.home import Ended, Home
from tests.harness.homes import Homes, copied
from tests.reliability.trial import Kind, Trial

_LAKE, _RUNNER, _TABLES = (
    "resources.local.lake:LocalLake",
    "resources.local.runner:LocalRunner",
    "resources.local.tables:LocalTables",
)
_WRITER = "pyarrow.parquet:ParquetWriter.write_table"
_LIST_CSV = "churn_model.decisions.list_csv:write_csv"
_LISTED = r'shop/batches/monday\.json.*"list": *\{'  # the record, when it names the list
_SECONDS = {"retrain": 14.0, "score": 8.0, "rollback": 5.0}  # about as long as each takes
_IN_A_ROW = 5


@dataclass(frozen=True)
class Point:
    """Where a process is killed. `step`: the call is made by that step's process and not by the run's."""

    name: str
    call: str
    match: str = ""
    moment: str = "before"
    step: str = ""
    # With a step: whether it dies itself, or waits and lives on when its run is killed.
    then: str = "kill"

    @property
    def command(self) -> tuple[str, ...]:
        return command_of(self.name.partition(":")[0])

    def plan(self, folder: Path) -> dict[str, Any]:
        return {**vars(self), "mark": str(folder / "reached")}


def command_of(verb: str) -> tuple[str, ...]:
    """Return the arguments of `churn` for one verb on the prepared folders."""
    return ("score", "shop", "monday") if verb == "score" else (verb, "shop")


FROM_THE_START = (
    Point("retrain: after the run began, before its first asset", "dagster:DagsterInstance.add_run_tags"),
    Point("retrain: before the ingest step starts", f"{_RUNNER}._run_process", "step='ingest'"),
    Point(
        "retrain: the ingest step just started, its lock does not name it yet",
        "subprocess:Popen.__init__",
        "churn_model.steps', 'ingest'",
        "after",
    ),
    Point("retrain: before the manifest of raw_customers", f"{_LAKE}.publish", "shop/raw_customers/"),
    Point("retrain: while the manifest of raw_customers is written", "os:replace", "raw_customers/.*_manifest"),
    Point("retrain: before the table of raw_customers", f"{_TABLES}.publish", "raw_customers"),
    Point("retrain: before the pointer of raw_customers", f"{_LAKE}.swap", "raw_customers/current"),
    Point("retrain: while the step writes the splits", _WRITER, step="preprocess", then="wait"),
    Point("retrain: the training step, while it fits", "churn_model.models.families:fit_model", step="train"),
    Point("retrain: while the step fits", "churn_model.models.families:fit_model", step="train", then="wait"),
)
FROM_THE_MODEL = (
    Point("retrain: after the model's pointer, before the evaluation starts", f"{_RUNNER}.run", "step='evaluate'"),
    Point("retrain: the evaluation's report is written, before its page", f"{_LAKE}.put", "evaluation_page/.*html"),
    Point("retrain: before the manifest of evaluation_report", f"{_LAKE}.publish", "shop/evaluation_report/"),
    Point("retrain: before the champion's pointer moves", f"{_LAKE}.swap", "shop/champion.json"),
    Point(
        "retrain: after the champion's pointer moved, before the decision is recorded",
        f"{_LAKE}.swap",
        "shop/champion.json",
        "after",
    ),
    Point("retrain: while the decision is written", "os:replace", "shop/decisions/"),
    Point("retrain: after the decision is recorded, before the run ends", f"{_LAKE}.swap", "shop/decisions/", "after"),
)
SCORES = (
    Point("score: after the run began, before its first asset", "dagster:DagsterInstance.add_run_tags"),
    Point("score: while the step ingests the batch", _WRITER, step="ingest", then="wait"),
    Point("score: before the manifest of raw_batch", f"{_LAKE}.publish", "shop/raw_batch/"),
    Point("score: before the batch's record", f"{_LAKE}.swap", "shop/batches/monday.json"),
    Point("score: after the batch's record", f"{_LAKE}.swap", "shop/batches/monday.json", "after"),
    Point("score: the scoring step, while it writes predictions", _WRITER, step="score", moment="after"),
    Point("score: while the step writes predictions", _WRITER, step="score", moment="after", then="wait"),
    Point("score: before the table of batch_predictions", f"{_TABLES}.publish", "batch_predictions"),
    Point("score: before the pointer of batch_predictions", f"{_LAKE}.swap", "batch_predictions/monday/current"),
    Point("score: the list step, while it writes assignments", _WRITER, step="retention_list", moment="after"),
    Point("score: while the step writes assignments", _WRITER, step="retention_list", moment="after", then="wait"),
    Point("score: before the manifest of retention_list", f"{_LAKE}.publish", "shop/retention_list/"),
    Point("score: before the list enters the ledger", f"{_LAKE}.swap", "retention_list/ledger.json"),
    Point("score: after the list entered the ledger", f"{_LAKE}.swap", "retention_list/ledger.json", "after"),
    Point("score: while the ledger is written", "os:replace", "retention_list/ledger"),
    Point("score: before the table of retention_list", f"{_TABLES}.publish", "retention_list"),
    Point("score: before the pointer of retention_list", f"{_LAKE}.swap", "retention_list/monday/current"),
    Point("score: after the pointer of retention_list", f"{_LAKE}.swap", "retention_list/monday/current", "after"),
    Point("score: the layout step, before it writes the file for people", _LIST_CSV, step="list_layout"),
    Point("score: while the layout step runs", _LIST_CSV, step="list_layout", moment="after", then="wait"),
    Point("score: before the manifest of list_layout", f"{_LAKE}.publish", "shop/list_layout/"),
    Point("score: while the manifest of list_layout is written", "os:replace", "list_layout/.*_manifest"),
    Point("score: before the pointer of list_layout", f"{_LAKE}.swap", "list_layout/monday/current"),
    Point("score: after the pointer of list_layout", f"{_LAKE}.swap", "list_layout/monday/current", "after"),
    Point("score: while the list is copied to where people open it", "os:replace", "/out/shop/"),
    Point("score: before the batch's record names its list", f"{_LAKE}.swap", _LISTED),
    Point("score: after its last write, before the run ends", f"{_LAKE}.swap", _LISTED, "after"),
)
ROLLBACKS = (
    Point("rollback: before the champion's pointer moves", f"{_LAKE}.swap", "shop/champion.json"),
    Point(
        "rollback: after the champion's pointer moved, before the decision is recorded",
        f"{_LAKE}.swap",
        "shop/champion.json",
        "after",
    ),
    Point("rollback: after its last write, before the run ends", f"{_LAKE}.swap", "shop/decisions/", "after"),
)


def kill(home: Home, point: Point) -> None:
    """Run the point's command until it is killed there: the run's process, or its step's, or the run's while the step lives on."""
    plan = point.plan(home.root)
    mark = Path(plan["mark"])
    if not point.step:
        home.require(-signal.SIGKILL, *point.command, plan=plan)
    elif point.then == "kill":
        home.steps_with(plan)
        home.require(1, *point.command)
    else:
        home.steps_with(plan)
        run = home.start(*point.command)
        while not mark.exists():
            if run.poll() is not None:
                raise RuntimeError(f"{point.name}: not reached:\n{home.end_of(run).said}")
            time.sleep(0.05)
        run.kill()
        run.wait()
        if int(mark.read_text()) not in home.processes():
            raise RuntimeError(f"{point.name}: the step did not outlive its run")
    if not mark.exists():
        raise RuntimeError(f"{point.name}: not reached")


def kill_after(home: Home, command: tuple[str, ...], seconds: float) -> bool:
    """Start a command and kill its process after so many seconds; its step lives on. Return whether it was still running."""
    run = home.start(*command)
    try:
        run.wait(seconds)
    except subprocess.TimeoutExpired:
        run.kill()
        run.wait()
        return True
    return False


def problems_after(home: Home, command: tuple[str, ...], undisturbed: Home) -> list[str]:
    """Run the command again. Return how the folder differs from one in which nothing was killed."""
    problems = [f"after the kill: {each}" for each in home.problems()]
    again = home.churn(*command)
    if again.code != 0:
        problems.append(f"again: exit code {again.code}: {again.said[-1000:]}")
    if "Traceback" in again.said:
        problems.append(f"again: a stack trace: {again.said[-1000:]}")
    problems += home.problems()
    problems += differences(home.contents(), undisturbed.contents())
    problems += [f"process {number} was left behind" for number in home.processes()]
    return problems


def bad_words(ended: Ended) -> list[str]:
    """Return what is wrong with how a command ended that could not do its work: it has to say so in words."""
    problems = [f"exit code {ended.code}: {ended.said[-1000:]}"] if ended.code not in (0, 1) else []
    if "Traceback" in ended.said:
        problems.append(f"a stack trace: {ended.said[-1500:]}")
    if ended.code == 1 and "Expected " not in ended.said:
        problems.append(f"no words: {ended.said[-1000:]}")
    return problems


def differences(found: Any, expected: Any, where: str = "") -> list[str]:
    """Return where two trees of dictionaries differ."""
    if isinstance(found, dict) and isinstance(expected, dict):
        names = sorted({*found, *expected})
        return [text for name in names for text in differences(found.get(name), expected.get(name), f"{where}/{name}")]
    return [] if found == expected else [f"{where}: {str(found)[:200]} instead of {str(expected)[:200]}"]


def problems_of_point(home: Home, point: Point, undisturbed: Home) -> list[str]:
    """Kill a command at a point, run it again, and return what is wrong then."""
    kill(home, point)
    problems = problems_after(home, point.command, undisturbed)
    *_, died, ended = home.runs()
    if (died.status, ended.status) != (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS):
        problems.append(f"the runs ended as {died.status.value} and {ended.status.value}")
    return problems


def _trials(count: int) -> Iterator[Trial]:
    """Yield every named point, then random moments, several of them in one folder: what goes on after a kill is killed too."""
    points = (*FROM_THE_START, *FROM_THE_MODEL, *SCORES, *ROLLBACKS)
    for point in points:
        yield Trial(point.name, _at(point))
    verbs = itertools.cycle(_SECONDS)
    for number, first in enumerate(range(len(points), count, _IN_A_ROW)):
        kills = min(_IN_A_ROW, count - first)
        verb = next(verbs)
        yield Trial(f"{verb}: {kills} times in a row", _in_a_row(verb, kills, random.Random(number)), kills)


def before_and_after(homes: Homes, verb: str) -> tuple[Home, Home]:
    """Return the prepared folder that a verb starts from, and the one that it leads to."""
    return {
        "retrain": lambda: (homes.landed, homes.retrained),
        "score": lambda: (homes.batch, homes.scored),
        "rollback": lambda: (homes.twice_retrained, homes.rolled_back),
    }[verb]()


def _at(point: Point) -> Callable[[Homes, Path], list[str]]:
    def run(homes: Homes, folder: Path) -> list[str]:
        before, after = before_and_after(homes, point.name.partition(":")[0])
        with copied(before, folder / "copy") as home:
            return problems_of_point(home, point, after)

    return run


def _in_a_row(verb: str, kills: int, chance: random.Random) -> Callable[[Homes, Path], list[str]]:
    """Return a trial: a command is killed at random moments until so many kills met it at work. Where it ends before, a new folder begins."""

    def run(homes: Homes, folder: Path) -> list[str]:
        before, after = before_and_after(homes, verb)
        problems: list[str] = []
        left, longest = kills, _SECONDS[verb]
        while left and not problems:
            with copied(before, folder / f"copy-{left}-{longest}") as home:
                seconds = chance.uniform(0.5, longest)
                while left and kill_after(home, command_of(verb), seconds):
                    left -= 1
                    problems += [f"after {seconds:.1f} s: {each}" for each in home.problems()]
                    seconds = chance.uniform(0.5, longest)
                problems += [f"{kills - left} kills: {each}" for each in problems_after(home, command_of(verb), after)]
            longest = max(1.0, longest * 0.7)  # this machine is faster than was thought
        return problems

    return run


KILLS = Kind(
    name="kills",
    what="SIGKILL at a named call or at any moment; the same command ends as if nothing had happened",
    count=200,
    trials=_trials,
)
