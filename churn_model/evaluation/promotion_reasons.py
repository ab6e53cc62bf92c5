"""The sentences in which the gate explains its decision to a manager."""

from churn_model.evaluation.comparison import Comparison
from churn_model.evaluation.metrics import Evaluation
from churn_model.evaluation.promotion_facts import NOT_WORSE, WITHOUT_MODEL, Fact
from churn_model.spec.sections.gate import Gate
from churn_model.spec.sections.split import Split
from churn_model.training.shares import OUTER_FOLDS, Shares
from churn_model.wording import assumption, describe_rows, percent, usd


def explain_unusable(candidate: Evaluation, enough: Fact, ranks: Fact, saves: Fact) -> str | None:
    """Return why nobody should be contacted by this model; None if it may be used."""
    if not enough.holds:
        return f"too small to judge, {enough.found}. {enough.todo}."
    if not ranks.holds:
        return f"no signal; {describe_judged(candidate)}, it may rank leavers no better than chance ({ranks.found})."
    return None if saves.holds else _explain_no_saving(candidate)


def _explain_no_saving(candidate: Evaluation) -> str:
    contacts, money = candidate.contacts, candidate.money
    better = money.better_without_model
    if contacts.contacted == 0 or (contacts.contacted == candidate.rows and better == "everybody"):
        sure = f"there is signal, but at these costs it is cheaper to contact {better}"
    else:
        sure = (
            f"there is signal, but at these costs it may be cheaper to contact {better}: "
            f"the saving against {WITHOUT_MODEL} is between {usd(money.saving_better.low)} and {usd(money.saving_better.high)} per customer"
        )
    return f"{sure} (AUC {candidate.auc.value:.2f}; {assumption(money.assumed_success)})."


def describe_judged(candidate: Evaluation) -> str:
    """Return on which customers a candidate was judged, as a clause."""
    judged = describe_rows(candidate.rows, candidate.customers)
    if candidate.outer_folds:
        return (
            f"judged by {candidate.outer_folds} outer folds on {judged}, each by a model that never saw that customer"
        )
    return f"judged on {judged} it never saw"


def describe_shares(shares: Shares) -> str | None:
    """Return what was chosen by size, and why, as a sentence; None if nothing was, or only what holds for all large tables."""
    if not shares.is_open or (shares.judged_on == "test" and shares.split.test_share == Split().test_share):
        return None
    rows = f"The spec leaves the split open, and the rarer outcome has {shares.leavers:,} rows"
    if shares.judged_on == "outer_folds":
        return (
            f"{rows}, too few for a test split: the recipe is judged by {OUTER_FOLDS} outer folds. Models are compared on the first of them, "
            f"{percent(shares.split.test_share)} of the customers, which no candidate sees."
        )
    return f"{rows}: {percent(shares.split.test_share)} of the customers are tested instead of {percent(Split().test_share)}."


def describe_saving(candidate: Evaluation) -> str:
    """Return what the model saves, with its range and what it takes for granted, as a clause."""
    money = candidate.money
    saving = money.saving_better
    return (
        f"{describe_judged(candidate)}, it saves {usd(saving.low)} to {usd(saving.high)} "
        f"per customer against {WITHOUT_MODEL}, {assumption(money.assumed_success)}"
    )


def explain_first(candidate: Evaluation) -> str:
    """Return why a candidate becomes the first champion."""
    return (
        f"First champion: {describe_saving(candidate)}. "
        f"It ranks leavers clearly better than chance (AUC {candidate.auc.value:.2f}, at least {candidate.auc_lower_99:.2f})."
    )


def explain_promoted(comparison: Comparison) -> str:
    """Return why a candidate replaces the champion."""
    log_loss, cost = comparison.log_loss, comparison.cost
    return (
        f"Promoted: on {comparison.rows:,} rows that neither model saw, the candidate predicts better than the champion "
        f"(log loss {log_loss.candidate:.4f} against {log_loss.champion:.4f}) and "
        f"costs {usd(cost.candidate)} per customer instead of {usd(cost.champion)}."
    )


def explain_kept(comparison: Comparison, sure: Fact, large: Fact, cheap: Fact) -> str:
    """Return why the champion stays, from the facts of `compare_models`."""
    log_loss = comparison.log_loss
    losses = f"log loss {log_loss.candidate:.4f} against {log_loss.champion:.4f}"
    if not sure.holds:
        why = (
            f"the candidate has not proved itself better on {comparison.rows:,} rows that neither model saw ({losses})"
        )
    elif not large.holds:
        why = f"the candidate's gain is too small to be worth a change ({losses})"
    else:
        why = f"the candidate predicts better but costs more: {cheap.found}"
    return f"The champion stays: {why}. The smallest gain in log loss that this test could have shown is {comparison.smallest_gain:.4f}."


def explain_old(comparison: Comparison, gate: Gate, *, promoted: bool) -> str:
    """Return why a champion older than `gate.max_age` is replaced by a candidate that is not worse, or stays."""
    cost = comparison.cost
    if promoted:
        return (
            f"Promoted: the champion is older than {gate.max_age}, and the candidate is not worse: "
            f"{usd(cost.candidate)} per customer against {usd(cost.champion)}, at most {usd(cost.upper)} more."
        )
    room = NOT_WORSE * abs(cost.champion)
    return (
        f"The champion stays, though it is older than {gate.max_age}: the candidate may cost up to {usd(cost.upper)} per customer more, "
        f"and {usd(room)} is allowed."
    )
