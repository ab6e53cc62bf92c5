"""The section `schedule`: when the model is retrained."""

from dataclasses import dataclass, field
from typing import ClassVar

from churn_model.spec.sections.base import FORBID_UNKNOWN, about


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When the model is retrained."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    retrain: str = field(default="0 6 * * 1", metadata=about("Cron: minute, hour, day, month, weekday."))
    timezone: str = field(default="UTC", metadata=about("IANA name, such as Europe/Berlin."))
