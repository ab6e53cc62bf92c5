"""The section `watch`: how landed batches are noticed."""

import re
from dataclasses import dataclass, field
from typing import ClassVar

from churn_model.spec.sections.base import DURATION_SCHEMA, FORBID_UNKNOWN, about, require, require_durations


@dataclass(frozen=True, kw_only=True)
class Watch:
    """How landed batches are noticed."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    settle: str = field(
        default="60s",
        metadata=about("A batch is scored once nothing in it has changed for this long.", **DURATION_SCHEMA),
    )
    recent: str = field(
        default="30d", metadata=about("Batches older than this are looked at less often.", **DURATION_SCHEMA)
    )
    events: str | None = field(
        default=None,
        metadata=about(
            "On AWS: the name of an SQS queue of S3's events, which say at which batches to look first. The listing decides."
        ),
    )

    def __post_init__(self) -> None:
        require_durations(settle=self.settle, recent=self.recent)
        named = self.events is None or re.fullmatch(r"[A-Za-z0-9_-]{1,80}", self.events) is not None
        todo = "write the name of a standard queue, such as churn-landed, and not its address"
        require((named, "events", "a queue's name of letters, digits, _ and -", repr(self.events)[:90], todo))
