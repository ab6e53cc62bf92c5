"""The page that explores a landed table, before anybody trains on it.

All that comes from data is untrusted: the template escapes it, and the page may load nothing and run nothing but the library's own scripts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_assets.reporting.exploration import MOST_COLUMNS, Exploration
from churn_assets.reporting.page_templates import template
from churn_assets.reporting.skrub_table import LibraryTable, library_table
from churn_model.spec.dataset import Dataset

_LONGEST_VALUE = 200
_LABELS = ("stayed", "left")


def page(
    dataset: Dataset, found: Exploration, rows: pa.Table, *, rows_in_all: int, leavers_in_all: int, version: str
) -> str:
    """Return the page as HTML: the same text for the same rows. `version`: that of the table."""
    left_out = {*found.private, *found.too_large}
    wanted = [each.column for each in found.columns if each.column not in left_out]
    wanted += [each.column for each in found.odd if each.column not in left_out]
    table = _make_library_table(rows, dataset, wanted[: MOST_COLUMNS - 1])
    return template("exploration.html.j2").render(
        dataset=dataset,
        found=found,
        rows_in_all=rows_in_all,
        leavers_in_all=leavers_in_all,
        version=version,
        library=table,
        largest_share={each.column: max(max(bar.left, bar.stayed) for bar in each.bars) for each in found.columns},
        in_table=min(len(wanted), MOST_COLUMNS - 1),
        kept_out=len(wanted) - min(len(wanted), MOST_COLUMNS - 1),
    )


def _make_library_table(rows: pa.Table, dataset: Dataset, columns: Sequence[str]) -> LibraryTable:
    """Return the library's table of the label in words and these columns; long values are cut."""
    label = pa.array(np.array(_LABELS, dtype=object)[rows["_label"].to_numpy()], pa.string())
    return library_table(pa.table({dataset.label.column: label} | {name: _shorten(rows[name]) for name in columns}))


def _shorten(column: Any) -> Any:
    if pa.types.is_floating(column.type):
        return column
    return pc.utf8_slice_codeunits(column.cast(pa.string()), 0, _LONGEST_VALUE)
