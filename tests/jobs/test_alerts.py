"""Failures become one line each, with the names of dataset and batch, and no values from data."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from jobs.alerts import describe_failed_run, failed_checks_sensor
from resources.local.alerts import LocalAlerts

CHECKS = frozenset(
    dg.AssetCheckKey(dg.AssetKey(["shop", asset]), check)
    for asset, check in [("raw_batch", "holds"), ("champion_model", "holds"), ("spec", "spec_is_valid")]
)


@pytest.fixture
def tick(instance: dg.DagsterInstance, tmp_path: Path) -> Callable[[], list[str]]:
    """Return a function that lets the sensor look once and returns the lines it sent."""
    cursor, log = [""], tmp_path / "alerts.log"

    def look() -> list[str]:
        log.write_text("")
        sensor, alerts = failed_checks_sensor(CHECKS), LocalAlerts(log=str(log))
        with dg.build_sensor_context(instance=instance, cursor=cursor[0], resources={"alerts": alerts}) as context:
            sensor(context)
            cursor[0] = str(context.cursor)
        return [line.partition(" ")[2] for line in log.read_text().splitlines()]

    return look


def evaluate(instance: dg.DagsterInstance, dataset: str, asset: str, *, passed: bool) -> None:
    key = dg.AssetKey([dataset, asset])

    @dg.asset(
        key=key,
        partitions_def=dg.StaticPartitionsDefinition(["monday"]),
        check_specs=[dg.AssetCheckSpec("holds", asset=key)],
    )
    def thing() -> dg.MaterializeResult:
        result = dg.AssetCheckResult(check_name="holds", passed=passed, description="found 555-1234 of Smith")
        return dg.MaterializeResult(check_results=[result])

    assert dg.materialize([thing], instance=instance, partition_key="monday").success


def test_each_failed_check_is_one_line_and_is_sent_once(
    instance: dg.DagsterInstance, tick: Callable[[], list[str]]
) -> None:
    evaluate(instance, "shop", "raw_batch", passed=False)
    assert tick() == [], "what failed before alerts began is history"
    evaluate(instance, "shop", "raw_batch", passed=False)
    evaluate(instance, "shop", "raw_batch", passed=True)
    evaluate(instance, "shop", "champion_model", passed=False)
    evaluate(instance, "another", "raw_batch", passed=False)
    (line,) = tick()
    assert line.startswith("shop batch monday: check holds of raw_batch failed (ERROR, run ")
    assert "Smith" not in line
    assert tick() == []


def test_what_a_tick_has_no_time_for_is_sent_by_the_next(
    instance: dg.DagsterInstance, tick: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tick() == []
    evaluate(instance, "shop", "raw_batch", passed=False)
    with monkeypatch.context() as slow:
        slow.setattr("jobs.alerts._SECONDS_A_TICK", -1)
        assert tick() == []
    assert len(tick()) == 1
    assert tick() == []


def test_a_failed_check_that_no_run_evaluated_is_a_line_too(
    instance: dg.DagsterInstance, tick: Callable[[], list[str]]
) -> None:
    tick()
    key = dg.AssetKey(["shop", "spec"])
    instance.report_runless_asset_event(dg.AssetCheckEvaluation(key, "spec_is_valid", passed=False, metadata={}))
    assert tick() == ["shop: check spec_is_valid of spec failed (ERROR)"]


@pytest.mark.parametrize(
    ("tags", "selection", "line"),
    [
        ({"dataset": "shop", "dagster/partition": "monday"}, None, "shop batch monday: run r of job failed"),
        ({"dataset": "shop"}, None, "shop: run r of job failed"),
        ({}, frozenset({dg.AssetKey(["shop", "raw_batch"])}), "shop: run r of job failed"),
    ],
)
def test_a_failed_run_names_its_dataset_and_batch(
    tags: dict[str, str], selection: frozenset[dg.AssetKey] | None, line: str
) -> None:
    assert describe_failed_run(dg.DagsterRun("job", "r", tags=tags, asset_selection=selection)) == line
