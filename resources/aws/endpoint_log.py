"""The last lines of an endpoint's log. That they cannot be read fails nothing."""

from collections.abc import Sequence
from typing import Any

GROUP = "/aws/sagemaker/Endpoints/"
_STREAMS, _LINES, _CHARACTERS = 2, 15, 2_000


def read_tail(logs: Any, endpoint: str, since: float) -> Sequence[str]:
    """Return the last lines that the servers of an endpoint have written since a moment, in seconds since 1970: of the latest streams."""
    from botocore.exceptions import BotoCoreError, ClientError

    group = f"{GROUP}{endpoint}"
    lines: list[str] = []
    try:
        found = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True, limit=_STREAMS)
        for stream in found["logStreams"]:
            page = logs.get_log_events(
                logGroupName=group,
                logStreamName=stream["logStreamName"],
                startTime=int(since * 1000),
                startFromHead=False,
                limit=_LINES,
            )
            lines += [str(event["message"]).rstrip("\n")[:_CHARACTERS] for event in page["events"]]
    except (BotoCoreError, ClientError):
        return lines
    return lines[-_LINES:]
