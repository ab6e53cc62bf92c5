"""The report of an evaluation: one HTML page that opens anywhere, offline, and that a retention manager reads without help.

Here are the figures that the page shows and the words that depend on them; words that never change are in `templates/report.html.j2`.
Every figure is a step's own; nothing is computed anew. All that comes from data (names, values, reasons) is untrusted: the template escapes
it, and the page may load nothing.
"""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from churn_assets.reporting import plots as drawing
from churn_assets.reporting.evaluation_sentences import describe_slope
from churn_assets.reporting.page_templates import template
from churn_assets.reporting.plots import MOST_REASONS
from churn_model import wording
from churn_model.checks import Check
from churn_model.evaluation.cost_curve import CostCurve, SearchedCutoff
from churn_model.evaluation.metrics import Contacts, Estimate, Evaluation, Money
from churn_model.evaluation.promotion import Decision, Outcome
from churn_model.evaluation.promotion_reasons import describe_shares
from churn_model.models.reason_summary import ReasonSummary
from churn_model.reports.evaluate import EvaluateReport
from churn_model.reports.ingest import IngestReport
from churn_model.reports.preprocess import PreprocessReport
from churn_model.reports.train import TrainReport, TrialSummary
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Costs, ValueColumn
from churn_model.wording import counted, is_known, one_line, percent, usd

_MOST_TRIALS = 10
_MOST_SEGMENTS = 12
_MOST_BY_CHANCE = 5
_MOST_LISTED = 20
_TEMPLATE = "report.html.j2"
_ON_PAGE = ("cost_curve", "calibration", "contributions")
"""The other two plots are tables on the page: sharper, and read aloud by a screen reader."""

_VERDICTS: Mapping[Outcome, tuple[str, str, str]] = {
    "first": ("good", "First champion", "This model scores from now on."),
    "promoted": ("good", "Promoted", "This model replaces the champion and scores from now on."),
    "kept": ("calm", "Champion kept", "The champion goes on scoring; this candidate is not used."),
    "refused": ("bad", "Refused", "This candidate must not be used."),
}
_WAITS: Mapping[Outcome, tuple[str, str]] = {
    "first": ("Proved itself", "Once a person has approved it, this model scores as the first champion."),
    "promoted": ("Proved itself", "Once a person has approved it, this model replaces the champion and scores."),
}
"""With `gate: {promotion: manual}`."""
_SEARCHED_ON = {
    "folds": "in folds of the train and validation rows",
    "validation": "on the validation rows",
    "half of validation": "on one half of the validation rows",
}


@dataclass(frozen=True)
class Period:
    """The first and the last snapshot date of the landed rows, as ISO days."""

    first: str
    last: str


@dataclass(frozen=True, kw_only=True)
class PageFacts:
    """Everything that a page shows.

    evaluation, training, table, splits  what those steps report; `table` is `raw_customers`
    checks    of all four, in the order of the steps
    decision  the gate's decision that was taken
    versions  what the evaluation was made from, in the order to show
    looks     how many evaluations have looked at this test split, this one included
    period    None if the rows have no dates
    landed_on, trained_on  the days on which the table was read and the model was made
    """

    dataset: Dataset
    evaluation: EvaluateReport
    training: TrainReport
    table: IngestReport
    splits: PreprocessReport
    checks: tuple[Check, ...]
    decision: Decision
    versions: Mapping[str, str]
    looks: int
    trained_on: str
    landed_on: str | None = None
    period: Period | None = None


@dataclass(frozen=True)
class _Success:
    """What the same contacts save if this share of contacted leavers stays."""

    success: float
    saving: Estimate
    is_assumed: bool

    @property
    def loses(self) -> bool:
        return self.saving.high < 0


@dataclass(frozen=True)
class _InUse:
    """The one cutoff in use on the rows that the other was searched on: its cost per customer, and whether it is in that one's range."""

    cost: float
    is_within: bool


@dataclass(frozen=True)
class _Bar:
    """A reason, its size in log odds, and the width of its bar in percent of the largest."""

    name: str
    size: float
    width: float


def prepare() -> None:
    """Load what the page is drawn and written with. It takes a second, which a thread may spend while a step's process works."""
    drawing.load_libraries()
    template(_TEMPLATE)


