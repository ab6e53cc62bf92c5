"""The notes of a test of a challenger as text: a line for each request, and the counts of a day as JSON."""

import re
from typing import Any

import pyarrow as pa
from pyarrow import csv

from churn_model.evaluation.variant_guard import Day
from churn_model.stats.always_valid import Events

_COLUMNS = {
    "customer": pa.uint64(),
    "is_challenger": pa.int8(),
    "failed": pa.int8(),
    "seconds": pa.float64(),
    "probability": pa.float64(),
}
_LINE = re.compile(rb"(?m)^\d{1,20},[01],[01],\d+\.\d{6},(?:nan|\d+(?:\.\d+)?(?:e-\d+)?)\n")


def parse_notes(notes: bytes) -> dict[str, pa.ChunkedArray]:
    """Return the columns of the whole lines. A line that a dying worker left unfinished is passed over."""
    lines = b"".join(_LINE.findall(notes))
    if not lines:
        return {name: pa.chunked_array([[]], kind) for name, kind in _COLUMNS.items()}
    table = csv.read_csv(
        pa.BufferReader(lines),
        read_options=csv.ReadOptions(column_names=list(_COLUMNS), use_threads=False),
        convert_options=csv.ConvertOptions(column_types=_COLUMNS),
    )
    return dict(zip(table.column_names, table.columns, strict=True))


def day_to_plain(day: Day) -> dict[str, Any]:
    """Return the counts of a day as JSON has them."""
    return {"customers": day.customers, "events": day.events, "new_events": day.new_events}


def day_from_plain(plain: dict[str, Any]) -> Day:
    """Return the day that `day_to_plain` made these of."""
    return Day(
        customers=Events(*plain["customers"]),
        events={name: Events(*pair) for name, pair in plain["events"].items()},
        new_events={name: Events(*pair) for name, pair in plain["new_events"].items()},
    )
