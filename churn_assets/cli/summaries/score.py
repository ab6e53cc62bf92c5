"""The summary of `churn score`."""

from datetime import UTC, datetime

from churn_assets.cli.summaries._lake import (
    find_report,
    ignored_column_lines,
    locate,
    page_lines,
    quarantine_lines,
    read_report,
)
from churn_assets.console.safe_text import on_one_line
from churn_assets.reporting.batch_page import describe_contacts, describe_left_out, describe_scored
from churn_model.errors import ChurnError
from churn_model.reports.evaluate import EvaluateReport
from churn_model.reports.retention_list import ListReport, describe_holdout
from churn_model.spec.dataset import Dataset
from churn_model.steps.claims.score import KNOWN_VALUES
from churn_model.wording import percent, usd
from resources.catalog.ledger import describe_standing, find_standing
from resources.catalog.names import (
    BATCH_PAGE,
    BATCH_PREDICTIONS,
    CONTACTS,
    EVALUATION_REPORT,
    LIST,
    LIST_LAYOUT,
    RETENTION_LIST,
    SUMMARY_HTML,
)
from resources.catalog.outputs import Output
from resources.catalog.pointers import read_batch, read_current
from resources.catalog.publish import read_published
from resources.catalog.published_tables import read_first
from resources.wiring import Ports

_MOST_CONTACTS = 5
_NO_NAMES = (
    "  No id:       customers are named by a hash of their values, by which nobody can be called. "
    "If there is an id, name its column in the spec."
)


def score_summary(ports: Ports, dataset: Dataset, batch: str) -> str:
    """Return whom to contact in a batch, what that is expected to save, and where the list is."""
    record = read_batch(ports.lake, dataset.name, batch)
    current = read_current(ports.lake, dataset.name, RETENTION_LIST, batch)
    if record is None or current is None:
        raise ChurnError(f"Batch {batch} has not been scored yet. Run `churn score {dataset.name} {batch}`.")
    report = read_report(ports, current, ListReport)
    counts = report.counts
    standing = find_standing(ports.lake, dataset, batch, current, datetime.now(UTC))
    evaluation = find_report(ports, dataset, EVALUATION_REPORT, EvaluateReport)
    lines = [
        "",
        f"Batch {batch} of {dataset.name}: contact {counts.to_contact:,} of {describe_scored(counts)}.",
        *(f"  {note}" for note in describe_standing(standing, dataset.list.cooldown)),
        f"  {describe_contacts(report, evaluation.evaluation.money if evaluation else None, dataset.costs)}",
        *(f"  {line}" for line in describe_left_out(counts)),
        *([f"  Hold-out:    {describe_holdout(report.holdout)}"] if report.holdout and counts.held_out else []),
        *([f"  PROVISIONAL: the gate refused this model. {record.provisional}"] if record.provisional else []),
        *([_NO_NAMES] if dataset.id_column is None and counts.to_contact else []),
        *quarantine_lines(ports, record.rows, "scored"),
        *ignored_column_lines(ports, record.rows, expected=(*dataset.list.columns, *dataset.ignore)),
        *_lacking_column_lines(ports, dataset, batch),
        *_unknown_value_lines(ports, dataset, batch),
        "",
        *([*_first_contacts(ports, current.prefix), ""] if counts.to_contact else []),
        *_summary_lines(ports, dataset, batch),
        f"  List:        {_locate_list(ports, dataset, batch, current.prefix)}",
        *page_lines(ports, dataset),
        "  In the UI:   churn ui   (assets, checks and lineage at http://127.0.0.1:3000)",
    ]
    return "\n".join(lines)


def _locate_list(ports: Ports, dataset: Dataset, batch: str, listed: str) -> str:
    """Return where the list for people is. Earlier code published it in the version of the list itself, at the prefix `listed`."""
    layout = read_current(ports.lake, dataset.name, LIST_LAYOUT, batch)
    return locate(ports, dataset, Output.LIST, (layout.prefix if layout else f"{listed}list/") + LIST, batch)


def _summary_lines(ports: Ports, dataset: Dataset, batch: str) -> list[str]:
    """Return where the page about the batch is."""
    page = read_current(ports.lake, dataset.name, BATCH_PAGE, batch)
    return (
        [f"  Summary:     {locate(ports, dataset, Output.SUMMARY, page.prefix + SUMMARY_HTML, batch)}"] if page else []
    )


def _lacking_column_lines(ports: Ports, dataset: Dataset, batch: str) -> list[str]:
    """Return the columns named for the list that the batch lacks."""
    layout = read_current(ports.lake, dataset.name, LIST_LAYOUT, batch)
    report = read_published(ports.lake, layout.prefix) if layout else None
    failed = [check for check in (report.checks if report else ()) if not check.passed]
    return [f"  Blank:       {on_one_line(check.found)}; {check.todo}." for check in failed]


def _unknown_value_lines(ports: Ports, dataset: Dataset, batch: str) -> list[str]:
    """Return the categories in which many rows of a batch hold values that the model never saw."""
    predictions = read_current(ports.lake, dataset.name, BATCH_PREDICTIONS, batch)
    report = read_published(ports.lake, predictions.prefix) if predictions else None
    failed = [
        check for check in (report.checks if report else ()) if check.name == KNOWN_VALUES.name and not check.passed
    ]
    return [f"  Be careful:  {on_one_line(check.found)}; {check.todo}." for check in failed]


def _first_contacts(ports: Ports, prefix: str) -> list[str]:
    """Return the top of the list."""
    lines = []
    for row in read_first(ports.lake, prefix + CONTACTS, _MOST_CONTACTS).to_pylist():
        reasons = "; ".join(str(row[name]) for name in ("reason_1", "reason_2") if row.get(name))
        lines.append(
            f"  {row['rank']:>3}. {on_one_line(row['id'])}  {percent(row['churn_probability'])}  "
            f"saves {usd(row['expected_saving'])}  {reasons}"
        )
    return lines
