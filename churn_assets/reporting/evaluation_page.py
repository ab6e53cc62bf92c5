"""The report of an evaluation: one HTML page that opens anywhere, offline, and that a retention manager reads without help.

Belongs here: which figures of the steps' reports are shown, and the words that depend on them. Words that never change are in
`templates/report.html.j2`, how a figure reads is in `figures.py`, plots are in `plots.py`. Nothing is computed anew: every figure is a step's.

All that comes from data (names, values, reasons) is untrusted: the template escapes it, and the page may load nothing.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from churn_assets.reporting import formatting as figures
from churn_assets.reporting import plots as drawing
from churn_assets.reporting.plots import MOST_REASONS, Plain
from churn_model.spec.dataset import Costs, Dataset, ValueColumn

if TYPE_CHECKING:
    from resources.ports.runner import StepReport

_TEMPLATES = Path(__file__).parent / "templates"
_MOST_TRIALS = 10
_MOST_SEGMENTS = 12
_MOST_BY_CHANCE = 5
_MOST_LISTED = 20
_ON_PAGE = ("cost_curve", "calibration", "contributions")
"""The other two are tables on the page: sharper, and read aloud."""

_FILTERS = (
    "usd",
    "usd_range",
    "percent",
    "percent_range",
    "decimal",
    "decimal_range",
    "count",
    "cutoff",
    "claim",
    "one_line",
    "stays",
)
_VERDICTS = {
    "first": ("good", "First champion", "This model scores from now on."),
    "promoted": ("good", "Promoted", "This model replaces the champion and scores from now on."),
    "kept": ("calm", "Champion kept", "The champion goes on scoring; this candidate is not used."),
    "refused": ("bad", "Refused", "This candidate must not be used."),
}
_SEARCHED_ON = {
    "folds": "in folds of the train and validation rows",
    "validation": "on the validation rows",
    "half of validation": "on one half of the validation rows",
}


@dataclass(frozen=True, kw_only=True)
class PageFacts:
    """All that a page shows.

    evaluation, training, table, splits  the reports of those steps; `table` is that of `raw_customers`
    versions  what the evaluation was made from, in the order to show
    looks     how many evaluations have looked at this test split, this one included
    outcome   first, promoted, kept or refused, with the gate's reason
    """

    dataset: Dataset
    evaluation: "StepReport"
    training: "StepReport"
    table: "StepReport"
    splits: "StepReport"
    versions: Mapping[str, str]
    looks: int
    outcome: str
    reason: str


def plots(facts: PageFacts) -> dict[str, bytes]:
    """The report's plots as PNGs, each below 60 kB: cost_curve, calibration, reasons, contributions, confusion."""
    detail = facts.evaluation.detail
    evaluation, summary = detail["evaluation"], detail["reasons"]
    return {
        "cost_curve": drawing.cost_curve(evaluation, facts.training.detail["searched_cutoff"]),
        "calibration": drawing.calibration(evaluation["calibration"]),
        "reasons": drawing.reasons(summary),
        "contributions": drawing.contributions(summary),
        "confusion": drawing.confusion(evaluation["contacts"]["confusion"]),
    }


def page(facts: PageFacts, pictures: Mapping[str, bytes] | None = None) -> str:
    """The page as HTML. `pictures`: what `plots` returned, where it was called before; the same facts give the same text."""
    drawn = pictures if pictures is not None else plots(facts)
    return template("report.html.j2").render(
        **_shown(facts), pictures={name: _data_uri(drawn[name]) for name in _ON_PAGE}
    )


