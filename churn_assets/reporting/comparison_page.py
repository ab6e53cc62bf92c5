"""The comparison of two models: one page for the manager, the decision in money first.

Every figure is the step's own. All that comes from data is untrusted: the template escapes it, and the page may load nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from churn_assets.reporting.page_templates import template
from churn_model.evaluation.metrics import Estimate
from churn_model.reports.compare import CompareReport, ModelFigures
from churn_model.spec.dataset import Dataset
from churn_model.wording import (
    NOT_EVALUATED,
    assumption,
    counted,
    decimal,
    decimal_range,
    describe_rows,
    usd,
    usd_range,
)

_GROUPS = {"both": "both", "only_first": "A alone", "only_second": "B alone", "neither": "neither"}


@dataclass(frozen=True, kw_only=True)
class ComparedModel:
    """One of the two: how the page calls it, its version, what it is today (champion, candidate, or nothing), and the day it was made on."""

    letter: str
    version: str
    role: str
    trained_on: str


@dataclass(frozen=True, kw_only=True)
class ComparisonFacts:
    """All that the page shows; `models`: A and B."""

    dataset: Dataset
    report: CompareReport
    models: Sequence[ComparedModel]


@dataclass(frozen=True)
class _Row:
    label: str
    first: str
    second: str
    difference: str = ""
    range: str = ""


def page(facts: ComparisonFacts) -> str:
    """Return the page as HTML: the same text for the same facts."""
    report = facts.report
    groups = [(label, getattr(report.decisions, name)) for name, label in _GROUPS.items()] if report.decisions else []
    return template("comparison.html.j2").render(
        facts=facts,
        dataset=facts.dataset,
        judged=_describe_judged(report),
        noun="customers" if report.counts.rows == report.customers else "rows",
        figures=_figures(report),
        groups=groups,
        **_verdict(report),
    )


def _describe_judged(report: CompareReport) -> str:
    counts = report.counts
    left_out = (
        f" {counts.left_out:,} rows are left out: A or B may have been trained on them." if counts.left_out else ""
    )
    if not counts.rows:
        return f"No row is left to compare the two on.{left_out}"
    of = "of the customers are" if counts.rows == report.customers else "of the rows are of"
    return (
        f"Both were judged on {describe_rows(counts.rows, report.customers)} that neither had seen; "
        f"{counts.leavers:,} {of} leavers.{left_out}"
    )


def _verdict(report: CompareReport) -> dict[str, Any]:
    """Return the decision in money: which of the two costs less, and whether chance may explain it."""
    if not report.counts.rows:
        line = "Compare versions that were trained with today's split."
        return {"tone": "calm", "headline": "Nothing to compare", "lines": [line]}
    if report.same_probabilities:
        return {"tone": "calm", "headline": "Both give every customer the same probability", "lines": []}
    cost = report.cost_difference
    better, worse = ("B", "A") if cost.value <= 0 else ("A", "B")
    low, high = sorted((abs(cost.low), abs(cost.high)))
    is_sure = cost.low > 0 or cost.high < 0
    success = "" if report.assumed_success is None else f", {assumption(report.assumed_success)}"
    headline = f"{better} saves {usd(abs(cost.value))} more per customer than {worse}"
    if is_sure:
        line = f"More than chance explains: {usd(low)} to {usd(high)} per customer{success}."
    else:
        headline += ", which chance may explain"
        line = f"B minus A costs {usd_range(cost)} per customer{success}: the range holds 0."
    return {"tone": "good" if is_sure else "calm", "headline": headline, "lines": [line, *_contacts_line(report)]}


def _contacts_line(report: CompareReport) -> list[str]:
    first, second = report.first, report.second
    if first is None or second is None:
        return []
    reached = [
        f"{letter} contacts {model.contacted:,} and reaches {counted(model.leavers_reached, 'leaver')}"
        for letter, model in (("A", first), ("B", second))
    ]
    return [f"{'; '.join(reached)} of {report.counts.leavers:,}."]


def _figures(report: CompareReport) -> list[_Row]:
    first, second = report.first, report.second
    if first is None or second is None:
        return []
    better = report.better_without_model or "the better of nobody and everybody"
    cost, auc, loss = report.cost_difference, report.auc_difference, report.log_loss_difference
    saved = Estimate(value=-cost.value, median=-cost.median, low=-cost.high, high=-cost.low)

    def row(label: str, figure: Callable[[ModelFigures], Estimate], places: int, difference: Estimate | None) -> _Row:
        one, other = (decimal(figure(model).value, places) for model in (first, second))
        if difference is None:
            return _Row(label, one, other, NOT_EVALUATED)
        return _Row(label, one, other, decimal(difference.value, places), decimal_range(difference, places))

    def money(label: str, figure: Callable[[ModelFigures], Estimate], difference: Estimate) -> _Row:
        return _Row(
            label,
            usd(figure(first).value),
            usd(figure(second).value),
            usd(difference.value),
            usd_range(difference),
        )

    return [
        money(f"Saved per customer, against contacting {better}", lambda model: model.saving, saved),
        money("Cost per customer (lower is better)", lambda model: model.cost, cost),
        _Row("Contacted", f"{first.contacted:,}", f"{second.contacted:,}"),
        _Row("Leavers reached", f"{first.leavers_reached:,}", f"{second.leavers_reached:,}"),
        row("Ranking (AUC; higher is better)", lambda model: model.auc, 3, auc),
        row("Error of the probabilities (log loss; lower is better)", lambda model: model.log_loss, 4, loss),
        _Row(
            "Calibration slope (1 is right)",
            decimal(first.calibration_slope.value, 2),
            decimal(second.calibration_slope.value, 2),
        ),
    ]
