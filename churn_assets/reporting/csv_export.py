"""Tables for people who open them in a spreadsheet."""

import csv as standard_csv
import io
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection).
_FORMULA = r"^[=+\-@\t\r]"
_LINES_WITHIN = csv.ParseOptions(newlines_in_values=True)
# Arrow's threads may still hold Python's bytes when the process ends, and then abort it (apache/arrow#34314).
_ON_THIS_THREAD = csv.ReadOptions(use_threads=False)


def csv_bytes(table: pa.Table) -> bytes:
    """The table as CSV. Text that a spreadsheet would run as a formula gets an apostrophe before it; numbers stay as they are."""
    safe = pa.table({harmless(name): _harmless_column(table[name]) for name in table.column_names})
    out = io.BytesIO()
    csv.write_csv(safe, out)
    return out.getvalue()


def read_back(data: bytes) -> pa.Table:
    """The table that `csv_bytes` wrote: ids and other text as text, line breaks within values and all."""
    names = next(standard_csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")))
    text = {name: pa.string() for name in names if name == "id" or name.startswith("reason_")}
    return csv.read_csv(
        io.BytesIO(data),
        read_options=_ON_THIS_THREAD,
        parse_options=_LINES_WITHIN,
        convert_options=csv.ConvertOptions(column_types=text),
    )


def harmless(text: str) -> str:
    """One text as a spreadsheet shows it and does not run it."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text


def _harmless_column(column: Any) -> Any:
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    if not pa.types.is_string(column.type):
        return column
    marked = pc.binary_join_element_wise(pa.scalar("'"), column, "")
    return pc.if_else(pc.match_substring_regex(column, _FORMULA), marked, column)
