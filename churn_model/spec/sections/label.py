"""The section `label`: what is predicted."""

from dataclasses import dataclass, field
from typing import ClassVar

from churn_model.spec.sections.base import AS_WRITTEN, FORBID_UNKNOWN, about, require


@dataclass(frozen=True, kw_only=True)
class Label:
    """What is predicted."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    column: str = field(metadata=about("The column that says who left, in training data only."))
    positive: tuple[str, ...] = field(
        metadata=about(
            "The values that mean: left. Case, blanks around it and a final dot do not matter.", **AS_WRITTEN
        )
    )
    negative: tuple[str, ...] = field(
        default=(), metadata=about("The values that mean: stayed. Without it: no, false, 0, n, f.", **AS_WRITTEN)
    )
    means: str = field(
        default="left", metadata=about("What the label means, in words a manager reads: 'cancelled within 30 days'.")
    )

    def __post_init__(self) -> None:
        require(
            (bool(self.positive), "positive", "at least one value", "none", 'write for example positive: ["Yes"]'),
        )
