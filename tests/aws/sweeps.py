"""The sensor over a bucket of many objects, tick by tick, as the daemon calls it: what each tick took, and what was asked for."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from churn_model.spec.dataset import Dataset
from jobs.batches import LISTING_TAG
from jobs.score import score_job
from jobs.sensors import new_batches_sensor
from resources.aws.lake import S3Lake
from resources.aws.landing_events import SqsLandingEvents
from resources.catalog.landing import batch_of
from resources.catalog.names import batch_key
from resources.catalog.pointers import BatchRecord, Current, to_bytes
from resources.local.run_locks import LocalRunLocks
from tests.aws.large_bucket import DATASET, LATER, make_keys

_CURRENT = Current("v1", f"{DATASET}/made/v1/")
_LOST, _DOUBLED = 0.1, 0.1


@dataclass
class Sweeper:
    """A sensor, its cursor, and the batches that it has asked for so far, each how often."""

    lake: S3Lake
    dataset: Dataset
    instance: dg.DagsterInstance
    run_locks: LocalRunLocks
    asked: Counter[str] = field(default_factory=Counter)
    cursor: str | None = None
    slowest: float = 0.0  # seconds of a tick

    def tick(self) -> int:
        """Look once, and let what is asked for be scored at once. Return how many batches were asked for."""
        events = SqsLandingEvents(session=self.lake.session, lake=self.lake)
        resources = {"lake": self.lake, "landing_events": events, "run_locks": self.run_locks}
        began = time.monotonic()
        with dg.build_sensor_context(self.instance, cursor=self.cursor, resources=resources) as context:
            result: Any = new_batches_sensor(self.dataset, score_job(self.dataset))(context)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.cursor = result.cursor
        for request in result.run_requests:
            self._score(str(request.partition_key), request.tags[LISTING_TAG])
        return len(result.run_requests)

    def ticks_until(self, is_done: Callable[[], bool], at_most: int = 10_000) -> Iterator[int]:
        """Tick, and yield how many batches each tick asked for."""
        for _ in range(at_most):
            if is_done():
                return
            yield self.tick()
        raise AssertionError(f"expected the sensor to be done after {at_most} ticks; it asked for {len(self.asked)}")

    @property
    def sweeps(self) -> int:
        """How many sweeps have come to the end of the listing."""
        return int(json.loads(self.cursor)["number"]) if self.cursor else 0

    def _score(self, batch: str, listing: str) -> None:
        self.asked[batch] += 1
        record = BatchRecord(batch, "f", listing, "2026-01-01T00:00:00+00:00", _CURRENT, _CURRENT, _CURRENT)
        self.lake.put(batch_key(DATASET, batch), to_bytes(record))

    def show_the_rest(self) -> None:
        """Let the other half of the new objects land."""
        self.lake.put(LATER, b"")


def new_batches(number: int) -> set[str]:
    """Return the names of all new batches."""
    return {batch_of(DATASET, key) for key in make_keys("new", number)}


def send_events(lake: S3Lake, queue: str, number: int) -> None:
    """Send what S3 sends about each new object, in no order; a tenth of the events is lost, and a tenth comes twice."""
    chance = random.Random(1729)
    keys = [key for key in make_keys("new", number) if chance.random() >= _LOST]
    keys += [key for key in keys if chance.random() < _DOUBLED]
    chance.shuffle(keys)
    place = {"name": lake.bucket}
    bodies = [json.dumps({"Records": [{"s3": {"bucket": place, "object": {"key": key}}}]}) for key in keys]
    sqs = lake.session.client("sqs")
    url = sqs.create_queue(QueueName=queue, Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
    for start in range(0, len(bodies), 10):
        entries = [{"Id": str(each), "MessageBody": body} for each, body in enumerate(bodies[start : start + 10])]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
