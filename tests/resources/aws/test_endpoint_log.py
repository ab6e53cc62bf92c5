"""The end of an endpoint's log, as the error of a deployment shows it."""

import time

from resources.aws.endpoint_log import GROUP, read_tail
from resources.aws.lake import S3Lake


def test_the_words_of_the_server_that_did_not_begin_are_shown_though_the_ones_before_go_on_writing(
    aws_lake: S3Lake,
) -> None:
    logs, endpoint = aws_lake.session.client("logs"), f"{aws_lake.bucket}-shop"
    group = f"{GROUP}{endpoint}"
    logs.create_log_group(logGroupName=group)

    def write(stream: str, *lines: str) -> None:
        events = [{"timestamp": int(time.time() * 1000), "message": line} for line in lines]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    for old in ("champion/i-0", "champion/i-1"):
        logs.create_log_stream(logGroupName=group, logStreamName=old)
    assert read_tail(logs, endpoint, time.time() - 60) == []
    time.sleep(0.01)
    since = time.time()
    time.sleep(0.01)
    logs.create_log_stream(logGroupName=group, logStreamName="champion/i-2")
    write("champion/i-2", "Expected a model that this release reads; found another.")
    for old in ("champion/i-0", "champion/i-1"):
        write(old, *["GET /ping 200"] * 20)
    assert read_tail(logs, endpoint, since) == ["Expected a model that this release reads; found another."]
