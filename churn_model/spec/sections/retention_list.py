"""The section `list`: whom to contact, and how many at most."""

from dataclasses import dataclass, field
from typing import ClassVar

from churn_model.spec.sections.base import DURATION_SCHEMA, FORBID_UNKNOWN, about, require, require_durations


@dataclass(frozen=True, kw_only=True)
class RetentionList:
    """Whom to contact, and how many at most."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    budget: float | None = field(default=None, metadata=about("Money for contacts, for one batch."))
    capacity: int | None = field(default=None, metadata=about("How many customers can be contacted, for one batch."))
    opt_out: str | None = field(
        default=None,
        metadata=about(
            "A column of yes and no (or TRUE/FALSE, 1/0, ja/nein, oui/non ...); who says yes is never listed. A blank is no, other words are refused."
        ),
    )
    cooldown: str = field(
        default="30d",
        metadata=about("A customer listed within this time before is not listed again.", **DURATION_SCHEMA),
    )
    holdout: float = field(
        default=0.0, metadata=about("Share of the list that is not contacted, so that the effect can be measured.")
    )
    columns: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "Landed columns that whoever makes the calls needs, such as name and phone: as landed, in the list alone. They may be ignored ones."
        ),
    )
    excel: bool = field(
        default=False, metadata=about("Begin the list with a byte order mark: Excel then reads its letters right.")
    )

    def __post_init__(self) -> None:
        limit = "correct it, or remove the line: without it there is no such limit"
        require_durations(cooldown=self.cooldown)
        require(
            (self.budget is None or self.budget > 0, "budget", "more than 0", f"{self.budget}", limit),
            (self.capacity is None or self.capacity > 0, "capacity", "more than 0", f"{self.capacity}", limit),
            (
                0 <= self.holdout < 1,
                "holdout",
                "a share from 0 to below 1",
                f"{self.holdout:g}",
                "write for example 0.1",
            ),
        )