def plots(facts: PageFacts) -> dict[str, bytes]:
    """Return the report's plots as PNGs, each below 60 kB: cost_curve, calibration, confusion, and reasons and contributions if reported."""
    evaluation, summary = facts.evaluation.evaluation, facts.evaluation.reasons
    drawn = {
        "cost_curve": drawing.cost_curve(evaluation, facts.evaluation.searched_cutoff),
        "calibration": drawing.calibration(evaluation.calibration),
        "confusion": drawing.confusion(evaluation.contacts.confusion),
    }
    if summary:
        drawn |= {"reasons": drawing.reasons(summary), "contributions": drawing.contributions(summary)}
    return drawn


def page(facts: PageFacts, pictures: Mapping[str, bytes] | None = None) -> str:
    """Return the page as HTML: the same text for the same facts. `pictures`: what `plots` returned, if it was called before."""
    drawn = pictures if pictures is not None else plots(facts)
    return template(_TEMPLATE).render(
        facts=facts,
        dataset=facts.dataset,
        evaluation=facts.evaluation.evaluation,
        pictures={name: _data_uri(drawn[name]) for name in _ON_PAGE if name in drawn},
        **_decision(facts),
        **_money(facts),
        **_model(facts),
        **_data(facts),
    )


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


# --- what the template reads, section by section


def _decision(facts: PageFacts) -> dict[str, Any]:
    """Return the verdict, the facts behind it (those that do not hold first), and the columns that may know the answer."""
    tone, verdict, consequence = _VERDICTS[facts.decision.outcome]
    if facts.decision.moves_pointer and facts.dataset.gate.promotion == "manual":
        verdict, consequence = _WAITS[facts.decision.outcome]
    suspects = [*facts.splits.leaks, *facts.splits.suspects]
    weighed = sorted(facts.decision.facts, key=lambda fact: fact.holds)
    failing = [fact for fact in weighed if not fact.holds and not (suspects and fact.name == "no_suspected_leak")]
    return {
        "tone": tone,
        "verdict": verdict,
        "consequence": consequence,
        "weighed": weighed,
        "failing": failing,
        "suspects": suspects,
        "in_money": _describe_in_money(facts.evaluation),
        "worth": facts.splits.worth,
    }


def _describe_in_money(report: EvaluateReport) -> str:
    """Return what the candidate saves against the champion; nothing without a champion to compare with."""
    comparison = report.comparison
    if comparison is None or not comparison.rows or comparison.same_probabilities:
        return ""
    cost = comparison.cost
    saved, low, high = -cost.mean, -cost.spread.high, -cost.spread.low
    verb = f"saves {usd(saved)} more" if saved >= 0 else f"costs {usd(-saved)} more"
    sure = "" if low > 0 or high < 0 else ", so chance may explain it"
    return (
        f"In money: against the champion this candidate {verb} per customer, {usd(cost.candidate)} instead of {usd(cost.champion)} "
        f"(saved: {usd(low)} to {usd(high)}{sure})."
    )


def _describe_judged(evaluation: Evaluation) -> tuple[str, str]:
    """Return on what the figures were measured, and how many of it are leavers: customers, or rows if a customer has several."""
    share = percent(evaluation.base_rate)
    if evaluation.rows == evaluation.customers:
        return counted(evaluation.rows, "customer"), f"{evaluation.leavers:,} of them ({share}) are leavers."
    return (
        f"{evaluation.rows:,} rows of {counted(evaluation.customers, 'customer')} (a row is a customer on one date)",
        f"{evaluation.leavers:,} of the rows ({share}) are of a customer who was to leave.",
    )


def _money(facts: PageFacts) -> dict[str, Any]:
    """Money, contacts and the cutoff."""
    report, costs = facts.evaluation, facts.dataset.costs
    evaluation = report.evaluation
    judged, leavers = _describe_judged(evaluation)
    return {
        "judged": judged,
        "leavers": leavers,
        "noun": "customers" if evaluation.rows == evaluation.customers else "rows",
        "money": evaluation.money,
        "contacts": evaluation.contacts,
        "costs": _costs_in_words(costs),
        "cutoff_in_words": _cutoff_in_words(evaluation.contacts),
        "cutoff_formula": _cutoff_formula(costs),
        "successes": _successes(evaluation.money),
        "searched": report.searched_cutoff,
        "in_use": _in_use(evaluation.contacts, report.searched_cutoff, report.out_of_fold_curve),
    }


