"""What step `trial` reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from churn_model.spec.sections.search import Family


@dataclass(frozen=True, kw_only=True)
class TrialReport:
    """One trial of a tuner: what it tried, the rounds of boosting that this gave, and its metrics on held-out rows."""

    family: Family
    rounds: int
    values: Mapping[str, float]
    metrics: Mapping[str, float] = field(default_factory=dict)
