"""One answer taken apart: what each reason adds to the log odds, so that the parts and the base sum to the margin."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from churn_model.models.reasons import contributions_by_reason
from churn_model.serving.plan import Answer, Plan, Row


class Part(NamedTuple):
    """What one reason, a column or several that count as one, adds to the log odds."""

    name: str
    contribution: float


class Explanation(NamedTuple):
    """An answer, and its parts, largest first. `base` is what the model says of nobody in particular, in log odds before calibration."""

    answer: Answer
    base: float
    parts: tuple[Part, ...]


def explain(plan: Plan, record: Mapping[str, Any]) -> Explanation:
    """Return the answer to a record with all its parts. Raise RefusedRow with everything that is wrong with it."""
    return explain_row(plan, plan.read(record))


def explain_row(plan: Plan, row: Row) -> Explanation:
    """Return what the model says of a row, with all its parts."""
    answer = plan.answer_row(row, reasons="all")
    contributions = plan.contributions(row, plan.margin(row.encoded))
    sizes = contributions_by_reason(contributions, plan.explainer)[0].tolist()
    parts = [Part(name, size) for name, size in zip(plan.explainer.names, sizes, strict=True)]
    parts.sort(key=lambda part: -abs(part.contribution))
    return Explanation(answer, float(contributions[0, -1]), tuple(parts))
