"""An evaluation in sentences for a manager: the command line, the report and the assistant's door say the same."""

from collections.abc import Sequence

from churn_model.evaluation.metrics import Contacts, Estimate, Evaluation, Money, Reach
from churn_model.evaluation.promotion_reasons import describe_judged
from churn_model.wording import assumption, decimal, describe_rows, is_known, percent, usd, usd_range


def describe_judged_rows(found: Evaluation) -> str:
    """Return on which rows a model was judged."""
    if found.outer_folds:
        judged = describe_judged(found)
        return f"{judged[:1].upper()}{judged[1:]}."
    return f"Judged on {describe_rows(found.rows, found.customers)} that the model never saw."


def describe_money(money: Money) -> str:
    """Return what a model saves per customer against contacting nobody, with its range and what it takes for granted."""
    saving = money.saving_nobody
    return (
        f"Against contacting nobody it saves {usd_range(saving)} per customer ({usd(saving.value)} on these rows), "
        f"{assumption(money.assumed_success)}."
    )


def describe_successes(money: Money) -> list[str]:
    """Return what the same contacts save under other assumptions."""
    return [
        f"with the same contacts, {assumption(at.success)}: {usd_range(at.saving)}"
        for at in money.saving_at
        if at.success != money.assumed_success
    ]


def describe_contacted(found: Evaluation, contacts: Contacts) -> str:
    """Return whom the model would have contacted, and how many leavers were among them."""
    calls = contacts.calls_per_leaver
    return (
        f"Contacted: {contacts.contacted:,} of {found.rows:,}; {contacts.leavers_reached:,} of {found.leavers:,} leavers among them"
        + (f", {decimal(calls, 1)} calls for each." if is_known(calls) else ".")
    )


def describe_reach(reach: Sequence[Reach]) -> list[str]:
    """Return what calling the first tenth finds; nothing if no leaver is among them."""
    top = next((each for each in reach if each.share == 0.1), None)
    if top is None or not is_known(top.calls_per_leaver):
        return []
    return [
        f"The first tenth by probability holds {percent(top.share_of_leavers.value)} of the leavers, "
        f"{decimal(top.lift.value, 1)} times as many as chance would."
    ]


def describe_slope(slope: Estimate) -> str:
    """Return what the calibration slope says, as far as these rows can tell."""
    if not (is_known(slope.low) and is_known(slope.high)):
        return "These rows cannot show whether probabilities are too bold or too timid."
    if slope.high < 1:
        return "Probabilities are too bold here: high ones promise too much risk, low ones too little."
    if slope.low > 1:
        return "Probabilities are too timid here: high risks are higher than they say, low ones lower."
    return "Nothing here suggests that probabilities are too bold or too timid."
