"""The summary of `churn explore`."""

from churn_assets.cli.summaries._lake import locate, read_report, require_made
from churn_assets.reporting.exploration import ExplorationReport
from churn_model.spec.dataset import Dataset
from churn_model.wording import NOT_EVALUATED, one_line, percent
from resources.catalog.names import EXPLORATION_HTML, EXPLORATION_REPORT
from resources.catalog.outputs import Output
from resources.wiring import Ports

_MOST_ODD = 20
_MOST_TELLING = 5


def explore_summary(ports: Ports, dataset: Dataset) -> str:
    """Return what is odd in the landed table, which columns tell most, and where the page is."""
    current = require_made(ports, dataset, EXPLORATION_REPORT, "an exploration", f"churn explore {dataset.name}")
    report = read_report(ports, current, ExplorationReport)
    counts = report.counts
    lines = [
        "",
        f"{counts.rows:,} rows landed for {dataset.name}; "
        f"{counts.leavers:,} ({percent(counts.leavers / counts.rows)}) {dataset.label.means}.",
        *([f"Looked at: {counts.looked_at:,} rows, a random sample."] if counts.looked_at < counts.rows else []),
        *_odd_lines(report),
        _telling_line(report),
        f"  Exploration: {locate(ports, dataset, Output.EXPLORATION, current.prefix + EXPLORATION_HTML)}",
    ]
    return "\n".join(lines)


def _odd_lines(report: ExplorationReport) -> list[str]:
    if report.odd is None or report.repeated is None:
        return [f"Columns that repeat another or look like ids: {NOT_EVALUATED}."]
    odd = [f"  {one_line(each.column, 40)}: {one_line(each.why, 160)}" for each in (*report.odd, *report.repeated)]
    if not odd:
        return ["No column repeats another or looks like an id."]
    return ["Columns that repeat another or look like ids:", *odd[:_MOST_ODD]]


def _telling_line(report: ExplorationReport) -> str:
    if report.apart is None:
        return f"The columns in which leavers differ: {NOT_EVALUATED}."
    telling = [one_line(each.column, 40) for each in report.apart[:_MOST_TELLING] if each.apart > 2 * each.by_chance]
    if not telling:
        return "In no single column do leavers differ from the others by much more than chance."
    return f"Leavers differ most in: {', '.join(telling)}."
