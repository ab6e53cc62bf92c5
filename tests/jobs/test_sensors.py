import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn_model.spec.dataset import Dataset
from jobs import sensors as triggers
from jobs.score import score_job
from jobs.sensors import Sweep, new_batches_sensor, sweep_batches
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
from resources.local.lake import LocalLake
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
        batch, "f", listing_of(list_batch(lake, "telco", batch)), "2026-01-01T00:00:00+00:00", HERE, HERE, HERE
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
        instance=instance, cursor=cursor, resources={"lake": lake, "run_locks": _run_locks(lake)}
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


def test_a_batch_whose_run_was_killed_gets_a_new_key_a_few_times_and_one_that_failed_does_not(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    crown(lake)
    drop(lake, "today/a.csv")
    keys = []
    for died in (False, True, True, True, True):
        keys.append(tick(lake, dataset, instance).run_requests[0].run_key)
        run_id = str(uuid4())
        process = {PROCESS_TAG: leave_dead_process(lake, run_id)} if died else {}
        run = dg.DagsterRun(
            "telco_score_batch", run_id, tags={"batch": "today", **process}, status=dg.DagsterRunStatus.STARTED
        )
        instance.add_run(run)
        if not died:
            instance.report_run_failed(run)
    keys.append(tick(lake, dataset, instance).run_requests[0].run_key)
    plain = keys[0]
    assert keys == [plain, plain, f"{plain}:1", f"{plain}:2", f"{plain}:3", f"{plain}:3"]


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


def test_files_of_the_same_second_are_all_seen(lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance) -> None:
    crown(lake)
    for number in range(30):
        drop(lake, f"b{number:02d}/a.csv")
    first = tick(lake, dataset, instance)
    second = tick(lake, dataset, instance, first.cursor)
    assert len(asked(first)) == triggers.REQUESTS_A_TICK
    assert asked(first) + asked(second) == [f"b{number:02d}" for number in range(30)]


def test_a_bad_batch_name_is_refused_and_the_others_go_on(
    lake: LocalLake, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    crown(lake)
    drop(lake, "bad name!/a.csv")
    drop(lake, "good/a.csv")
    assert asked(tick(lake, dataset, instance)) == ["good"]
    score(lake, "good")
    assert "found 'bad name!'. Rename it" in str(tick(lake, dataset, instance).skip_reason)


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


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6), pages=st.integers(1, 3), page_size=st.integers(1, 5))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_sweep_cut_anywhere_sees_each_batch_once_and_whole(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], pages: int, page_size: int
) -> None:
    lake = LocalLake(root=str(tmp_path_factory.mktemp("lake")))
    for batch, files in enumerate(sizes):
        for number in range(files):
            drop(lake, f"b{batch}/{number}.csv")
    sweep, seen, ticks = Sweep(), [], 0
    while sweep.number == 0:
        seen += list(sweep_batches(lake, "telco", sweep, pages=pages, until=time.monotonic() + 60, page_size=page_size))
        sweep = Sweep(**json.loads(json.dumps(vars(sweep))))  # as the cursor keeps it
        ticks += 1
        assert ticks < 100
    assert [batch.name for batch in seen] == [f"b{batch}" for batch in range(len(sizes))]
    assert [batch.listing for batch in seen] == [listing_of(list_batch(lake, "telco", batch.name)) for batch in seen]


def test_every_dataset_has_a_sensor_that_runs_from_the_start(dataset: Dataset, tmp_path: Path) -> None:
    sensor = new_batches_sensor(dataset, score_job(dataset))
    assert (sensor.name, sensor.default_status) == ("telco_new_batches", dg.DefaultSensorStatus.RUNNING)
