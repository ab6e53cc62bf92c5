"""The section `gate`: when a candidate replaces the champion."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from churn_model.spec.sections.base import DURATION_SCHEMA, FORBID_UNKNOWN, about, require_durations


@dataclass(frozen=True, kw_only=True)
class Gate:
    """When a candidate replaces the champion."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    promotion: Literal["better", "not_worse", "manual"] = field(
        default="better",
        metadata=about(
            "better: it must prove so. not_worse: once the champion is older than max_age, enough not to be worse. "
            "manual: it must prove so, and then waits until a person approves it."
        ),
    )
    max_age: str = field(default="28d", metadata=about("With `promotion: not_worse`.", **DURATION_SCHEMA))

    def __post_init__(self) -> None:
        require_durations(max_age=self.max_age)
