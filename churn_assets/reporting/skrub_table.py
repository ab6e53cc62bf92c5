"""The table of an exploration page: skrub's TableReport as a part of a page that loads nothing and is the same for the same rows.

Everything that we rely on in that library's HTML is here. It has two scripts of its own and escapes names and values. If a value ever brought
a third script along, the table would be refused, and the page's policy lets only the two scripts run whose digests are given here.
"""

import base64
import hashlib
import itertools
import re
import warnings
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from churn_model.errors import ChurnError, problem

_SCRIPTS = 2
_ROWS_SHOWN = 10
_ID = "report_of_the_table"
# What the library's HTML lacks for readers who see little or nothing, by what it has instead: (its own, ours).
_RESTYLED = (
    ("--color-text-warning: #ff6600;", "--color-text-warning: #a84300;"),  # contrast on white 6:1 instead of 2.9:1
    ('<select data-manager="ColumnFilter"', '<select aria-label="Columns to show" data-manager="ColumnFilter"'),
)
_COLUMN_OR_PLOT = re.compile(r'data-column-name="([^"]*)"|(data-svg-needs-adjust-viewbox>\s*<svg )')


@dataclass(frozen=True)
class LibraryTable:
    """HTML to be put into a page as it stands, and its scripts' digests as a Content-Security-Policy names them."""

    html: str
    script_digests: tuple[str, ...]


def library_table(rows: pa.Table) -> LibraryTable:
    """Return frequencies, histograms, statistics and associations of columns of numbers and texts: a few thousand rows, a few dozen columns.

    Raise ChurnError if the library's HTML is not as we know it.
    """
    import matplotlib
    from skrub import TableReport

    settings: dict[Any, Any] = {**matplotlib.rcParamsDefault, "backend": "agg", "svg.hashsalt": "exploration"}
    # It warns about letters that the font lacks, though the browser draws them, and about columns without spread.
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = TableReport(
            rows.to_pandas(),
            n_rows=_ROWS_SHOWN,
            verbose=0,
            plot_distributions=True,
            compute_associations=True,
            open_tab="stats",
        )
        html = _make_accessible(_make_reproducible(report.html_snippet()))
    return LibraryTable(html, script_digests(html))


def script_digests(html: str) -> tuple[str, ...]:
    """Return the digests of the library's scripts. Raise ChurnError if there are others among them."""
    scripts = re.findall(r"<script[^>]*>(.*?)</script", html, re.DOTALL | re.IGNORECASE)
    opened = len(re.findall("<script", html, re.IGNORECASE))
    if len(scripts) != _SCRIPTS or opened != _SCRIPTS:
        raise ChurnError(
            problem(
                expected=f"{_SCRIPTS} scripts in the library's table",
                found=str(opened),
                todo="report this: a name or a value in the table is not escaped, or the library has changed",
            )
        )
    return tuple(_digest(script) for script in scripts)


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _make_reproducible(html: str) -> str:
    """Return the library's HTML without what differs from run to run: random ids, and when a plot was made."""
    drawn = re.search(r'<template id="(report_[0-9a-f]{8})-template">', html)
    if drawn:
        html = html.replace(drawn[1], _ID)
    number = itertools.count()
    html = re.sub(r'id="[0-9a-f]{8}"(?=\s+class="table-cell)', lambda _: f'id="cell-{next(number)}"', html)
    # A plot's own header is for files; a page does not need it.
    html = re.sub(r"<\?xml[^>]*\?>\s*<!DOCTYPE svg[^>]*>", "", html)
    return re.sub(r"<metadata>.*?</metadata>", "", html, flags=re.DOTALL)


def _make_accessible(html: str) -> str:
    """Return the library's HTML with enough contrast, a name for its choice of columns, and one for each column's histogram.

    Raise ChurnError if the library's HTML is not as we know it.
    """
    for own, ours in _RESTYLED:
        if own not in html:
            raise ChurnError(
                problem(
                    expected=f"{own} in the library's table", found="none", todo="report this: the library has changed"
                )
            )
        html = html.replace(own, ours)
    column = ""

    def name_plot(match: re.Match[str]) -> str:
        nonlocal column
        if match[2] is None:
            column = match[1]  # escaped by the library, as it is needed again
            return match[0]
        return f'{match[2]}role="img" aria-label="Histogram of {column}" '

    return _COLUMN_OR_PLOT.sub(name_plot, html)
