"""How the value of a cell of a workbook reads as text: as it shows, but with all the digits of a number."""

import datetime
import re
from typing import Any

from churn_model.ingest.formats.base import DateText, NumberText

_ZERO_PADDED = re.compile("0{2,}")


def show_cell(cell: Any) -> str:
    """Return the value of a cell as text; as `NumberText` or `DateText` if it is a number or a date."""
    value = cell.value
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return _show_number(value, cell.number_format)
    if isinstance(value, datetime.datetime):
        return DateText(value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" "))
    if isinstance(value, datetime.timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    text = value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)
    return DateText(text) if isinstance(value, datetime.date) else text


def _show_number(value: float, number_format: str) -> NumberText:
    """Return a number with all its digits, and with the zeros before it if its format is 00000."""
    if isinstance(value, float) and not (value.is_integer() and abs(value) < 2**53):
        return NumberText(repr(value))
    padded = _ZERO_PADDED.fullmatch(number_format)
    return NumberText(f"{int(value):0{len(number_format) if padded else 1}}")


def column_letters(column: int) -> str:
    """Return the letters of a column numbered from 0: A, B, ... Z, AA."""
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters
