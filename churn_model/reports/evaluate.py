"""What step `evaluate` reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from churn_model.evaluation.comparison import Comparison
from churn_model.evaluation.cost_curve import CostCurve, SearchedCutoff
from churn_model.evaluation.metrics import Evaluation
from churn_model.evaluation.promotion import Decision
from churn_model.evaluation.segments import Segment
from churn_model.models.reason_summary import ReasonSummary


@dataclass(frozen=True, kw_only=True)
class EvaluateCounts:
    """The test rows, the customers and leavers among them, and how many rows are contacted."""

    rows: int
    leavers: int
    customers: int
    contacted: int


@dataclass(frozen=True, kw_only=True)
class EvaluateReport:
    """The judgement of a candidate.

    decision           what the gate decides while the champion is younger than `gate.max_age`; the step has no clock
    decision_when_old  what it decides once the champion is older
    champion_version   None without a champion
    champion_problem   why the champion could not score the test rows; None if it could
    comparison         None without a champion that could score them
    out_of_fold_curve  cost per customer over one cutoff for all, on held-out rows of training
    searched_cutoff    the cutoff at which that curve is lowest
    segments           None: not evaluated by the version that wrote it; so with `reasons`
    """

    counts: EvaluateCounts
    metrics: Mapping[str, float] = field(default_factory=dict)
    candidate_version: str
    champion_version: str | None
    champion_problem: str | None = None
    evaluation: Evaluation
    out_of_fold_curve: CostCurve | None = None
    searched_cutoff: SearchedCutoff | None = None
    decision: Decision
    decision_when_old: Decision
    comparison: Comparison | None = None
    segments: tuple[Segment, ...] | None = None
    reasons: ReasonSummary | None = None

    def decision_for(self, *, champion_is_old: bool) -> Decision:
        """Return the gate's decision for a champion of that age."""
        return self.decision_when_old if champion_is_old else self.decision
