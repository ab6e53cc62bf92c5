"""How far the model can be trusted: what its gate weighed, how sure its figures are, whether its probabilities mean what they say, where it is weak."""

from collections.abc import Mapping, Sequence
from typing import Any

from churn_assets.assistant.desk import Desk
from churn_assets.assistant.lists import champion_evaluation
from churn_assets.assistant.quoting import LONGEST_SENTENCE, NOTE, known, quote
from churn_assets.model_server.sentences import LOOKED_AT
from churn_assets.reporting.evaluation_sentences import (
    describe_judged_rows,
    describe_reach,
    describe_slope,
)
from churn_model.checks import Check
from churn_model.evaluation.metrics import Estimate, Evaluation
from churn_model.evaluation.promotion_facts import Fact
from churn_model.evaluation.segments import Segment
from churn_model.wording import NOT_EVALUATED, percent, sentence
from resources.catalog.names import PREPROCESSED_SPLITS, RAW_CUSTOMERS
from resources.catalog.pointers import Champion, read_current, require_champion
from resources.catalog.publish import read_published

MOST_WEAK = 12
WEAK = (
    "In these groups the outcome differs from the prediction by more than chance, even allowing for the number of groups examined. "
    "Be careful with the model's predictions there."
)
NOT_WEAK = "In no group of at least 50 rows did the outcome differ from the prediction by more than chance."
RANGES = "Ranges, not points: a range covers what 90 of 100 other samples of this size would have shown."


def describe_trust(desk: Desk, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the gate's decision about the champion and what it weighed, its figures with their ranges, its calibration, failed checks, weak groups."""
    dataset = desk.dataset
    champion = require_champion(desk.lake, dataset.name)
    report = champion_evaluation(desk, dataset)
    found: dict[str, Any] = {
        "champion": {"version": champion.version, "since": champion.since[:10], "outcome": champion.outcome},
        "says": [quote(champion.reason, LONGEST_SENTENCE)],
        "about_reasons": LOOKED_AT,
        "note": NOTE,
    }
    if report is None:
        return found
    facts = report.decision.facts
    return {
        **found,
        "says": [*found["says"], *_describe(report.evaluation)],
        "figures": _describe_figures(report.evaluation),
        "gate": [_describe_fact(fact) for fact in facts],
        "failed_checks": _find_failed_checks(desk, champion, dataset.name),
        "weak_groups": _describe_weak(report.segments),
    }


def _describe(found: Evaluation) -> list[str]:
    return [
        describe_judged_rows(found),
        RANGES,
        f"It ranks leavers with an AUC of {found.auc.value:.2f}, at least {found.auc_lower_99:.2f}; 0.50 is chance.",
        *describe_reach(found.reach),
        describe_slope(found.calibration_slope),
        f"The mean gap between what it predicts and what came is {percent(found.ece.value)}; some gap is chance.",
    ]


def _describe_figures(found: Evaluation) -> list[dict[str, Any]]:
    figures: Sequence[tuple[str, Estimate]] = (
        ("AUC", found.auc),
        ("log loss", found.log_loss),
        ("Brier score", found.brier),
        ("calibration slope (1 is right)", found.calibration_slope),
        ("mean calibration gap", found.ece),
        ("share of leavers reached", found.contacts.recall),
        ("saved per customer against the better of contacting nobody and everybody", found.money.saving_better),
    )
    return [
        {"figure": name, "value": known(each.value), "low": known(each.low), "high": known(each.high)}
        for name, each in figures
    ]


def _describe_fact(fact: Fact) -> dict[str, Any]:
    return {
        "fact": sentence(fact.name),
        "holds": fact.holds,
        "found": quote(fact.found, LONGEST_SENTENCE),
        "todo": "" if fact.holds else quote(fact.todo, LONGEST_SENTENCE),
    }


def _find_failed_checks(desk: Desk, champion: Champion, name: str) -> list[dict[str, Any]]:
    """Return the checks that do not hold: of the champion and its evaluation, and of the table and the splits as they are now."""
    now = (read_current(desk.lake, name, asset) for asset in (RAW_CUSTOMERS, PREPROCESSED_SPLITS))
    prefixes = [champion.prefix, champion.evaluation, *(each.prefix for each in now if each)]
    reports = [found for prefix in prefixes if (found := read_published(desk.lake, prefix))]
    return [_describe_check(check) for report in reports for check in report.checks if not check.passed]


def _describe_check(check: Check) -> dict[str, Any]:
    return {
        "check": sentence(check.name),
        "found": quote(check.found, LONGEST_SENTENCE),
        "todo": quote(check.todo, LONGEST_SENTENCE),
    }


def _describe_weak(segments: Sequence[Segment] | None) -> dict[str, Any]:
    if segments is None:
        return {"says": NOT_EVALUATED, "groups": []}
    weak = [each for each in segments if each.weak][:MOST_WEAK]
    return {
        "says": WEAK if weak else NOT_WEAK,
        "groups": [
            {
                "column": quote(each.column),
                "value": quote(each.value),
                "rows": each.rows,
                "predicted": known(each.predicted),
                "left": known(each.observed),
            }
            for each in weak
        ],
    }
