"""The retention list as CSV, for people who open it in a spreadsheet."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from churn_model.decisions.policy import PROVISIONAL

# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection).
_FORMULA = r"^[=+\-@\t\r]"
_COLUMNS = ("rank", "id", "churn_probability", "expected_saving", "reason_1", "reason_2", "reason_3")
_DIGITS = {"churn_probability": 3, "expected_saving": 2}


def select_list_columns(contacts: pa.Table) -> pa.Table:
    """Return the columns that whoever makes the calls needs, money and probabilities rounded; of a provisional model also its version."""
    marked = ("model_version",) if is_provisional(contacts) else ()
    table = contacts.select([name for name in (*_COLUMNS, *marked) if name in contacts.column_names])
    for name, digits in _DIGITS.items():
        table = table.set_column(table.column_names.index(name), name, pc.round(table[name], digits))
    return table


def is_provisional(contacts: pa.Table) -> bool:
    """Return whether the model that scored the contacts was refused by the gate."""
    if "model_version" not in contacts.column_names:
        return False
    return bool(pc.any(pc.starts_with(contacts["model_version"].cast(pa.string()), PROVISIONAL)).as_py())


def write_csv(table: pa.Table, path: Path) -> None:
    """Write a table as CSV. Text that a spreadsheet would run as a formula gets an apostrophe in front; numbers stay as they are."""
    safe = pa.table({_escape_name(name): _escape_column(table[name]) for name in table.column_names})
    csv.write_csv(safe, path)


def _escape_name(name: str) -> str:
    return f"'{name}" if name[:1] in "=+-@\t\r" and name else name


def _escape_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    if not pa.types.is_string(column.type):
        return column
    escaped = pc.binary_join_element_wise(pa.scalar("'"), column, "")
    return pc.if_else(pc.match_substring_regex(column, _FORMULA), escaped, column)