def _model(facts: PageFacts) -> dict[str, Any]:
    """Return what the model looks at, where it is weak, and the leaderboard."""
    segments, training, reasons = facts.evaluation.segments, facts.training, facts.evaluation.reasons
    return {
        "bars": _bars(reasons) if reasons else None,
        "reasons": reasons,
        "slope_verdict": describe_slope(facts.evaluation.evaluation.calibration_slope),
        "segments": segments,
        "weak": [each for each in segments or () if each.weak][:_MOST_SEGMENTS],
        "other_segments": [each for each in segments or () if not each.weak][:_MOST_BY_CHANCE],
        "trials": [(trial, _settings(trial)) for trial in training.leaderboard[:_MOST_TRIALS]],
        "trial_count": len(training.leaderboard),
        "averaged_count": len(training.averaged or ()),
        "more_would_help": training.more_would_help or (),
        "searched_on": _SEARCHED_ON.get(training.searched_on, training.searched_on),
        "is_calibrated": training.calibration.kind != "identity",
    }


def _data(facts: PageFacts) -> dict[str, Any]:
    """Return the most frequent reasons of quarantined records, and the columns that are no feature."""
    quarantine, left_out = facts.table.reasons, facts.training.left_out
    by_count = sorted((quarantine or {}).items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "quarantine": None if quarantine is None else by_count[:_MOST_LISTED],
        "left_out": None if left_out is None else sorted(left_out.items())[:_MOST_LISTED],
        "shares_chosen": describe_shares(facts.splits.shares) if facts.splits.shares else None,
    }


def _costs_in_words(costs: Costs) -> list[tuple[str, str]]:
    """Return what the spec says a mistake costs, as name and amount."""
    contact = costs.contact
    if contact is None:
        return [
            ("left, and was not contacted", usd(costs.false_negative)),
            ("would have stayed, and was contacted", usd(costs.false_positive)),
            ("would have left, and was contacted", usd(costs.true_positive)),
            ("stayed, and was not contacted", usd(costs.true_negative)),
        ]
    worth = (
        f"by customer, column {one_line(contact.value.column)}"
        if isinstance(contact.value, ValueColumn)
        else usd(contact.value)
    )
    return [
        ("one contact, offer included", usd(contact.cost)),
        ("contacted leavers who stay", percent(contact.success)),
        ("lost when a customer leaves", worth),
    ]


def _cutoff_formula(costs: Costs) -> str:
    """How the cutoff in use follows from the costs."""
    contact = costs.contact
    if contact is None:
        wasted, saved = costs.false_positive - costs.true_negative, costs.false_negative - costs.true_positive
        return f"{usd(wasted)} for an unnecessary contact / ({usd(wasted)} + {usd(saved)} that a contact in time saves)"
    worth = "the customer's worth" if isinstance(contact.value, ValueColumn) else usd(contact.value)
    return f"{usd(contact.cost)} for a contact / ({percent(contact.success)} who stay x {worth})"


def _cutoff_in_words(contacts: Contacts) -> str:
    lowest, highest = contacts.cutoff_lowest, contacts.cutoff_highest
    if not math.isfinite(lowest):
        return "none, contacting never pays"
    if lowest == highest:
        return wording.cutoff(lowest)
    top = f"to {wording.cutoff(highest)}" if math.isfinite(highest) else "and up"
    return f"{wording.cutoff(lowest)} {top} by worth, typically {wording.cutoff(contacts.cutoff)}"


def _in_use(contacts: Contacts, searched: SearchedCutoff | None, curve: CostCurve | None) -> _InUse | None:
    """None if there is no single cutoff, or nothing to compare it with."""
    used = contacts.cutoff_lowest
    if searched is None or curve is None or used != contacts.cutoff_highest or not is_known(searched.low):
        return None
    nearest = int(abs(curve.cutoff - used).argmin())
    return _InUse(float(curve.cost[nearest]), searched.low <= used <= searched.high)


def _successes(money: Money) -> list[_Success]:
    """Return the savings by how often a contact works, the spec's own assumption among them."""
    savings = {each.success: each.saving for each in money.saving_at} | {money.assumed_success: money.saving_nobody}
    return [
        _Success(success, savings[success], success == money.assumed_success)
        for success in sorted(savings, reverse=True)
    ]


def _bars(summary: ReasonSummary) -> list[_Bar]:
    known = [size if is_known(size) else 0.0 for size in summary.mean_size.tolist()]
    largest = max(known, default=0.0) or 1.0
    bars = [
        _Bar(name, size, round(100 * length / largest, 1))
        for name, size, length in zip(summary.names, summary.mean_size.tolist(), known, strict=True)
    ]
    return bars[:MOST_REASONS]


def _settings(trial: TrialSummary) -> str:
    values = [f"{name} {value:.4g}" for name, value in sorted(trial.values.items()) if is_known(value)]
    return ", ".join([counted(trial.rounds, "round"), *values])
