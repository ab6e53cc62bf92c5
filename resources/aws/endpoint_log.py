"""The last lines of an endpoint's log. That they cannot be read fails nothing."""

from collections.abc import Sequence
from typing import Any

GROUP = "/aws/sagemaker/Endpoints/"
_STREAMS, _LOOKED_AT, _LINES, _CHARACTERS = 2, 50, 15, 2_000


def read_tail(logs: Any, endpoint: str, since: float) -> Sequence[str]:
    """Return the last lines that the servers of an endpoint have written since a moment, in seconds since 1970: the latest last.

    Those of servers that began since then, if there are any: what served before goes on writing while an update fails.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    group = f"{GROUP}{endpoint}"
    lines: list[str] = []
    try:
        found = logs.describe_log_streams(
            logGroupName=group, orderBy="LastEventTime", descending=True, limit=_LOOKED_AT
        )["logStreams"]
        new = [stream for stream in found if stream.get("creationTime", 0) >= since * 1000]
        for stream in reversed((new or found)[:_STREAMS]):
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
