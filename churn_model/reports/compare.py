"""What step `compare` reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from churn_model.evaluation.comparison import Agreement
from churn_model.evaluation.metrics import Estimate


@dataclass(frozen=True, kw_only=True)
class CompareCounts:
    """The rows that both models were judged on, the rows left out because they may have trained one of them, and the leavers."""

    rows: int
    left_out: int
    leavers: int


@dataclass(frozen=True, kw_only=True)
class ModelFigures:
    """One model on the rows. `saving`: against the better of contacting nobody and everybody; money per customer."""

    log_loss: Estimate
    auc: Estimate
    cost: Estimate
    saving: Estimate
    calibration_slope: Estimate
    contacted: int
    leavers_reached: int


@dataclass(frozen=True, kw_only=True)
class CompareReport:
    """Two models on the same rows; differences are second minus first. What has a default is None if no row is left to judge."""

    counts: CompareCounts
    metrics: Mapping[str, float] = field(default_factory=dict)
    first_version: str
    second_version: str
    customers: int
    same_probabilities: bool
    log_loss_difference: Estimate
    cost_difference: Estimate
    first: ModelFigures | None = None
    second: ModelFigures | None = None
    auc_difference: Estimate | None = None
    decisions: Agreement | None = None
    better_without_model: str | None = None
    assumed_success: float | None = None
