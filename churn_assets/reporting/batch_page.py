"""The summary of a scored batch: one page for the manager who decides whether the list is sent.

Every figure is a step's own. All that comes from data (names, values, reasons) is untrusted: the template escapes it, and the page may load nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from churn_assets.reporting.page_templates import template
from churn_model.checks import Check
from churn_model.decisions.policy import Policy
from churn_model.evaluation.metrics import Money
from churn_model.reports.ingest import IngestReport
from churn_model.reports.list_layout import ListLayoutReport
from churn_model.reports.retention_list import ListCounts, ListReport, describe_holdout
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Costs
from churn_model.wording import NOT_EVALUATED, assumption, counted, is_known, usd, usd_range

_MOST_QUARANTINED = 5
_NO_CONTACTS = "Nobody to contact"
_OUTCOMES = {
    "held_out": "Held out, so that the effect can be measured",
    "below_the_cutoff": "Not worth a contact",
    "another_row_of_this_customer": "Earlier rows of customers who are judged by their latest",
    "opted_out": "Opted out",
    "listed_not_long_ago": "On a list not long ago",
    "beyond_the_capacity": "Beyond the capacity",
    "beyond_the_budget": "Beyond the budget",
}


@dataclass(frozen=True, kw_only=True)
class BatchFacts:
    """All that the page shows of a batch.

    table       what ingest reports of the batch
    money       of the evaluation of the model, which says how far its savings spread; None if there is none
    problems    the checks of batch, predictions and list that do not hold
    first       the first rows of the list as people read it
    listed_on, trained_on  days; listed_on is the ledger's
    notes       what the ledger says beside: earlier lists of the batch, a clock that is ahead
    """

    dataset: Dataset
    batch: str
    listed: ListReport
    layout: ListLayoutReport
    table: IngestReport
    money: Money | None
    problems: Sequence[Check]
    first: Sequence[Mapping[str, Any]]
    listed_on: str
    trained_on: str
    notes: Sequence[str] = ()
    provisional: str | None = None


@dataclass(frozen=True)
class SavingRange:
    """What a list is expected to save, with the spread of the savings on the rows that the model was judged on."""

    low: float
    high: float


@dataclass(frozen=True)
class _Bar:
    name: str
    count: int
    width: float


def spread_saving(expected: float, money: Money | None) -> SavingRange | None:
    """Return the range of a list's expected saving, as wide in proportion as the model's savings on its test rows; None if that is not known."""
    saving = money.saving_nobody if money else None
    if saving is None or not is_known(saving.value) or saving.value <= 0:
        return None
    return SavingRange(low=expected * saving.low / saving.value, high=expected * saving.high / saving.value)


def page(facts: BatchFacts) -> str:
    """Return the page as HTML: the same text for the same facts."""
    listed, dataset = facts.listed, facts.dataset
    counts, money = listed.counts, listed.metrics
    spread = spread_saving(money.expected_saving, facts.money) if counts.to_contact else None
    return template("batch.html.j2").render(
        facts=facts,
        dataset=dataset,
        counts=counts,
        money=money,
        customers=describe_scored(counts),
        budget=_describe_limits(dataset),
        saving=_round_range(spread) if spread else usd(money.expected_saving, cents=False),
        saving_basis="; as wide as on the rows that the model was judged on" if spread else "",
        assumption=assumption(Policy(dataset.costs).assumed_success),
        reasons=_bars(facts.layout.reasons),
        outcomes=[(label, getattr(counts, name)) for name, label in _OUTCOMES.items() if getattr(counts, name)],
        quarantine=sorted((facts.table.reasons or {}).items(), key=lambda pair: (-pair[1], pair[0]))[
            :_MOST_QUARANTINED
        ],
        holdout=describe_holdout(listed.holdout) if listed.holdout else f"{NOT_EVALUATED.capitalize()}.",
        first=facts.first,
        added=dataset.list.columns,
        not_evaluated=NOT_EVALUATED,
        **_verdict(facts),
    )


def describe_scored(counts: ListCounts) -> str:
    """Return how many were scored: customers, and rows if they have several."""
    customers = counts.rows if counts.customers is None else counts.customers
    text = counted(customers, "customer")
    return text if customers == counts.rows else f"{text} ({counts.rows:,} rows)"


def describe_contacts(report: ListReport, money: Money | None, costs: Costs) -> str:
    """Return what a list costs and is expected to save; for an empty one, why it is empty. `money`: of the evaluation of its model."""
    counts, own = report.counts, report.metrics
    if counts.to_contact:
        saving = _describe_expected_saving(own.expected_saving, money, costs)
        return f"The contacts cost {usd(own.contact_cost)}; after that they are expected to save {saving}."
    if counts.excluded:
        return "Nobody to contact: everyone worth contacting was excluded (see below)."
    return "Nobody is worth contacting: for each customer a contact is expected to cost more than it saves."


def describe_left_out(counts: ListCounts) -> list[str]:
    """Return who is worth a contact and not on the list."""
    excluded = ", ".join(f"{count:,} {reason}" for reason, count in counts.excluded.items())
    return [f"Not on the list: {excluded}."] if excluded else []


def _describe_expected_saving(expected: float, money: Money | None, costs: Costs) -> str:
    """Return a list's expected saving, with the relative spread that the test rows showed for the model's savings."""
    condition = assumption(Policy(costs).assumed_success)
    spread = spread_saving(expected, money)
    if spread is None:
        return f"{usd(expected)}, {condition}"
    return f"{usd_range(spread)} against contacting nobody, {condition} (as wide as on the rows it was judged on)"


def _verdict(facts: BatchFacts) -> dict[str, Any]:
    counts = facts.listed.counts
    lines = list(facts.notes)
    if facts.provisional:
        lines.insert(0, f"PROVISIONAL: the gate refused this model. {facts.provisional}")
    if counts.to_contact:
        headline = f"Contact {counted(counts.to_contact, 'customer')}, the best first"
    elif counts.excluded:
        headline = f"{_NO_CONTACTS}: everyone worth a contact is left out, for the reasons below"
    else:
        headline = f"{_NO_CONTACTS}: for each customer a contact is expected to cost more than it saves"
    careful = facts.provisional or facts.problems
    return {"headline": headline, "lines": lines, "tone": "bad" if careful else "good" if counts.to_contact else "calm"}


def _describe_limits(dataset: Dataset) -> str:
    limits = dataset.list
    contact = f"{usd(Policy(dataset.costs).contact_cost)} each"
    budget = f"budget {usd(limits.budget, cents=False)}" if limits.budget is not None else "no budget is set"
    capacity = f"; at most {counted(limits.capacity, 'contact')}" if limits.capacity is not None else ""
    return f"{contact}; {budget}{capacity}"


def _round_range(saving: SavingRange) -> str:
    return f"{usd(saving.low, cents=False)} to {usd(saving.high, cents=False)}"


def _bars(reasons: Mapping[str, int] | None) -> list[_Bar] | None:
    if reasons is None:
        return None
    largest = max(reasons.values(), default=1)
    by_count = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    return [_Bar(name, count, round(100 * count / largest, 1)) for name, count in by_count]
