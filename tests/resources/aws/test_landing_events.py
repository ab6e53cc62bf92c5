"""Events of a queue as hints: what they name is looked at first, and what they do not name is found by the listing."""

import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import dagster as dg
import pytest

from churn_model.spec.dataset import Dataset
from jobs import sensors
from jobs.score import score_job
from resources.aws.lake import S3Lake
from resources.aws.landing_events import SqsLandingEvents
from resources.catalog.names import champion_key
from resources.catalog.pointers import Champion, to_bytes
from resources.errors import EventsError
from resources.local.run_locks import LocalRunLocks

SCORE = "landing/telco/score/"


@dataclass
class Landing:
    """A bucket, its queue, and the sensor that looks at both."""

    lake: S3Lake
    events: SqsLandingEvents
    dataset: Dataset
    instance: dg.DagsterInstance
    run_locks: LocalRunLocks

    @property
    def sqs(self) -> Any:
        return self.lake.session.client("sqs")

    @property
    def url(self) -> str:
        return str(self.sqs.get_queue_url(QueueName=self.dataset.watch.events)["QueueUrl"])

    def drop(self, name: str) -> None:
        self.lake.put(f"{SCORE}{name}", b"id\n1\n")

    def tell(self, *keys: str, bucket: str | None = None) -> None:
        """Send what S3 sends about objects of the lake."""
        place = {"name": bucket or self.lake.bucket}
        records = [{"s3": {"bucket": place, "object": {"key": quote_plus(self.lake.prefix + key)}}} for key in keys]
        self.say(json.dumps({"Records": records}))

    def say(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def look(self, cursor: str | None = None) -> tuple[list[str], str]:
        """Return the batches that one tick asks for, and its cursor, once what has landed has settled."""
        newest = max((entry.modified for entry in self.lake.entries(SCORE)), default=datetime.now(UTC))
        time.sleep(max(0.0, 1.05 - (datetime.now(UTC) - newest).total_seconds()))
        resources = {"lake": self.lake, "landing_events": self.events, "run_locks": self.run_locks}
        with dg.build_sensor_context(self.instance, cursor=cursor, resources=resources) as context:
            result: Any = sensors.new_batches_sensor(self.dataset, score_job(self.dataset))(context)
        return [str(request.partition_key) for request in result.run_requests], str(result.cursor)

    @property
    def left(self) -> int:
        """Messages in the queue, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


@pytest.fixture
def landing(aws_lake: S3Lake, dataset: Dataset, instance: dg.DagsterInstance, run_locks: LocalRunLocks) -> Landing:
    queue = f"landed-{aws_lake.bucket}"
    aws_lake.session.client("sqs").create_queue(QueueName=queue)
    champion = Champion(
        "m1", "telco/tuned_model/m1/", "telco/evaluation_report/e1/", "2026-01-01T00:00:00+00:00", "first", ""
    )
    aws_lake.swap(champion_key("telco"), None, to_bytes(champion))
    events = SqsLandingEvents(session=aws_lake.session, lake=aws_lake)
    watched = replace(dataset, watch=replace(dataset.watch, settle="1s", events=queue))
    return Landing(aws_lake, events, watched, instance, run_locks)


def test_what_events_name_is_looked_at_before_the_listing_comes_to_it(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "REQUESTS_A_TICK", 2)
    for name in ("a", "b", "c", "x=1 é"):
        landing.drop(f"{name}/customers 1.csv")
    landing.drop("z.csv")
    landing.tell(f"{SCORE}z.csv")
    landing.tell(f"{SCORE}c/customers 1.csv")
    assert sorted(landing.look()[0]) == ["c", "z.csv"]
    assert landing.left == 0


def test_events_that_are_lost_doubled_or_out_of_order_change_nothing(landing: Landing) -> None:
    for name in ("a", "b", "c"):
        landing.drop(f"{name}/1.csv")
    landing.tell(f"{SCORE}c/1.csv")
    landing.tell(f"{SCORE}gone/1.csv")
    landing.tell(f"{SCORE}a/1.csv", f"{SCORE}c/1.csv")
    landing.tell(f"{SCORE}c/1.csv")
    asked, cursor = landing.look()
    assert sorted(asked) == ["a", "b", "c"]  # each once, b by the listing
    assert landing.left == 0
    landing.tell(f"{SCORE}a/1.csv")  # late: what is known is asked for under the same key, which Dagster does once
    assert sorted(landing.look(cursor)[0]) == ["a", "b", "c"]


def test_what_is_no_event_of_the_lake_goes_and_that_of_another_dataset_stays(landing: Landing) -> None:
    landing.tell("landing/sample/score/a/1.csv")
    landing.tell(f"{SCORE}a/1.csv", bucket="another")
    bridge = {"bucket": {"name": landing.lake.bucket}, "object": {"key": f"{landing.lake.prefix}{SCORE}b c/1+1.csv"}}
    bodies = ("[" * 5000, "no JSON", "3", '{"Event": "s3:TestEvent"}', '{"Records": [1, {"s3": []}]}')
    for body in (*bodies, json.dumps({"detail": bridge})):
        landing.say(body)
    found = landing.events.receive(str(landing.dataset.watch.events), SCORE)
    assert [event.keys for event in found] == [(f"{SCORE}b c/1+1.csv",)]
    landing.events.finish(str(landing.dataset.watch.events), found)
    assert landing.left == 1
    others = landing.events.receive(str(landing.dataset.watch.events), "landing/sample/score/")
    assert [event.keys for event in others] == [("landing/sample/score/a/1.csv",)]


def test_a_batch_that_has_not_settled_keeps_its_event(landing: Landing) -> None:
    landing.dataset = replace(landing.dataset, watch=replace(landing.dataset.watch, settle="1h"))
    landing.drop("a/1.csv")
    landing.tell(f"{SCORE}a/1.csv")
    assert landing.look()[0] == []
    assert landing.left == 1


def test_without_its_queue_the_listing_says_what_has_landed(landing: Landing) -> None:
    landing.sqs.delete_queue(QueueUrl=landing.url)
    landing.drop("a/1.csv")
    with pytest.raises(EventsError, match=r"Expected to read the queue landed-.*; found .*NonExistentQueue"):
        landing.events.receive(str(landing.dataset.watch.events), SCORE)
    assert landing.look()[0] == ["a"]
