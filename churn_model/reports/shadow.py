"""What step `shadow` reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from churn_model.evaluation.shadow import Saving, ShadowCounts


@dataclass(frozen=True, kw_only=True)
class ShadowReport:
    """Two models on the rows of a batch, whose outcome nobody knows yet, at today's costs.

    only_first, only_second  what contacts of the rows are expected to save that one of them alone contacts
    listed                   rows decided otherwise that the table `differences` holds
    assumed_success          the share of contacted leavers assumed to stay
    """

    counts: ShadowCounts
    metrics: Mapping[str, float] = field(default_factory=dict)
    first_version: str
    second_version: str
    only_first: Saving
    only_second: Saving
    listed: int
    assumed_success: float

    @property
    def otherwise(self) -> int:
        """Rows that are decided otherwise."""
        return self.counts.only_first + self.counts.only_second

    @property
    def at_stake(self) -> Saving:
        """What the other model's decisions would cost, by the probabilities of each: at least 0 for both, as each decides by its own."""
        return Saving(
            by_first=self.only_first.by_first - self.only_second.by_first,
            by_second=self.only_second.by_second - self.only_first.by_second,
        )
