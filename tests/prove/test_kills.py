"""A run that is killed anywhere can be run again, and ends as if nothing had happened."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from resources.catalog.pointers import read_current

if TYPE_CHECKING:
    from tests.prove.conftest import Home

pytestmark = pytest.mark.prove

_LAKE, _RUNNER, _TABLES = (
    "resources.local.lake:LocalLake",
    "resources.local.runner:LocalRunner",
    "resources.local.tables:LocalTables",
)
_WRITER = "pyarrow.parquet:ParquetWriter.write_table"


@dataclass(frozen=True)
class Point:
    """Where a process is killed. `step`: the call is made by that step's process and not by the run's."""

    name: str
    call: str
    match: str = ""
    moment: str = "before"
    nth: int = 1
    step: str = ""
    # With a step: whether it dies itself, or waits and lives on when its run is killed.
    then: str = "kill"

    @property
    def command(self) -> tuple[str, ...]:
        verb = self.name.partition(":")[0]
        return {"score": ("score", "shop", "monday")}.get(verb, (verb, "shop"))

    def plan(self, folder: Path) -> dict[str, Any]:
        return {**vars(self), "mark": str(folder / "reached")}


FROM_THE_START = (
    Point("retrain: after the run began, before its first asset", "dagster:DagsterInstance.add_run_tags"),
    Point("retrain: before the ingest step starts", f"{_RUNNER}._run_process", "step='ingest'"),
    Point(
        "retrain: the ingest step just started, its lock does not name it yet",
        "subprocess:Popen.__init__",
        "steps.ingest",
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
    Point("score: before the table of retention_list", f"{_TABLES}.publish", "retention_list"),
    Point("score: before the pointer of retention_list", f"{_LAKE}.swap", "retention_list/monday/current"),
    Point("score: after the pointer of retention_list", f"{_LAKE}.swap", "retention_list/monday/current", "after"),
)
ROLLBACKS = (
    Point("rollback: before the champion's pointer moves", f"{_LAKE}.swap", "shop/champion.json"),
    Point(
        "rollback: after the champion's pointer moved, before the decision is recorded",
        f"{_LAKE}.swap",
        "shop/champion.json",
        "after",
    ),
)


def named(points: tuple[Point, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("point", points, ids=lambda point: point.name)


@pytest.fixture(scope="module")
def trained_home(landed_home: "Home", tmp_path_factory: pytest.TempPathFactory) -> "Home":
    """A folder whose retrain was cut before the evaluation."""
    home = landed_home.copy(tmp_path_factory.mktemp("trained"))
    kill(home, FROM_THE_MODEL[0])
    return home


@pytest.fixture(scope="module")
def batch_home(
    retrained_home: "Home", tmp_path_factory: pytest.TempPathFactory, customers: Callable[..., Any]
) -> "Home":
    home = retrained_home.copy(tmp_path_factory.mktemp("batch"))
    home.land(customers(), "b.csv", batch="monday")
    return home


@pytest.fixture(scope="module")
def scored_home(batch_home: "Home", tmp_path_factory: pytest.TempPathFactory) -> "Home":
    home = batch_home.copy(tmp_path_factory.mktemp("scored"))
    assert home.churn("score", "shop", "monday").code == 0
    return home


@pytest.fixture(scope="module")
def twice_retrained_home(retrained_home: "Home", tmp_path_factory: pytest.TempPathFactory) -> "Home":
    """A folder with a champion and one before it: the one before it did not see two columns."""
    home = retrained_home.copy(tmp_path_factory.mktemp("twice"))
    home.stop_ignoring()
    assert home.churn("retrain", "shop").code == 0
    return home


@pytest.fixture(scope="module")
def rolled_back_home(twice_retrained_home: "Home", tmp_path_factory: pytest.TempPathFactory) -> "Home":
    home = twice_retrained_home.copy(tmp_path_factory.mktemp("back"))
    assert home.churn("rollback", "shop").code == 0
    return home


@named(FROM_THE_START)
def test_a_killed_retrain_goes_on_from_what_landed(
    landed_home: "Home", retrained_home: "Home", copied: Callable[["Home"], "Home"], point: Point
) -> None:
    ends_as_undisturbed(copied(landed_home), point, retrained_home)


@named(FROM_THE_MODEL)
def test_a_killed_retrain_goes_on_from_the_model(
    trained_home: "Home", retrained_home: "Home", copied: Callable[["Home"], "Home"], point: Point
) -> None:
    ends_as_undisturbed(copied(trained_home), point, retrained_home)


@named(SCORES)
def test_a_killed_score_is_completed(
    batch_home: "Home", scored_home: "Home", copied: Callable[["Home"], "Home"], point: Point
) -> None:
    ends_as_undisturbed(copied(batch_home), point, scored_home)


@named(ROLLBACKS)
def test_a_killed_rollback_is_completed_and_not_undone(
    twice_retrained_home: "Home", rolled_back_home: "Home", copied: Callable[["Home"], "Home"], point: Point
) -> None:
    ends_as_undisturbed(copied(twice_retrained_home), point, rolled_back_home)


def ends_as_undisturbed(home: "Home", point: Point, undisturbed: "Home") -> None:
    kill(home, point)
    assert home.problems() == []
    again = home.churn(*point.command)
    assert again.code == 0
    assert home.problems() == []
    assert home.contents() == undisturbed.contents()
    assert home.processes() == []
    *_, died, ended = home.runs()
    assert (died.status, ended.status) == (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS)


def kill(home: "Home", point: Point) -> None:
    """Run the point's command until it is killed there: the run's process, or its step's, or the run's while the step lives on."""
    plan = point.plan(home.root)
    mark = Path(plan["mark"])
    if not point.step:
        assert home.churn(*point.command, plan=plan).code == -signal.SIGKILL
    elif point.then == "kill":
        home.steps_with(plan)
        ended = home.churn(*point.command)
        assert ended.code == 1
        assert "killed by signal 9" in ended.said
    else:
        home.steps_with(plan)
        run = home.start(*point.command)
        while not mark.exists():
            assert run.poll() is None, home.end_of(run).said
            time.sleep(0.05)
        run.kill()
        run.wait()
        assert int(mark.read_text()) in home.processes()  # the step outlived its run
    assert mark.exists()


def test_a_champion_whose_promotion_was_cut_is_known_to_a_later_rollback(
    trained_home: "Home", copied: Callable[["Home"], "Home"]
) -> None:
    """The decision is recorded by whatever run comes next, also by one that promotes another model."""
    home = copied(trained_home)
    (cut,) = (point for point in FROM_THE_MODEL if point.name.endswith("before the decision is recorded"))
    kill(home, cut)
    first = home.champion
    assert first is not None
    home.stop_ignoring()
    assert home.churn("retrain", "shop").code == 0
    assert home.champion is not None
    assert home.champion.version != first.version
    assert home.churn("rollback", "shop").code == 0
    assert home.champion.version == first.version


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_run_ends_its_step_says_so_and_goes_on_the_next_time(
    landed_home: "Home", retrained_home: "Home", copied: Callable[["Home"], "Home"], number: signal.Signals
) -> None:
    home = copied(landed_home)
    (point,) = (point for point in FROM_THE_START if point.name == "retrain: while the step fits")
    plan = point.plan(home.root)
    home.steps_with(plan)
    run = home.start("retrain", "shop")
    while not Path(plan["mark"]).exists():
        assert run.poll() is None
        time.sleep(0.05)
    os.kill(run.pid, number)
    ended = home.end_of(run)
    assert ended.code == 130
    assert "Interrupted. What was published stays" in ended.said
    assert "Traceback" not in ended.said
    assert home.processes() == []
    assert read_current(home.lake, "shop", "tuned_model") is None
    assert home.churn("retrain", "shop").code == 0
    assert home.contents() == retrained_home.contents()


def test_a_table_file_held_by_another_program_is_said_and_the_run_can_be_repeated(
    batch_home: "Home", scored_home: "Home", copied: Callable[["Home"], "Home"]
) -> None:
    import duckdb

    home = copied(batch_home)
    with duckdb.connect(str(home.path / "tables.duckdb")):
        ended = home.churn("score", "shop", "monday", plan={"set": {"resources.local.tables:_PATIENCE_SECONDS": 1}})
    assert ended.code == 1
    assert "found it held by another process" in ended.said
    assert "close that, or read it with `duckdb -readonly`" in ended.said
    assert "Traceback" not in ended.said
    assert home.problems() == []
    assert home.churn("score", "shop", "monday").code == 0
    assert home.contents() == scored_home.contents()
