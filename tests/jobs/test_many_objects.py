"""The sensor over more objects than a tick reads, on AWS: new batches between old ones, and half of them land meanwhile."""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import pytest

from churn_model.spec.dataset import Dataset
from jobs import sensors
from resources.aws.lake import S3Lake
from resources.aws.session import forget_clients
from resources.local.run_locks import LocalRunLocks
from tests.aws.large_bucket import DATASET, NAME, LargeBucket, serving
from tests.aws.sweeps import Sweeper, new_batches, send_events

OLD, NEW = 3000, 100
OBJECTS, REQUESTS = 700, 10


@pytest.fixture
def large_lake(aws_lake: S3Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Lake]:
    with serving(LargeBucket(OLD, NEW)) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
        forget_clients()
        yield S3Lake(session=aws_lake.session, bucket=NAME)


@pytest.mark.parametrize("queue", [None, "landed"])
def test_every_new_batch_is_asked_for_once_whatever_becomes_of_the_events(
    large_lake: S3Lake,
    dataset: Dataset,
    instance: dg.DagsterInstance,
    run_locks: LocalRunLocks,
    monkeypatch: pytest.MonkeyPatch,
    queue: str | None,
) -> None:
    monkeypatch.setattr(sensors, "OBJECTS_A_TICK", OBJECTS)
    monkeypatch.setattr(sensors, "REQUESTS_A_TICK", REQUESTS)
    watched = replace(dataset, name=DATASET, watch=replace(dataset.watch, events=queue))
    sweeper = Sweeper(large_lake, watched, instance, run_locks)
    if queue:
        send_events(large_lake, queue, NEW)
    requests = [sweeper.tick()]
    sweeper.show_the_rest()
    requests += sweeper.ticks_until(lambda: sweeper.sweeps == 3, at_most=40)
    assert sweeper.asked == dict.fromkeys(new_batches(NEW), 1)
    assert max(requests) == REQUESTS
    assert len(requests) >= 3 * (OLD + NEW) // OBJECTS
