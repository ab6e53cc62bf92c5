"""What a process has seen of a bucket saves it requests, and never hides what has changed since."""

from collections.abc import Iterator

import pytest

from churn_model.reports.step_report import PublishedFile
from resources.aws.lake import S3Lake
from resources.aws.seen_objects import Seen, SeenObjects
from resources.catalog.digests import digest_object
from resources.catalog.integrity import find_whole, require_file
from resources.errors import DamagedError, SwapConflict
from resources.ports.lake import Manifest
from tests.aws.iam import Recording, recorded_calls

PREFIX = "shop/tuned_model/v1/"


@pytest.fixture
def recording() -> Iterator[Recording]:
    with recorded_calls("churn") as recording:
        yield recording


def replace_elsewhere(lake: S3Lake, key: str, content: bytes) -> None:
    """Write an object as another process would."""
    lake.session.client("s3").put_object(Bucket=lake.bucket, Key=lake.prefix + key, Body=content)


def publish(lake: S3Lake) -> None:
    files = {}
    for name, content in (("model.tar.gz", b"model"), ("report.json", b"{}")):
        lake.put(PREFIX + name, content)
        files[name] = PublishedFile(len(content), digest_object(lake, PREFIX + name))
    lake.publish(PREFIX, Manifest("v1", files))


def test_a_version_that_was_seen_whole_is_found_again_by_one_listing(aws_lake: S3Lake, recording: Recording) -> None:
    publish(aws_lake)
    assert find_whole(aws_lake, PREFIX)
    recording.requests.clear()
    assert find_whole(aws_lake, PREFIX)
    assert require_file(aws_lake, PREFIX, "report.json") == b"{}"
    assert [operation for operation, _ in recording.requests] == ["ListObjectsV2"] * 2


@pytest.mark.parametrize("name", ["model.tar.gz", "report.json", "_manifest.json"])
def test_damage_is_noticed_in_what_was_seen_whole(aws_lake: S3Lake, name: str) -> None:
    publish(aws_lake)
    assert find_whole(aws_lake, PREFIX)
    replace_elsewhere(aws_lake, PREFIX + name, b"[]" if name == "report.json" else b"medol")
    with pytest.raises(DamagedError):
        find_whole(aws_lake, PREFIX)
    aws_lake.remove([PREFIX + name])
    if name == "_manifest.json":
        assert find_whole(aws_lake, PREFIX) is None
    else:
        with pytest.raises(DamagedError, match="found no file"):
            find_whole(aws_lake, PREFIX)


def test_a_pointer_that_was_just_read_is_moved_by_one_request(aws_lake: S3Lake, recording: Recording) -> None:
    aws_lake.swap("p", None, b"1")
    recording.requests.clear()
    aws_lake.swap("p", b"1", b"2")
    aws_lake.swap("p", b"2", b"3")
    assert [operation for operation, _ in recording.requests] == ["PutObject"] * 2
    assert aws_lake.read("p") == b"3"


def test_a_pointer_that_was_moved_elsewhere_meanwhile_is_a_conflict(aws_lake: S3Lake) -> None:
    aws_lake.swap("p", None, b"1")
    replace_elsewhere(aws_lake, "p", b"2")
    with pytest.raises(SwapConflict):
        aws_lake.swap("p", b"1", b"3")
    assert aws_lake.read("p") == b"2"
    replace_elsewhere(aws_lake, "p", b"1")  # back to what this process saw first
    aws_lake.swap("p", b"1", b"3")
    aws_lake.remove(["p"])
    with pytest.raises(SwapConflict):
        aws_lake.swap("p", b"3", b"4")


def test_a_copy_of_what_was_seen_is_known_without_a_look(aws_lake: S3Lake, recording: Recording) -> None:
    aws_lake.put("jobs/a/model", b"model")
    (checked,) = aws_lake.list("jobs/")
    aws_lake.copy_object(checked, "shop/model")
    (copied,) = aws_lake.list("shop/")
    recording.requests.clear()
    assert aws_lake.read_listed(copied) == b"model"
    assert recording.requests == []


def test_no_more_is_remembered_than_there_is_room_for() -> None:
    seen = SeenObjects(most_bytes=10)
    for key, size in (("a", 4), ("b", 4), ("a", 5)):
        seen.remember(key, Seen("tag", bytes(size)))
    seen.recall("b")
    seen.remember("c", Seen("tag", bytes(3)))  # `a` was used the longest ago
    assert [key for key in "abc" if seen.recall(key)] == ["b", "c"]
    seen.remember("b", Seen("tag", bytes(11)))
    seen.remember("c", Seen("", b""))  # what has no ETag cannot be compared
    assert [key for key in "abc" if seen.recall(key)] == []
