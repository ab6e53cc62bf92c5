"""The summary of `churn report`."""

from collections.abc import Sequence

from churn_assets.cli.summaries._lake import locate, page_lines, read_report, require_made
from churn_model.evaluation.metrics import Contacts, Evaluation, Money, Reach
from churn_model.evaluation.promotion_reasons import describe_judged
from churn_model.reports.evaluate import EvaluateReport
from churn_model.spec.dataset import Dataset
from churn_model.wording import assumption, decimal, describe_rows, is_known, percent, usd, usd_range
from resources.catalog.integrity import read_manifest
from resources.catalog.names import EVALUATION_REPORT, EXPLORATION_HTML, EXPLORATION_REPORT, RAW_CUSTOMERS
from resources.catalog.outputs import Output
from resources.catalog.pointers import read_current
from resources.wiring import Ports


def report_summary(ports: Ports, dataset: Dataset) -> str:
    """Return what the last evaluation found, in a manager's words."""
    current = require_made(ports, dataset, EVALUATION_REPORT, "an evaluation", f"churn retrain {dataset.name}")
    found = read_report(ports, current, EvaluateReport).evaluation
    lines = [
        f"{dataset.name} predicts who {dataset.label.means}. {_judged_line(found)}",
        f"  {_saving_line(found.money)}",
        *(f"    {line}" for line in _success_lines(found.money)),
        f"  {_contacts_line(found, found.contacts)}",
        *_reach_lines(found.reach),
        *page_lines(ports, dataset),
        f"  Exploration: {_exploration(ports, dataset)}",
    ]
    return "\n".join(lines)


def _judged_line(found: Evaluation) -> str:
    if found.outer_folds:
        judged = describe_judged(found)
        return f"{judged[:1].upper()}{judged[1:]}."
    return f"Judged on {describe_rows(found.rows, found.customers)} that the model never saw."


def _saving_line(money: Money) -> str:
    saving = money.saving_nobody
    return (
        f"Against contacting nobody it saves {usd_range(saving)} per customer ({usd(saving.value)} on these rows), "
        f"{assumption(money.assumed_success)}."
    )


def _success_lines(money: Money) -> list[str]:
    return [
        f"with the same contacts, {assumption(at.success)}: {usd_range(at.saving)}"
        for at in money.saving_at
        if at.success != money.assumed_success
    ]


def _contacts_line(found: Evaluation, contacts: Contacts) -> str:
    calls = contacts.calls_per_leaver
    return (
        f"Contacted: {contacts.contacted:,} of {found.rows:,}; {contacts.leavers_reached:,} of {found.leavers:,} leavers among them"
        + (f", {decimal(calls, 1)} calls for each." if is_known(calls) else ".")
    )


def _reach_lines(reach: Sequence[Reach]) -> list[str]:
    top = next((each for each in reach if each.share == 0.1), None)
    if top is None or not is_known(top.calls_per_leaver):
        return []
    return [
        f"  The first tenth by probability holds {percent(top.share_of_leavers.value)} of the leavers, "
        f"{decimal(top.lift.value, 1)} times as many as chance would."
    ]


def _exploration(ports: Ports, dataset: Dataset) -> str:
    """Return where the page about the present table is, or how to make it."""
    current, table = (read_current(ports.lake, dataset.name, asset) for asset in (EXPLORATION_REPORT, RAW_CUSTOMERS))
    if current and table and read_manifest(ports.lake, current.prefix).upstream[RAW_CUSTOMERS] == table.version:
        return locate(ports, dataset, Output.EXPLORATION, current.prefix + EXPLORATION_HTML)
    return f"`churn explore {dataset.name}` makes it"
