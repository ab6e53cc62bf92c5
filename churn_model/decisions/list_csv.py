"""The retention list as CSV, for people who open it in a spreadsheet."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from churn_model.decisions.policy import PROVISIONAL

# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection), in full width too: some spreadsheets take these for the same.
_SIGNS = "=+\\-@＝＋－＠\t\r\n"
_FORMULA = rf"^[\s\p{{Z}}\x{{FEFF}}]*[{_SIGNS}]"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LIST_COLUMNS = (
    "rank",
    "id",
    "churn_probability",
    "value_at_stake",
    "expected_saving",
    "reason_1",
    "reason_2",
    "reason_3",
    "model_version",
)
"""The list's own columns; those that the spec names come after the id, and `model_version` only if the gate refused the model."""
_DIGITS = {"churn_probability": 3, "value_at_stake": 2, "expected_saving": 2}


def select_list_columns(contacts: pa.Table, added: pa.Table | None = None) -> pa.Table:
    """Return the columns that whoever makes the calls needs, money and probabilities rounded; of a provisional model also its version.

    `added` (n, columns) of the spec's own choice come after the id.
    """
    left_out = () if is_provisional(contacts) else ("model_version",)
    names = [name for name in LIST_COLUMNS if name in contacts.column_names and name not in left_out]
    table = contacts.select(names)
    for name in set(_DIGITS) & set(names):
        table = table.set_column(names.index(name), name, pc.round(table[name], _DIGITS[name]))
    if added is not None:
        for place, name in enumerate(added.column_names, names.index("id") + 1):
            table = table.add_column(place, name, added[name])
    return table


def is_provisional(contacts: pa.Table) -> bool:
    """Return whether the model that scored the contacts was refused by the gate."""
    if "model_version" not in contacts.column_names:
        return False
    return bool(pc.any(pc.starts_with(contacts["model_version"].cast(pa.string()), PROVISIONAL)).as_py())


def write_csv(table: pa.Table, path: Path, *, excel: bool = False) -> None:
    """Write a table as CSV. Text that a spreadsheet would run as a formula gets an apostrophe in front; numbers stay as they are.

    `excel`: begin with a byte order mark, without which Excel takes UTF-8 for another encoding.
    """
    safe = pa.table([_escape(table[name]) for name in table.column_names], names=_escape_names(table.column_names))
    with path.open("wb") as stream:
        stream.write(_BYTE_ORDER_MARK if excel else b"")
        csv.write_csv(safe, stream)


def _escape_names(names: list[str]) -> list[str]:
    escaped: list[str] = _escape(pa.chunked_array([pa.array(names, pa.string())])).to_pylist()
    return escaped


def _escape(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    escaped = pc.binary_join_element_wise(pa.scalar("'", column.type), column, pa.scalar("", column.type))
    return pc.if_else(pc.match_substring_regex(column, _FORMULA), escaped, column)
