"""The section `endpoint`: how the champion answers on a SageMaker endpoint, if it does."""

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from churn_model.spec.durations import seconds
from churn_model.spec.sections.base import DURATION_SCHEMA, FORBID_UNKNOWN, about, require, require_durations

Engine = Literal["serverless", "instance"]
_INSTANCE = re.compile(r"ml\.[a-z0-9-]{2,20}\.[a-z0-9]{2,20}")
_HOUR, _MOST_DAYS = 3_600, 60
_MEMORIES = tuple(range(1024, 6145, 1024))


@dataclass(frozen=True, kw_only=True)
class Idle:
    """What happens to an endpoint that nobody asks."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    after: str = field(default="7d", metadata=about("Nobody has asked it for this long: an alert.", **DURATION_SCHEMA))
    delete: bool = field(default=False, metadata=about("Then it is deleted as well."))

    def __post_init__(self) -> None:
        require_durations(after=self.after)
        within = _HOUR <= seconds(self.after) <= _MOST_DAYS * 24 * _HOUR
        require((within, "after", f"1h to {_MOST_DAYS}d, for which CloudWatch is asked", self.after, "write 7d"))


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How many instances answer."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    least: int = field(default=1, metadata=about("Instances at least."))
    most: int = field(metadata=about("Instances at most."))
    invocations: int = field(metadata=about("Requests a minute that one instance is to have; above it there are more."))

    def __post_init__(self) -> None:
        require(
            (self.least >= 1, "least", "1 or more", str(self.least), "write 1: of no instance nobody is answered"),
            (self.most >= self.least, "most", f"{self.least} or more", str(self.most), "write as many as you will pay"),
            (self.invocations >= 1, "invocations", "1 or more", str(self.invocations), "write what a load test shows"),
        )


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """How the champion answers on a SageMaker endpoint."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    engine: Engine = field(
        default="serverless",
        metadata=about(
            "serverless: paid by the request, nothing while nobody asks, seconds for the first answer after a pause. "
            "instance: machines that stand ready, paid by the hour."
        ),
    )
    memory: int | None = field(default=None, metadata=about("serverless: megabytes, 1024 to 6144 (default 2048)."))
    max_concurrency: int | None = field(
        default=None, metadata=about("serverless: requests answered at once, 1 to 200 (default 5); others are refused.")
    )
    instance: str | None = field(default=None, metadata=about("instance: its type (default ml.m5.large)."))
    count: int | None = field(default=None, metadata=about("instance: how many (default 1)."))
    scaling: Scaling | None = field(
        default=None, metadata=about("instance: instead of count, as many as are asked for.")
    )
    capture: float = field(
        default=0.0,
        metadata=about("instance: share of requests that are kept in the bucket, with their answers: customers' data."),
    )
    idle: Idle = field(default_factory=Idle, metadata=about("What happens if nobody asks it."))

    def __post_init__(self) -> None:
        others = ("instance", "count", "scaling", "capture") if self.is_serverless else ("memory", "max_concurrency")
        engine, other = ("serverless", "instance") if self.is_serverless else ("instance", "serverless")
        given = [name for name in others if getattr(self, name) != (0 if name == "capture" else None)]
        memory, at_once, count = self.memory_megabytes, self.most_at_once, 1 if self.count is None else self.count
        require(
            *(
                (
                    False,
                    name,
                    f"none with engine: {engine}",
                    str(getattr(self, name))[:60],
                    f"write engine: {other}, or remove it",
                )
                for name in given
            ),
            (memory in _MEMORIES, "memory", f"one of {', '.join(map(str, _MEMORIES))}", str(memory), "write 2048"),
            (1 <= at_once <= 200, "max_concurrency", "1 to 200", str(at_once), "write 5"),
            (count >= 1, "count", "1 or more", str(count), "write 1"),
            (self.count is None or self.scaling is None, "count", "count or scaling", "both", "remove one"),
            (
                _INSTANCE.fullmatch(self.instance_type) is not None,
                "instance",
                "an instance type",
                repr(self.instance_type)[:40],
                "write one such as ml.m5.large",
            ),
            (
                self.capture == 0 or 0.01 <= self.capture <= 1,
                "capture",
                "0, or a share from 0.01 to 1",
                f"{self.capture:g}",
                "write for example 0.1",
            ),
        )

    @property
    def is_serverless(self) -> bool:
        """Whether no machine stands ready."""
        return self.engine == "serverless"

    @property
    def memory_megabytes(self) -> int:
        """Of a serverless endpoint."""
        return 2048 if self.memory is None else self.memory

    @property
    def most_at_once(self) -> int:
        """Requests that a serverless endpoint answers at once."""
        return 5 if self.max_concurrency is None else self.max_concurrency

    @property
    def instance_type(self) -> str:
        """Of the machines that stand ready."""
        return self.instance or "ml.m5.large"

    @property
    def instances(self) -> int:
        """How many machines the endpoint begins with."""
        return self.scaling.least if self.scaling else self.count or 1

    @property
    def capture_percent(self) -> int:
        """Percent of requests that are kept."""
        return round(self.capture * 100)
