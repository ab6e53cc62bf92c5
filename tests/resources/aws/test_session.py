"""How clients are opened."""

from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from resources.aws.lake import S3Lake
from resources.aws.session import _parse_timestamp, aws_errors
from resources.errors import LakeError

MOMENT = datetime(2026, 11, 26, 1, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-26T01:02:03.000Z",
        "2026-11-26T01:02:03Z",
        "20261126T010203Z",
        "2026-11-26T03:02:03+02:00",
        "Thu, 26 Nov 2026 01:02:03 GMT",
        MOMENT.timestamp(),
        str(int(MOMENT.timestamp())),
    ],
)
def test_every_notation_of_a_moment_is_read(written: str | float) -> None:
    assert _parse_timestamp(written) == MOMENT


def test_what_is_no_moment_is_refused_as_botocore_does() -> None:
    with pytest.raises(ValueError, match="Invalid timestamp"):
        _parse_timestamp("yesterday Z")


def test_the_moments_of_a_listing_are_not_read_by_botocores_own_parser(aws_lake: S3Lake) -> None:
    """It takes 60 us a moment, two thirds of a sweep over a million objects. It gives a time zone of dateutil's."""
    aws_lake.put("landing/x", b"x")
    assert [entry.modified.tzinfo for entry in aws_lake.entries("landing/")] == [UTC]


def test_a_page_that_a_proxy_answers_with_is_one_line_and_not_all_of_it() -> None:
    page = "<!doctype html>\n<html>\n" + "<p>Blocked</p>\n" * 1000
    with (
        pytest.raises(LakeError, match=r"^Expected to list; found 403: <!doctype html> <html> <p>Blocked") as error,
        aws_errors(LakeError, "to list"),
    ):
        raise ClientError({"Error": {"Code": "403", "Message": page}}, "ListObjectsV2")
    assert len(str(error.value)) < 1_300
    assert str(error.value).count("\n") == 0
