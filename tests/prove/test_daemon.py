"""The real thing: `churn ui` with Dagster's daemon, its sensor, its schedule, and runs that it launches."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
import pytest

from resources.catalog.pointers import BatchRecord, read_batch, read_current
from resources.catalog.published_tables import open_published_table
from resources.ports.lake import MANIFEST
from tests.harness.machine import waited
from tests.harness.ui import Ui

if TYPE_CHECKING:
    from tests.harness.home import Home

pytestmark = pytest.mark.prove


WRITES = {"call": "pyarrow.parquet:ParquetWriter.write_table", "moment": "after", "step": "score"}
"""A plan for the step that has written a part of its predictions."""


@pytest.fixture
def watched_home(retrained_home: "Home", copied: Callable[["Home"], "Home"]) -> "Home":
    """A folder with a champion, whose retrain is due every minute."""
    home = copied(retrained_home)
    spec = home.root / "datasets" / "shop.yaml"
    spec.write_text(spec.read_text() + 'schedule: {retrain: "* * * * *"}\n')
    return home


def done(home: "Home", batch: str, unlike: BatchRecord | None = None) -> Callable[[], BatchRecord | None]:
    def found() -> BatchRecord | None:
        record = read_batch(home.lake, "shop", batch)
        return record if record and record.list and (unlike is None or record.listing != unlike.listing) else None

    return found


def shown(home: "Home", asset: str, name: str) -> pa.Table:
    current = read_current(home.lake, "shop", asset)
    assert current is not None
    return open_published_table(home.lake, current.prefix + name).read()


def scores(home: "Home") -> list[dg.DagsterRun]:
    return [run for run in home.runs() if run.job_name == "shop_score_batch"]


def ticks(home: "Home") -> int:
    """How often a sensor has looked."""
    with dg.DagsterInstance.from_config(str(home.path / "dagster")) as instance:
        (state,) = (state for state in instance.all_instigator_state() if state.instigator_name == "shop_new_batches")
        return len(instance.get_ticks(state.instigator_origin_id, state.selector_id))


def skips(home: "Home") -> list[str]:
    """What the sensor said where it asked for nothing."""
    with dg.DagsterInstance.from_config(str(home.path / "dagster")) as instance:
        found = [state for state in instance.all_instigator_state() if state.instigator_name == "shop_new_batches"]
        looked = [tick for state in found for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)]
        return [tick.skip_reason for tick in looked if tick.skip_reason]


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def ended_runs(home: "Home", job: str, tag: str, value: str) -> list[dg.DagsterRun] | None:
    """Return those that have ended, or none. On a slow machine a schedule of every minute always has another one waiting."""
    found = [run for run in home.runs() if run.job_name == job and run.tags.get(tag) == value]
    return [run for run in found if run.is_finished] or None


def test_what_lands_is_scored_once_a_change_is_scored_anew_and_the_retrain_comes_by_itself(
    watched_home: "Home", customers: Callable[..., pa.Table]
) -> None:
    home = watched_home
    Ui(home)
    landed = customers()
    path = home.land(landed, "b.csv", batch="monday")
    first = waited("monday's list", done(home, "monday"))
    assert home.champion is not None
    assert first.champion.version == home.champion.version
    assert sorted(shown(home, "batch_predictions/monday", "predictions/")["id"].to_pylist()) == sorted(
        landed["customer_id"].to_pylist()
    )
    assert shown(home, "retention_list/monday", "assignments/")["contacted"].to_pylist().count(True) == 20
    (run,) = waited("the run to end", lambda: ended_runs(home, "shop_score_batch", "dagster/partition", "monday"))
    assert (run.status, run.tags["dagster/sensor_name"]) == (dg.DagsterRunStatus.SUCCESS, "shop_new_batches")
    with dg.DagsterInstance.from_config(str(home.path / "dagster")) as instance:
        assert instance.get_dynamic_partitions("shop_batches") == ["monday"]

    # The same file again: looked at, found to be the same, and nothing is started for it.
    before, contents = home.steps_started(), home.contents()["lake"]
    home.land(landed, "b.csv", batch="monday")
    again = waited("the same file to be taken note of", done(home, "monday", unlike=first))
    assert (again.fingerprint, again.landed_at, again.list) == (first.fingerprint, first.landed_at, first.list)
    assert {key: value for key, value in home.contents()["lake"].items() if key != "shop/batches/monday.json"} == {
        key: value for key, value in contents.items() if key != "shop/batches/monday.json"
    }
    assert home.steps_started() == before

    # A changed file is a new version of its batch.
    home.land(landed.slice(0, 200), path.name, batch="monday")
    changed = waited("the changed file", done(home, "monday", unlike=again))
    assert changed.fingerprint != first.fingerprint
    assert changed.list != first.list
    assert shown(home, "batch_predictions/monday", "predictions/").num_rows == 200
    assert {run.status for run in scores(home)[:2]} == {dg.DagsterRunStatus.SUCCESS}

    retrained = waited(
        "the schedule", lambda: ended_runs(home, "shop_retrain", "dagster/schedule_name", "shop_retrain_schedule")
    )
    assert retrained[0].status is dg.DagsterRunStatus.SUCCESS
    assert home.problems() == []


def test_two_daemons_on_one_lake_deliver_a_batch_once(watched_home: "Home", customers: Callable[..., pa.Table]) -> None:
    """`churn ui` started twice in one folder: both sensors look, and both schedules fire."""
    home = watched_home
    first, second = Ui(home), Ui(home)
    batches = {f"b{number}": customers(100, number) for number in range(1, 4)}
    for name, rows in batches.items():
        home.land(rows, "b.csv", batch=name)
    for name in batches:
        waited(f"the list of {name}", done(home, name))
    looked = ticks(home)
    waited("both sensors to look again", lambda: True if ticks(home) >= looked + 4 else None)
    waited("all runs to end", lambda: None if any(not run.is_finished for run in scores(home)) else True)
    assert {run.status for run in scores(home)} == {dg.DagsterRunStatus.SUCCESS}
    steps = ("ingest", "list_layout", "retention_list", "score")
    assert sorted(home.steps_started()) == [step for step in steps for _ in batches]
    for name, rows in batches.items():
        for asset in ("raw_batch", "batch_predictions", "retention_list"):
            published = [
                entry.key for entry in home.lake.entries(f"shop/{asset}/{name}/") if entry.key.endswith(MANIFEST)
            ]
            assert len(published) == 1, published
        assert shown(home, f"batch_predictions/{name}", "predictions/").num_rows == rows.num_rows
    assert home.problems() == []
    assert {run.status for run in home.runs() if run.job_name == "shop_retrain" and run.is_finished} <= {
        dg.DagsterRunStatus.SUCCESS
    }
    assert first.asked("{ version }") == second.asked("{ version }")  # neither has ended the other


def test_after_a_power_cut_the_batch_is_scored_when_the_machine_is_back(
    watched_home: "Home", customers: Callable[..., pa.Table]
) -> None:
    """Everything dies in the middle of a score. Nobody asks for the batch again: the sensor does, though Dagster has seen its key."""
    home, mark = watched_home, watched_home.root / "reached"
    writes = {
        "call": "pyarrow.parquet:ParquetWriter.write_table",
        "moment": "after",
        "then": "wait",
        "step": "score",
        "mark": str(mark),
    }
    home.steps_with(writes)
    Ui(home)
    home.land(customers(), "b.csv", batch="monday")
    waited("the step to write", lambda: mark.exists() or None)
    home.end_all()
    assert read_current(home.lake, "shop", "batch_predictions/monday") is None
    assert scores(home)[0].status is dg.DagsterRunStatus.STARTED

    Ui(home)
    waited("monday's list", done(home, "monday"))
    assert home.problems() == []
    died, *_ = scores(home)
    assert died.status is dg.DagsterRunStatus.FAILURE


def test_a_run_that_a_person_ends_in_the_ui_takes_its_step_along(
    watched_home: "Home", customers: Callable[..., pa.Table]
) -> None:
    home, mark = watched_home, watched_home.root / "reached"
    writes = {
        "call": "pyarrow.parquet:ParquetWriter.write_table",
        "moment": "after",
        "then": "wait",
        "step": "score",
        "mark": str(mark),
    }
    home.steps_with(writes)
    ui = Ui(home)
    home.land(customers(), "b.csv", batch="monday")
    waited("the step to write", lambda: mark.exists() or None)
    (run,) = scores(home)
    ui.asked(f'mutation {{ terminateRun(runId: "{run.run_id}") {{ __typename }} }}')
    (ended,) = waited("the run to end", lambda: ended_runs(home, "shop_score_batch", "dagster/partition", "monday"))
    assert ended.status is dg.DagsterRunStatus.CANCELED
    step = int(mark.read_text())
    waited("the step to end", lambda: None if Path(f"/proc/{step}").exists() else True)
    assert read_current(home.lake, "shop", "batch_predictions/monday") is None
    # A person who runs it by hand gets it.
    assert home.churn("score", "shop", "monday").code == 0


def test_a_batch_whose_run_was_killed_is_asked_for_again(
    watched_home: "Home", customers: Callable[..., pa.Table]
) -> None:
    """Dagster marks such a run failed by itself. Its step, which is left behind, does not keep the next run waiting."""
    home, mark = watched_home, watched_home.root / "reached"
    home.steps_with({**WRITES, "then": "wait", "mark": str(mark)})
    Ui(home)
    home.land(customers(), "b.csv", batch="monday")
    waited("the step to write", lambda: mark.exists() or None)
    step = int(mark.read_text())
    os.kill(parent_of(step), signal.SIGKILL)
    waited("monday's list", done(home, "monday"))
    waited("its run to end", lambda: all(run.is_finished for run in scores(home)) or None)
    assert [run.status for run in scores(home)] == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
    assert not Path(f"/proc/{step}").exists()
    assert home.problems() == []


def test_a_batch_whose_step_is_killed_each_time_is_tried_three_times_more_and_then_said(
    watched_home: "Home", customers: Callable[..., pa.Table]
) -> None:
    """As where memory does not suffice: the system kills the step."""
    home = watched_home
    home.steps_with({**WRITES, "then": "kill each time", "mark": str(home.root / "none")})
    Ui(home)
    home.land(customers(), "b.csv", batch="monday")
    said = waited(
        "the sensor to say it",
        lambda: next((each for each in skips(home) if "not asked for" in each), None),
        patience=1800,  # four runs
    )
    assert "Batch 'monday': 4 runs of it were cut short or left no list, so it is not asked for again" in said
    assert "`churn score shop monday`" in said
    assert {run.status for run in scores(home)} == {dg.DagsterRunStatus.FAILURE}
    assert len(scores(home)) == 4
    home.steps_with()
    home.require(0, "score", "shop", "monday")


@pytest.mark.parametrize(
    ("send", "number"),
    [
        pytest.param(os.killpg, signal.SIGINT, id="Ctrl-C in a terminal"),
        pytest.param(os.kill, signal.SIGINT, id="SIGINT to churn alone"),
        pytest.param(os.kill, signal.SIGTERM, id="SIGTERM to churn alone"),
    ],
)
def test_the_ui_ends_with_all_that_it_started(
    watched_home: "Home", send: Callable[[int, int], None], number: signal.Signals
) -> None:
    home = watched_home
    Ui(home)
    (ui,) = home.started
    send(ui.pid, number)
    waited("all processes to end", lambda: None if home.processes() else True)
