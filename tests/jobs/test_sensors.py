import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn_model.errors import InputError
from churn_model.spec.dataset import Dataset
from jobs import sensors as triggers
from jobs.batches import MOST_REPEATS, Sweep, assess_batch, sweep_batches
from jobs.score import score_job
from jobs.sensors import new_batches_sensor
from resources.catalog.landing import list_batch, listing_of
from resources.catalog.names import batch_key, champion_key
from resources.catalog.pointers import (
    BatchRecord,
    Champion,
    Current,
    point_to,
    read_batch,
    to_bytes,
)
from resources.errors import StepKilled
from resources.local.lake import LocalLake
from resources.local.landing_events import LocalLandingEvents
from resources.local.run_locks import PROCESS_TAG, LocalRunLocks

AN_HOUR_AGO = time.time() - 3600
HERE = Current("v", "p/")


def drop(lake: LocalLake, key: str, content: bytes = b"id\n1\n", when: float = AN_HOUR_AGO) -> None:
    lake.put(f"landing/telco/score/{key}", content)
    os.utime(lake.uri(f"landing/telco/score/{key}"), (when, when))


def crown(lake: LocalLake) -> None:
    champion = Champion(
        "m1", "telco/tuned_model/m1/", "telco/evaluation_report/e1/", "2026-01-01T00:00:00+00:00", "first", "good"
    )
    lake.swap(champion_key("telco"), None, to_bytes(champion))


def score(lake: LocalLake, batch: str) -> None:
    record = BatchRecord(
        batch, "f", listing_of(list_batch(lake, "telco", batch).entries), "2026-01-01T00:00:00+00:00", HERE, HERE, HERE
    )
    point_to(lake, batch_key("telco", batch), record)


def _run_locks(lake: LocalLake) -> LocalRunLocks:
    return LocalRunLocks(folder=lake.root + "-locks")


def leave_dead_process(lake: LocalLake, run_id: str) -> str:
    """The tag's value of a process that had claimed the run and is gone."""
    name = f"dead-{run_id}"
    left = Path(_run_locks(lake).folder, "processes", name)
    left.parent.mkdir(parents=True, exist_ok=True)
    left.touch()
    return f"{run_id}/{name}"


def tick(lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    sensor = new_batches_sensor(dataset, score_job(dataset))
    with dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        resources={"lake": lake, "landing_events": LocalLandingEvents(), "run_locks": _run_locks(lake)},
    ) as context:
        return sensor(context)


def asked(result: Any) -> list[str]:
    return [str(request.partition_key) for request in result.run_requests]