@cache
def template(name: str) -> jinja2.Template:
    """A page of `templates/`: all that is put into it is escaped, and nothing may be missing."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(figures, name) for name in _FILTERS}
    return environment.get_template(name)


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _shown(facts: PageFacts) -> dict[str, Any]:
    """What the template reads."""
    detail, training = facts.evaluation.detail, facts.training.detail
    evaluation = detail["evaluation"]
    tone, verdict, consequence = _VERDICTS.get(facts.outcome, ("calm", figures.claim(facts.outcome), ""))
    gate = _weighed(facts)
    suspects = [*facts.splits.detail["leaks"], *facts.splits.detail["suspects"]]
    return {
        "facts": facts,
        "dataset": facts.dataset,
        "detail": detail,
        "evaluation": evaluation,
        "noun": "customers" if evaluation["rows"] == evaluation["customers"] else "rows",
        "money": evaluation["money"],
        "contacts": evaluation["contacts"],
        "tone": tone,
        "verdict": verdict,
        "consequence": consequence,
        "gate": gate,
        "failing": [
            fact for fact in gate if not fact["holds"] and not (suspects and fact["name"] == "no_suspected_leak")
        ],
        "suspects": suspects,
        "costs": _costs_in_words(facts.dataset.costs),
        "cutoff_in_words": _cutoff_in_words(evaluation["contacts"]),
        "cutoff_formula": _formula(facts.dataset.costs),
        "successes": _successes(evaluation["money"]),
        "searched": training["searched_cutoff"],
        "in_use": _in_use(evaluation["contacts"], training),
        "bars": _bars(detail["reasons"]),
        "slope_verdict": _slope_verdict(evaluation["calibration_slope"]),
        "weak": [each for each in detail["segments"] if each["weak"]][:_MOST_SEGMENTS],
        "other_segments": [each for each in detail["segments"] if not each["weak"]][:_MOST_BY_CHANCE],
        "trials": [_trial(each) for each in training["leaderboard"][:_MOST_TRIALS]],
        "trial_count": len(training["leaderboard"]),
        "searched_on": _SEARCHED_ON.get(training["searched_on"], training["searched_on"]),
        "is_calibrated": training["calibration"]["kind"] != "identity",
        "quarantine": sorted(facts.table.detail["reasons"].items(), key=lambda pair: (-pair[1], pair[0]))[
            :_MOST_LISTED
        ],
        "left_out": sorted(training["left_out"].items())[:_MOST_LISTED],
        "checks": [
            check for report in (facts.table, facts.splits, facts.training, facts.evaluation) for check in report.checks
        ],
    }


def _weighed(facts: PageFacts) -> list[Plain]:
    """The claims behind the decision that was taken: an old champion is weighed by other rules than a young one. What fails comes first."""
    detail = facts.evaluation.detail
    decisions: list[Plain] = [detail["decision"], detail["decision_when_old"]]
    taken = next((each for each in decisions if each["reason"] == facts.reason), decisions[0])
    return sorted(taken["facts"], key=lambda fact: bool(fact["holds"]))


def _costs_in_words(costs: Costs) -> list[tuple[str, str]]:
    """What the spec says a mistake costs, as name and amount."""
    contact = costs.contact
    if contact is None:
        return [
            ("left, and was not contacted", figures.usd(costs.false_negative)),
            ("would have stayed, and was contacted", figures.usd(costs.false_positive)),
            ("would have left, and was contacted", figures.usd(costs.true_positive)),
            ("stayed, and was not contacted", figures.usd(costs.true_negative)),
        ]
    worth = (
        f"by customer, column {figures.one_line(contact.value.column)}"
        if isinstance(contact.value, ValueColumn)
        else figures.usd(contact.value)
    )
    return [
        ("one contact, offer included", figures.usd(contact.cost)),
        ("contacted leavers who stay", figures.percent(contact.success)),
        ("lost when a customer leaves", worth),
    ]


def _formula(costs: Costs) -> str:
    """How the cutoff in use follows from the costs."""
    contact = costs.contact
    if contact is None:
        wasted, saved = costs.false_positive - costs.true_negative, costs.false_negative - costs.true_positive
        return f"{figures.usd(wasted)} for a contact without need / ({figures.usd(wasted)} + {figures.usd(saved)} that a contact in time saves)"
    worth = "the customer's worth" if isinstance(contact.value, ValueColumn) else figures.usd(contact.value)
    return f"{figures.usd(contact.cost)} for a contact / ({figures.percent(contact.success)} who stay x {worth})"


def _cutoff_in_words(contacts: Plain) -> str:
    lowest, highest, typical = (contacts[f"cutoff{which}"] for which in ("_lowest", "_highest", ""))
    if lowest is None:
        return "none, contacting never pays"
    if lowest == highest:
        return figures.cutoff(lowest)
    top = "and up" if highest is None else f"to {figures.cutoff(highest)}"
    return f"{figures.cutoff(lowest)} {top} by worth, typically {figures.cutoff(typical)}"


def _in_use(contacts: Plain, training: Plain) -> Plain | None:
    """What the one cutoff in use costs on the rows that the other was searched on, and whether it lies in that one's range.

    None where there is no single cutoff, or nothing to compare it with.
    """
    used, searched, curve = contacts["cutoff_lowest"], training["searched_cutoff"], training["cost_curve"]
    if used is None or used != contacts["cutoff_highest"] or searched["low"] is None or searched["high"] is None:
        return None
    nearest = min(range(len(curve["cutoff"])), key=lambda place: abs(curve["cutoff"][place] - used))
    return {"cost": curve["cost"][nearest], "is_within": searched["low"] <= used <= searched["high"]}


def _successes(money: Plain) -> list[dict[str, Any]]:
    """The savings by how often a contact works, the spec's own assumption among them."""
    assumed = money["assumed_success"]
    rows = {each["success"]: each["saving"] for each in money["saving_at"]} | {assumed: money["saving_nobody"]}
    return [
        {
            "success": success,
            "saving": rows[success],
            "is_assumed": success == assumed,
            "loses": _below(rows[success]["high"]),
        }
        for success in sorted(rows, reverse=True)
    ]


def _below(number: float | None) -> bool:
    return number is not None and number < 0


def _bars(summary: Plain) -> list[dict[str, Any]]:
    """The reasons with the width of their bars in percent of the largest."""
    sizes = [size or 0.0 for size in summary["mean_size"]]
    largest = max(sizes, default=0.0) or 1.0
    told = zip(summary["names"], summary["mean_size"], sizes, strict=True)
    return [{"name": name, "size": size, "width": round(100 * known / largest, 1)} for name, size, known in told][
        :MOST_REASONS
    ]


def _slope_verdict(slope: Plain) -> str:
    """What the calibration slope says, as far as these rows can tell."""
    low, high = slope["low"], slope["high"]
    if low is None or high is None:
        return "These rows cannot tell whether probabilities are too bold or too timid."
    if high < 1:
        return "Probabilities are too bold here: high ones promise too much risk, low ones too little."
    if low > 1:
        return "Probabilities are too timid here: high risks are higher than they say, low ones lower."
    return "Nothing here says that probabilities are too bold or too timid."


def _trial(trial: Plain) -> dict[str, Any]:
    values = [f"{name} {value:.4g}" for name, value in sorted(trial["values"].items()) if value is not None]
    rounds = f"{trial['rounds']} round{'' if trial['rounds'] == 1 else 's'}"
    return {**trial, "told": ", ".join([rounds, *values]), "family": trial["family"].replace("_", " ")}
