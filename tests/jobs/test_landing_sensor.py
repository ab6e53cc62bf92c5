"""What has landed is reported once, when it has settled, and also when it is gone."""

import os
import time
from pathlib import Path

import dagster as dg

from churn_model.spec.dataset import Dataset
from jobs.landing_sensor import landing_sensor
from resources.local.lake import LocalLake

LONG_AGO = 1_700_000_000.0


def tick(lake: LocalLake, dataset: Dataset, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    with dg.build_sensor_context(cursor=cursor, resources={"lake": lake}) as context:
        found = landing_sensor(dataset)(context)
    assert isinstance(found, dg.SensorResult | dg.SkipReason)
    return found


def test_each_change_is_reported_once_and_the_last_file_s_removal_too(lake: LocalLake, dataset: Dataset) -> None:
    assert isinstance(tick(lake, dataset, None), dg.SkipReason)
    key = f"landing/{dataset.name}/train/a.csv"
    lake.put(key, b"id\n1\n")
    path = Path(lake.uri(key))
    waiting = tick(lake, dataset, None)
    assert isinstance(waiting, dg.SkipReason)
    assert "Waits until nothing has changed" in str(waiting.skip_message)
    os.utime(path, (LONG_AGO, LONG_AGO))
    landed = tick(lake, dataset, None)
    assert isinstance(landed, dg.SensorResult)
    assert isinstance(tick(lake, dataset, landed.cursor), dg.SkipReason)
    path.unlink()
    gone = tick(lake, dataset, landed.cursor)
    assert isinstance(gone, dg.SensorResult)
    assert gone.cursor, "Dagster takes an empty cursor for none, and would report for ever"
    assert isinstance(tick(lake, dataset, gone.cursor), dg.SkipReason)


def test_a_file_from_the_future_is_not_waited_for(lake: LocalLake, dataset: Dataset) -> None:
    key = f"landing/{dataset.name}/train/a.csv"
    lake.put(key, b"id\n1\n")
    ahead = time.time() + 86_400
    os.utime(lake.uri(key), (ahead, ahead))
    assert isinstance(tick(lake, dataset, None), dg.SensorResult)
