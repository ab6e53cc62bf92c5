"""What step `score` reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ScoreCounts:
    """The rows that were scored, and how many of them are worth contacting."""

    rows: int
    contacted: int


@dataclass(frozen=True, kw_only=True)
class ScoreReport:
    """The predictions of a batch: their columns with their Arrow types, and the landed columns that each was made of."""

    counts: ScoreCounts
    metrics: Mapping[str, float] = field(default_factory=dict)
    model_version: str
    columns: Mapping[str, str]
    lineage: Mapping[str, tuple[str, ...]]
