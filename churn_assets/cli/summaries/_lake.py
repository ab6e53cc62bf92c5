"""What several summaries read from the lake, and the lines that they share."""

from collections.abc import Sequence
from typing import TypeVar

from churn_assets.console.safe_text import on_one_line
from churn_model.errors import ChurnError, problem
from churn_model.reports.ingest import IngestReport
from churn_model.spec.column_names import name_key
from churn_model.spec.dataset import Dataset
from churn_model.wording import NOT_EVALUATED, counted
from resources.catalog.names import EVALUATION_PAGE, QUARANTINE, REPORT_HTML
from resources.catalog.outputs import Output, output_key
from resources.catalog.pointers import Current, read_current
from resources.catalog.publish import read_published, require_published
from resources.catalog.published_tables import read_first
from resources.wiring import Ports

T = TypeVar("T")
_FIRST_SHOWN = 3


def read_report(ports: Ports, current: Current, kind: type[T]) -> T:
    """Return the report of a published version, read as `kind`."""
    return require_published(ports.lake, current.prefix).read(kind)


def find_report(ports: Ports, dataset: Dataset, asset: str, kind: type[T]) -> T | None:
    """Return the report of the version shown of an asset, or None if there is none."""
    current = read_current(ports.lake, dataset.name, asset)
    published = read_published(ports.lake, current.prefix) if current else None
    return published.read(kind) if published else None


def require_made(
    ports: Ports, dataset: Dataset, asset: str, what: str, command: str, batch: str | None = None
) -> Current:
    """Return the version shown of an asset. Raise ChurnError, which names the command that makes it, if there is none."""
    current = read_current(ports.lake, dataset.name, asset, batch)
    if current is None:
        raise ChurnError(problem(expected=f"{what} of {dataset.name}", found="none", todo=f"run `{command}` first"))
    return current


def page_lines(ports: Ports, dataset: Dataset) -> list[str]:
    """Return where the page of the evaluation is."""
    current = read_current(ports.lake, dataset.name, EVALUATION_PAGE)
    if current is None:
        return []
    return [f"  Report:      {locate(ports, dataset, Output.REPORT, current.prefix + REPORT_HTML)}"]


def locate(ports: Ports, dataset: Dataset, output: Output, key: str, batch: str = "") -> str:
    """Return where people open a list or a page: under its lasting name, or in the lake if no run has put it there yet."""
    lasting = output_key(dataset.name, output, batch)
    return ports.outputs.uri(lasting) if ports.outputs.holds(lasting) else ports.lake.uri(key)


def quarantine_lines(ports: Ports, table: Current, use: str) -> list[str]:
    """Return how files were read that do not say it themselves, and how many records of a table are in quarantine and so not `use`d.

    With the place of the quarantine, and the first records there.
    """
    report = read_report(ports, table, IngestReport)
    counts, remarks = report.counts, _remark_lines(report)
    if not counts.quarantined:
        return remarks
    key = table.prefix + QUARANTINE
    first = read_first(ports.lake, key, _FIRST_SHOWN).to_pylist()
    verb = "is" if counts.quarantined == 1 else "are"
    lines = [
        f"  Quarantine:  {counts.quarantined:,} of {counted(counts.records, 'record')} {verb} not {use}, "
        f"each with its reason in {ports.lake.uri(key)}"
    ]
    for row in first:
        column = f"{on_one_line(row['column'])}: " if row["column"] else ""
        lines.append(f"    {on_one_line(row['file'])}:{row['line']}  {column}{on_one_line(row['reason'])}")
    return [*remarks, *lines, *(["    ..."] if counts.quarantined > _FIRST_SHOWN else [])]


def _remark_lines(report: IngestReport) -> list[str]:
    files = report.remarks or {}
    shown = [
        f"  Read:        {on_one_line(file)}: {on_one_line('; '.join(files[file]))}"
        for file in list(files)[:_FIRST_SHOWN]
    ]
    return [*shown, *(["    ..."] if len(files) > _FIRST_SHOWN else [])]


def ignored_column_lines(ports: Ports, table: Current, *, expected: Sequence[str] = ()) -> list[str]:
    """Return the landed columns of a batch that the model does not read, apart from those that the spec expects there."""
    names = read_report(ports, table, IngestReport).ignored_columns
    known = {name_key(name) for name in expected}
    names = None if names is None else tuple(name for name in names if name_key(name) not in known)
    if names is None:
        return [f"  Columns that the model does not know: {NOT_EVALUATED}."]
    if not names:
        return []
    more = f" and {len(names) - _FIRST_SHOWN} more" if len(names) > _FIRST_SHOWN else ""
    return [f"  Columns that the model does not know: {', '.join(map(repr, names[:_FIRST_SHOWN]))}{more}."]