def test_without_a_champion_nothing_is_asked_for_and_the_reason_is_said(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    drop(lake, "today/a.csv")
    result = tick(lake, dataset, instance)
    assert isinstance(result, dg.SkipReason)
    assert "No champion of telco yet" in str(result.skip_message)


def test_a_landed_batch_is_asked_for_with_its_partition(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    crown(lake)
    drop(lake, "today/a.csv")
    drop(lake, "alone.csv")
    result = tick(lake, dataset, instance)
    assert asked(result) == ["alone.csv", "today"]
    (partitions,) = result.dynamic_partitions_requests
    assert partitions.partition_keys == ["alone.csv", "today"]


def test_a_batch_that_is_scored_as_it_is_now_is_left_alone(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    crown(lake)
    drop(lake, "today/a.csv")
    score(lake, "today")
    assert asked(tick(lake, dataset, instance)) == []


def test_a_batch_that_was_taken_up_but_has_no_list_yet_is_asked_for(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    crown(lake)
    drop(lake, "today/a.csv")
    score(lake, "today")
    record = read_batch(lake, "telco", "today")
    assert record is not None
    point_to(lake, batch_key("telco", "today"), replace(record, list=None))
    assert asked(tick(lake, dataset, instance)) == ["today"]


def _raise(error: BaseException, cause: Exception | None = None) -> None:
    raise error from cause


ENDINGS: dict[str, Callable[[], None]] = {
    "bad data": lambda: _raise(dg.Failure("bad"), InputError("bad")),
    "a step killed": lambda: _raise(dg.Failure("killed"), StepKilled("killed by signal 9")),
    "interrupted": lambda: _raise(dg.DagsterExecutionInterruptedError()),
}


def run_ends(lake: LocalLake, instance: dg.DagsterInstance, request: Any, how: str) -> None:
    """Let the run that was asked for end as Dagster and the system would have it."""
    tags = {**request.tags, "dagster/partition": request.partition_key}
    if how in ENDINGS:
        job = dg.GraphDefinition(name="telco_score_batch", node_defs=[_ending(how)])
        job.to_job(tags=tags).execute_in_process(instance=instance, raise_on_error=False)
        return
    run_id = str(uuid4())
    if how == "the machine stopped":
        tags[PROCESS_TAG] = leave_dead_process(lake, run_id)
    status = dg.DagsterRunStatus.CANCELED if how == "cancelled" else dg.DagsterRunStatus.STARTED
    run = dg.DagsterRun("telco_score_batch", run_id, tags=tags, status=status)
    instance.add_run(run)
    if how == "its process killed":  # Dagster notices that before we do
        instance.report_run_failed(run)


def _ending(how: str) -> dg.OpDefinition:
    @dg.op(name="ends")
    def ends() -> None:
        ENDINGS[how]()

    return ends


CUT_SHORT = ("a step killed", "interrupted", "the machine stopped", "its process killed", "cancelled")


@pytest.mark.parametrize("how", CUT_SHORT)
def test_a_batch_whose_run_was_cut_short_is_asked_for_three_more_times_and_then_named(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance, how: str
) -> None:
    crown(lake)
    drop(lake, "today/a.csv")
    keys = []
    for _ in range(1 + MOST_REPEATS):
        (request,) = tick(lake, dataset, instance).run_requests
        keys.append(request.run_key)
        run_ends(lake, instance, request, how)
    assert keys == [keys[0], *(f"{keys[0]}:{number}" for number in (1, 2, 3))]
    last = tick(lake, dataset, instance)
    assert asked(last) == []
    assert "Batch 'today': 4 runs of it were cut short" in last.skip_reason.skip_message
    assert "run `churn score telco today`" in last.skip_reason.skip_message
    drop(lake, "today/a.csv", b"id\n1\n2\n")
    assert asked(tick(lake, dataset, instance)) == ["today"]


def test_a_batch_that_failed_for_a_reason_is_not_asked_for_again_and_the_run_is_named(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    crown(lake)
    drop(lake, "today/a.csv")
    (request,) = tick(lake, dataset, instance).run_requests
    run_ends(lake, instance, request, "bad data")
    (run,) = instance.get_runs()
    assert f"Batch 'today': run {run.run_id[:8]} failed" in tick(lake, dataset, instance).skip_reason.skip_message


def test_a_batch_waits_for_the_run_that_has_it(lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance) -> None:
    crown(lake)
    drop(lake, "today/a.csv")
    instance.add_run(
        dg.DagsterRun(
            "telco_score_batch", str(uuid4()), tags={"dagster/partition": "today"}, status=dg.DagsterRunStatus.STARTING
        )
    )
    result = tick(lake, dataset, instance)
    assert asked(result) == []
    assert "has it (starting)" in result.skip_reason.skip_message


def test_a_request_that_dagster_never_launched_is_made_again_under_its_key(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    crown(lake)
    drop(lake, "today/a.csv")
    (first,) = tick(lake, dataset, instance).run_requests
    instance.add_run(
        dg.DagsterRun(
            "telco_score_batch",
            str(uuid4()),
            tags={**first.tags, "dagster/partition": "today"},
            status=dg.DagsterRunStatus.NOT_STARTED,
        )
    )
    (again,) = tick(lake, dataset, instance).run_requests
    assert again.run_key == first.run_key


def test_a_batch_whose_record_is_damaged_is_asked_for_and_stops_no_other(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    crown(lake)
    for name in ("monday", "tuesday"):
        drop(lake, f"{name}/a.csv")
        score(lake, name)
    record = Path(lake.uri(batch_key("telco", "monday")))
    record.write_bytes(record.read_bytes()[:50])
    assert asked(tick(lake, dataset, instance)) == ["monday"]


def test_what_cannot_be_read_is_named_and_the_good_batches_are_asked_for(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    crown(lake)
    drop(lake, "good/a.csv")
    drop(lake, "half/a.csv")
    folder = Path(lake.uri("landing/telco/score"))
    os.mkfifo(folder / "pipe.csv")
    os.mkfifo(folder / "good" / "pipe.csv")
    (folder / "loop").symlink_to("loop")
    (folder / "half" / "more.csv").symlink_to(folder / "good" / "a.csv")
    Path(os.fsdecode(os.fsencode(folder) + b"/donn\xe9es.csv")).write_text("id\n1\n")
    assert asked(tick(lake, dataset, instance)) == ["good"]
    score(lake, "good")
    message = tick(lake, dataset, instance).skip_reason.skip_message
    for name in (
        "pipe.csv: it is a named pipe",
        "loop: links are not followed",
        "half/more.csv: links",
        "donn\\xe9es.csv",
    ):
        assert name in message
    with pytest.raises(InputError, match=r"half/more\.csv: links are not followed; copy what it points at"):
        list_batch(lake, "telco", "half")


def test_a_changed_batch_is_asked_for_under_another_key(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    crown(lake)
    drop(lake, "today/a.csv")
    first = tick(lake, dataset, instance).run_requests[0].run_key
    score(lake, "today")
    drop(lake, "today/b.csv")
    (again,) = tick(lake, dataset, instance).run_requests
    assert again.run_key != first


@pytest.mark.parametrize(("settle", "age", "expected"), [("60s", 5, []), ("60s", 120, ["today"]), ("1h", 120, [])])
def test_a_batch_waits_until_it_has_settled(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance, settle: str, age: int, expected: list[str]
) -> None:
    crown(lake)
    drop(lake, "today/a.csv")
    drop(lake, "today/b.csv", when=time.time() - age)
    patient = replace(dataset, watch=replace(dataset.watch, settle=settle))
    assert asked(tick(lake, patient, instance)) == expected


def test_a_batch_that_has_just_been_scored_waits_for_nothing(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    crown(lake)
    drop(lake, "today/a.csv", when=time.time())
    score(lake, "today")
    (batch,) = sweep_batches(lake, "telco", Sweep(), objects=10, until=time.monotonic() + 60)
    assert assess_batch(lake, instance, _run_locks(lake), dataset, batch) is None


@pytest.mark.parametrize(("ahead", "is_asked_for"), [(120, False), (86_400, True), (40 * 365 * 86_400, True)])
def test_a_batch_from_the_future_is_waited_for_no_longer_than_clocks_differ(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance, ahead: float, is_asked_for: bool
) -> None:
    """The clock was set back, or an archive kept a wrong time."""
    crown(lake)
    drop(lake, "today/a.csv", when=time.time() + ahead)
    assert asked(tick(lake, dataset, instance)) == (["today"] if is_asked_for else [])


def test_files_of_the_same_second_are_all_seen(lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance) -> None:
    crown(lake)
    for number in range(30):
        drop(lake, f"b{number:02d}/a.csv")
    first = tick(lake, dataset, instance)
    second = tick(lake, dataset, instance, first.cursor)
    assert len(asked(first)) == triggers.REQUESTS_A_TICK
    assert asked(first) + asked(second) == [f"b{number:02d}" for number in range(30)]


@pytest.mark.parametrize("name", ["bad name!", "ledger.json", "Current.json"])
def test_a_bad_batch_name_is_refused_and_the_others_go_on(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance, name: str
) -> None:
    """A folder called as the ledger would stand in the ledger's place."""
    crown(lake)
    drop(lake, f"{name}/a.csv")
    drop(lake, "good/a.csv")
    assert asked(tick(lake, dataset, instance)) == ["good"]
    score(lake, "good")
    assert f"found {name!r}. Rename it" in str(tick(lake, dataset, instance).skip_reason)


def test_marks_of_the_tools_that_wrote_a_batch_are_no_data(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    crown(lake)
    drop(lake, "empty/_SUCCESS")
    drop(lake, "today/.DS_Store")
    drop(lake, "today/a.csv")
    assert asked(tick(lake, dataset, instance)) == ["today"]


def test_a_lost_cursor_loses_nothing_and_repeats_nothing(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    crown(lake)
    drop(lake, "a/x.csv")
    tick(lake, dataset, instance)
    score(lake, "a")
    drop(lake, "b/x.csv")
    assert asked(tick(lake, dataset, instance, cursor=None)) == ["b"]


def test_a_tick_whose_time_is_over_stops_at_the_next_batch_and_the_next_one_goes_on(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triggers, "SECONDS_A_TICK", -1)
    crown(lake)
    for batch in ("a", "b", "c"):
        drop(lake, f"{batch}/x.csv")
    cursor, found = None, []
    for _ in range(4):
        result = tick(lake, dataset, instance, cursor)
        found.append(asked(result))
        cursor = result.cursor
    assert found == [["a"], ["b"], ["c"], ["a"]]


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6), objects=st.integers(1, 15))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_sweep_cut_anywhere_sees_each_batch_once_and_whole(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], objects: int
) -> None:
    lake = LocalLake(root=str(tmp_path_factory.mktemp("lake")))
    for batch, files in enumerate(sizes):
        for number in range(files):
            drop(lake, f"b{batch}/{number}.csv")
    sweep, seen, ticks = Sweep(), [], 0
    while sweep.number == 0:
        seen += list(sweep_batches(lake, "telco", sweep, objects=objects, until=time.monotonic() + 60))
        sweep = Sweep(**json.loads(json.dumps(vars(sweep))))  # as the cursor keeps it
        ticks += 1
        assert ticks < 100
    assert [batch.name for batch in seen] == [f"b{batch}" for batch in range(len(sizes))]
    assert [batch.listing for batch in seen] == [
        listing_of(list_batch(lake, "telco", batch.name).entries) for batch in seen
    ]


def test_every_dataset_has_a_sensor_that_runs_from_the_start(dataset: Dataset, tmp_path: Path) -> None:
    sensor = new_batches_sensor(dataset, score_job(dataset))
    assert (sensor.name, sensor.default_status) == ("telco_new_batches", dg.DefaultSensorStatus.RUNNING)


def count_listings(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each folder is listed from now on, by its name."""
    listings: Counter[str] = Counter()
    real = os.scandir

    def scandir(folder: Any) -> Any:
        listings[Path(folder).name] += 1
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    return listings


def test_a_batch_is_listed_once_whatever_is_beside_it(lake: LocalLake, monkeypatch: pytest.MonkeyPatch) -> None:
    for batch in ("today", "today-2", "today-3"):
        for name in ("a.csv", "more/b.csv"):
            drop(lake, f"{batch}/{name}")
    os.mkfifo(lake.uri("landing/telco/score/today/pipe"))
    listings = count_listings(monkeypatch)
    landed = list_batch(lake, "telco", "today")
    assert [entry.key.rpartition("/")[2] for entry in landed.entries] == ["a.csv", "b.csv"]
    assert [each.key.rpartition("/")[2] for each in landed.passed_over] == ["pipe"]
    assert listings == {"today": 1, "more": 1}


def test_a_tick_lists_each_folder_once_also_where_something_cannot_be_read(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    crown(lake)
    for batch in ("a", "b", "c"):
        drop(lake, f"{batch}/x.csv")
    os.mkfifo(lake.uri("landing/telco/score/a/pipe"))
    Path(lake.uri("landing/telco/score/b/link.csv")).symlink_to("x.csv")
    listings = count_listings(monkeypatch)
    result = tick(lake, dataset, instance)
    assert asked(result) == ["a", "c"]
    assert {name: listings[name] for name in ("score", "a", "b", "c")} == {"score": 1, "a": 1, "b": 1, "c": 1}


@given(cut=st.integers(1, 6))
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_a_batch_lacks_is_remembered_where_a_sweep_is_cut(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    lake = LocalLake(root=str(tmp_path_factory.mktemp("lake")))
    for key in ("a/1.csv", "b/2.csv", "b/3.csv", "c/1.csv"):
        drop(lake, key)
    Path(lake.uri("landing/telco/score/b/1.csv")).symlink_to("2.csv")
    sweep, seen = Sweep(), []
    while sweep.number == 0:
        seen += list(sweep_batches(lake, "telco", sweep, objects=cut, until=time.monotonic() + 60))
        sweep = Sweep(**json.loads(json.dumps(vars(sweep))))
    assert [(batch.name, batch.lacks) for batch in seen] == [("a", False), ("b", True), ("c", False)]
