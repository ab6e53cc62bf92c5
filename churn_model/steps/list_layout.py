"""Step `list_layout`: a retention list as people read it. It decides nothing: who is on the list, and in which order, stays as it was published.

Inputs: `list` (a published `retention_list`), `landed` (the batch's files under their whole keys, only if the spec names columns for the list).
Result: table `list`, and `list.csv`, the same for a spreadsheet.
"""

import re
from collections import Counter

import pyarrow as pa

from churn_model.checks import Check
from churn_model.decisions.list_csv import select_list_columns, write_csv
from churn_model.ingest.formats.base import LandedFile
from churn_model.ingest.list_columns import Lacking, ListColumns, read_list_columns
from churn_model.reports.list_layout import LayoutCounts, ListLayoutReport
from churn_model.reports.step_report import Report
from churn_model.spec.dataset import Dataset
from churn_model.steps.claims.list_layout import COLUMNS
from churn_model.steps.contract import Layout
from churn_model.steps.input_files import unchanged_files
from churn_model.tables import open_table, write_table
from churn_model.wording import counted, one_line

_MOST_REASONS = 10
_STRENGTH = re.compile(r": raises the risk[a-z ]*$")
_USUAL = re.compile(r" \([^()]*\)$")
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,.]*(?:e[+-]?\d+)?(?!\w)")


def step(layout: Layout) -> Report:
    """Lay out the list."""
    dataset = layout.dataset
    contacts = open_table(layout.required("list") / "contacts").read()
    added = _read_columns(layout, dataset, contacts) if dataset.list.columns else None
    people = select_list_columns(contacts, added.table if added else None)
    write_table(layout.result / "list", people)
    write_csv(people, layout.result / "list.csv", excel=dataset.list.excel)
    lacking = added.lacking if added else ()
    content = ListLayoutReport(
        counts=LayoutCounts(contacts=contacts.num_rows), lacking=lacking, reasons=count_reasons(contacts)
    )
    return Report(content=content, checks=[_check_columns(lacking)])


def _read_columns(layout: Layout, dataset: Dataset, contacts: pa.Table) -> ListColumns:
    with unchanged_files(layout, "landed") as landed:
        files = [LandedFile(key=name, path=path) for name, path in landed]
        as_of = contacts["as_of"] if dataset.as_of else None
        return read_list_columns(files, dataset, contacts["id"], as_of)


def count_reasons(contacts: pa.Table) -> dict[str, int]:
    """Return the commonest first reasons and how many contacts have each. Reasons that differ in a number or in strength count as one."""
    if "reason_1" not in contacts.column_names:
        return {}
    counts: Counter[str] = Counter()
    for each in contacts["reason_1"].cast(pa.string()).value_counts().to_pylist():
        if each["values"] is not None:
            counts[_topic(each["values"])] += each["counts"]
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_REASONS])


def _topic(reason: str) -> str:
    """Return a reason without its strength, what is usual, and its numbers."""
    text = _USUAL.sub("", _STRENGTH.sub("", reason))
    return _NUMBER.sub("…", text)


def _check_columns(lacking: tuple[Lacking, ...]) -> Check:
    found = "; ".join(
        f"{one_line(each.column)} not in {each.files:,} of {counted(each.of, 'file')}"
        + (f" (close to it: {', '.join(map(one_line, each.close))})" if each.close else "")
        for each in lacking
    )
    return COLUMNS.check(
        not lacking,
        expected="the columns of list.columns in each file of the batch",
        found=found or "all of them",
        todo="land the batch with them, or correct list.columns; who is on the list stays the same",
    )
