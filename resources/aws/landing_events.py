"""S3's events from an SQS queue, as S3 sends them itself or through EventBridge."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from resources.aws.lake import S3Lake
from resources.aws.session import AwsSession, aws_errors
from resources.errors import EventsError
from resources.ports.landing_events import LandingEvent, LandingEvents

_A_CALL = 10  # messages: SQS gives and takes no more


class SqsLandingEvents(LandingEvents):
    """Takes messages about objects of the lake. Several datasets may share a queue."""

    session: AwsSession
    lake: S3Lake

    def receive(self, queue: str, prefix: str) -> Sequence[LandingEvent]:
        """Return the events below a prefix. What is about other keys is visible again at once; what is about none of the lake is removed."""
        sqs = self.session.client("sqs")
        found: list[LandingEvent] = []
        others: list[str] = []
        nothing: list[str] = []
        with aws_errors(EventsError, f"to read the queue {queue}"):
            url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            for _ in range(self.most_messages // _A_CALL):
                messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=_A_CALL).get("Messages", [])
                for message in messages:
                    keys = tuple(dict.fromkeys(_keys_in(message["Body"], self.lake)))
                    ours = tuple(key for key in keys if key.startswith(prefix))
                    if ours:
                        found.append(LandingEvent(ours, message["ReceiptHandle"]))
                    else:
                        (others if keys else nothing).append(message["ReceiptHandle"])
                if not messages:
                    break
            for part in _parts(others):
                sqs.change_message_visibility_batch(
                    QueueUrl=url, Entries=[{**each, "VisibilityTimeout": 0} for each in part]
                )
            for part in _parts(nothing):
                sqs.delete_message_batch(QueueUrl=url, Entries=part)
        return found

    def finish(self, queue: str, events: Sequence[LandingEvent]) -> None:
        """Remove events. One that the queue has given out again meanwhile comes again, which does no harm."""
        if not events:
            return
        sqs = self.session.client("sqs")
        with aws_errors(EventsError, f"to remove messages from the queue {queue}"):
            url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            for part in _parts([event.receipt for event in events]):
                sqs.delete_message_batch(QueueUrl=url, Entries=part)


def _parts(receipts: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(receipts), _A_CALL):
        part = receipts[start : start + _A_CALL]
        yield [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(part)]


def _keys_in(body: str, lake: S3Lake) -> Iterator[str]:
    """Yield the lake's keys that a message is about: none for a test event, another bucket, or what is no event."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return
    if not isinstance(event, Mapping):
        return
    records = event.get("Records")
    for record in records if isinstance(records, list) else [event]:
        by_bridge = "detail" in record if isinstance(record, Mapping) else False
        place = _text(record, "detail" if by_bridge else "s3", "bucket", "name")
        name = _text(record, "detail" if by_bridge else "s3", "object", "key")
        key = name if by_bridge else unquote_plus(name)
        if place == lake.bucket and key.startswith(lake.prefix):
            yield key.removeprefix(lake.prefix)


def _text(value: Any, *path: str) -> str:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""
