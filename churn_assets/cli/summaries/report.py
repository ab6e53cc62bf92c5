"""The summary of `churn report`."""

from churn_assets.cli.summaries._lake import locate, page_lines, read_report, require_made
from churn_assets.reporting.evaluation_sentences import (
    describe_contacted,
    describe_judged_rows,
    describe_money,
    describe_reach,
    describe_successes,
)
from churn_model.reports.evaluate import EvaluateReport
from churn_model.spec.dataset import Dataset
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
        f"{dataset.name} predicts who {dataset.label.means}. {describe_judged_rows(found)}",
        f"  {describe_money(found.money)}",
        *(f"    {line}" for line in describe_successes(found.money)),
        f"  {describe_contacted(found, found.contacts)}",
        *(f"  {line}" for line in describe_reach(found.reach)),
        *page_lines(ports, dataset),
        f"  Exploration: {_exploration(ports, dataset)}",
    ]
    return "\n".join(lines)


def _exploration(ports: Ports, dataset: Dataset) -> str:
    """Return where the page about the present table is, or how to make it."""
    current, table = (read_current(ports.lake, dataset.name, asset) for asset in (EXPLORATION_REPORT, RAW_CUSTOMERS))
    if current and table and read_manifest(ports.lake, current.prefix).upstream[RAW_CUSTOMERS] == table.version:
        return locate(ports, dataset, Output.EXPLORATION, current.prefix + EXPLORATION_HTML)
    return f"`churn explore {dataset.name}` makes it"
