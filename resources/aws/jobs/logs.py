"""The log of a job, read at most once in five seconds. That it cannot be read never fails a job."""

import functools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from resources.aws.jobs.clock import Clock
from resources.aws.jobs.kinds import JobKind

TAIL_LINES = 15
_CALLS_EVERY = 5.0
_MOST_LINES = 2_000  # of one job that are passed on; the rest stays in CloudWatch
_MOST_CHARACTERS = 2_000  # of a line
_LAST_PAGES = 3
_STREAMS = 3  # of a job on several instances, that of the first and some of the others


class JobLog:
    """Reads a job's streams page by page, passes their lines on, and remembers the last ones."""

    def __init__(self, logs: Any, kind: JobKind, name: str, clock: Clock, show: Callable[[str], None]) -> None:
        self._logs, self._group, self._name, self._clock, self._show = logs, kind.log_group, name, clock, show
        self._tokens: dict[str, str] = {}
        self._turn: list[str] = []  # streams to read next
        self._due = clock.now()
        self._shown = 0
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    def poll(self) -> None:
        """Read one page if five seconds have passed since the last call."""
        if self._clock.now() >= self._due:
            self._due = self._clock.now() + _CALLS_EVERY
            self._attempt(self._read_next)

    def finish(self) -> Sequence[str]:
        """Read what is left after a job has ended, and return its last lines."""
        if not self._tokens:
            self._attempt(self._find_streams)
        for stream in self._tokens:
            self._attempt(functools.partial(self._read_rest, stream))
        if self._shown > _MOST_LINES:
            self._show(f"... {self._shown - _MOST_LINES:,} more lines are in {self._group}, streams {self._name}/")
        return tuple(self._tail)

    def _attempt(self, read: Callable[[], None]) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            read()
        except (
            BotoCoreError,
            ClientError,
        ):  # a log that is late, throttled or not to be read by this role: the job matters more
            self._due = self._clock.now() + 4 * _CALLS_EVERY

    def _read_next(self) -> None:
        if not self._tokens:
            self._find_streams()
            return
        self._turn = self._turn or list(self._tokens)
        self._read(self._turn.pop(0))

    def _find_streams(self) -> None:
        found = self._logs.describe_log_streams(
            logGroupName=self._group, logStreamNamePrefix=f"{self._name}/", limit=_STREAMS
        )
        self._tokens = {stream["logStreamName"]: "" for stream in found["logStreams"]}

    def _read_rest(self, stream: str) -> None:
        """Read some more pages; if that is not all, the last lines."""
        if any(self._read(stream) for _ in range(_LAST_PAGES)):
            return
        page = self._logs.get_log_events(
            logGroupName=self._group, logStreamName=stream, startFromHead=False, limit=TAIL_LINES
        )
        self._show("...")
        self._pass_on(page)

    def _read(self, stream: str) -> bool:
        """Read one page. Return whether it was the last, for now."""
        token = self._tokens[stream]
        page = self._logs.get_log_events(
            logGroupName=self._group,
            logStreamName=stream,
            startFromHead=True,
            **({"nextToken": token} if token else {}),
        )
        self._pass_on(page)
        self._tokens[stream] = page["nextForwardToken"]
        return bool(self._tokens[stream] == token)

    def _pass_on(self, page: Mapping[str, Any]) -> None:
        for event in page["events"]:
            line = str(event["message"]).rstrip("\n")[:_MOST_CHARACTERS]
            self._tail.append(line)
            self._shown += 1
            if self._shown <= _MOST_LINES:
                self._show(line)
