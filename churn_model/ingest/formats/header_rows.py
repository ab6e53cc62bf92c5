"""Which of the first rows of a table holds the names of its columns, and which columns without a name can be passed over.

The first row does, unless it is a title: fewer values than the rows below have, above a row of names that fits them. In doubt it is the
first row, so that what is wrong with it is reported and no customer is taken for a header.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from churn_model.column_types.landed import MISSING_WORDS, quote_value

LOOKED_AT = 60
"""Rows that are looked at."""
MOST_TITLES = 20
MOST_SECOND_HEADERS = 3

_Row = Sequence[str]
_NUMBER = re.compile(r"[+-]?[\d.,]*\d[\d.,]*(?:[eE][+-]?\d+)?%?")
_FEW = 0.05
_FEWEST_VALUES = 5
_REPEATS = 3
_OF_WORDS = re.compile(r"(?:[^\W\d]|[^\w(])+(?:\([\d., ]+\))?")


@dataclass(frozen=True)
class Unnamed:
    """Columns without a name that are passed over: `index` if the first numbers the rows, `blank` those that must hold nothing."""

    index: bool
    blank: tuple[int, ...]

    @property
    def columns(self) -> frozenset[int]:
        """Return their places."""
        return frozenset((0,) if self.index else ()) | frozenset(self.blank)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return a remark about them."""
        index = ["column 1 has no name and is passed over, as row numbers are"] if self.index else []
        which = ", ".join(str(at + 1) for at in self.blank[:10]) + (" ..." if len(self.blank) > 10 else "")
        word = "column" if len(self.blank) == 1 else "columns"
        return (*index, *([f"{word} {which} without a name or a value passed over"] if self.blank else []))


ALL_NAMED = Unnamed(False, ())


def find_header(rows: Sequence[_Row]) -> int:
    """Return the place of the header among the first rows, none of them blank, each with its values as text without blanks around."""
    rows = [_without_trailing_blanks(row) for row in rows[:LOOKED_AT]]
    for at, row in enumerate(rows[:MOST_TITLES]):
        below = rows[at + 1 :]
        if len(row) < 2 or not all(row[1:]):
            continue
        if at == 0 and (not below or len(row) >= min(_usual_width(below), _commonest_width(below))):
            return 0
        if (
            at
            and below
            and len(row) >= _usual_width(below)
            and _is_above(row, below, strictly=any(_may_be_names(one, row) for one in rows[:at]))
        ):
            return at
    return 0


def find_unnamed(names: Sequence[str], below: Sequence[_Row]) -> Unnamed:
    """Return the columns without a name that can be passed over, by the first rows below the header."""
    blank = tuple(
        at for at, name in enumerate(names) if not name and not any(at < len(row) and row[at] for row in below)
    )
    numbers_rows = bool(names and below) and not names[0] and all(row and row[0] for row in below)
    return Unnamed(numbers_rows, blank)


def count_second_headers(below: Sequence[_Row]) -> int:
    """Return how many of the first rows below the header are no customers but words about its columns: units, types, descriptions.

    Such a row has words where the values of all others are numbers, dates or codes of one shape, and nothing that a customer there has.
    """
    below = below[:LOOKED_AT]
    for count in range(MOST_SECOND_HEADERS, 0, -1):
        columns = _describe_columns(below[count:])
        if columns and all(_is_second_header(row, columns) for row in below[:count]):
            return count
    return 0


def describe_titles(lines: Sequence[tuple[int, str]], where: str = "above") -> tuple[str, ...]:
    """Return the remark on lines above the header, or below it, each with its number."""
    if not lines:
        return ()
    shown = ", ".join(quote_value(text.strip(" ,;\t|")) for _, text in lines[:3]) + (" ..." if len(lines) > 3 else "")
    numbers = f"line {lines[0][0]}" if len(lines) == 1 else f"lines {lines[0][0]} to {lines[-1][0]}"
    return (f"{numbers} passed over {where} the header: {shown}",)


def _without_trailing_blanks(row: _Row) -> _Row:
    end = len(row)
    while end and not row[end - 1]:
        end -= 1
    return row[:end]


def _usual_width(rows: Sequence[_Row]) -> int:
    """Return how many values rows have at most, but for a few."""
    widths = sorted((len(row) for row in rows), reverse=True)
    return widths[int(_FEW * len(widths))] if widths else 0


def _commonest_width(rows: Sequence[_Row]) -> int:
    return Counter(map(len, rows)).most_common(1)[0][0]


def _may_be_names(row: _Row, header: _Row) -> bool:
    """Return whether a row above a header could be the header itself: as wide, or filled for half of its width."""
    return sum(map(bool, row)) * 2 >= len(header)


def _is_above(row: _Row, below: Sequence[_Row], *, strictly: bool) -> bool:
    """Return whether a row differs from those below as names do from values; `strictly`: a number below a word proves it."""
    names = [name.lower() for name in row]
    if len(set(names)) < len(names):
        return False
    proved = False
    for at, name in enumerate(row):
        values = [other[at] for other in below if at < len(other) and other[at]]
        numeric = bool(values) and all(_NUMBER.fullmatch(value) for value in values)
        if numeric and _NUMBER.fullmatch(name):
            return False
        proved = proved or bool(numeric and name)
    return proved or not strictly


@dataclass(frozen=True)
class _Values:
    """What the rows have in a column: the one `shape` of values with digits ("" if there are several), or the few values that it repeats."""

    shape: str
    repeated: frozenset[str]
    blanks: bool


def _describe_columns(rows: Sequence[_Row]) -> list[_Values]:
    """Return what each column holds; nothing known of a column with a handful of values."""
    found = []
    for at in range(max(map(len, rows), default=0)):
        values = [row[at] for row in rows if at < len(row) and row[at]]
        known = [value for value in values if value.lower() not in MISSING_WORDS]
        shapes, distinct = {_shape(value) for value in known}, frozenset(map(str.lower, known))
        enough = len(known) >= _FEWEST_VALUES
        shape = shapes.pop() if enough and len(shapes) == 1 else ""
        few = enough and len(distinct) * _REPEATS <= len(known)
        found.append(_Values(shape if "9" in shape else "", distinct if few else frozenset(), len(values) < len(rows)))
    return found


def _shape(value: str) -> str:
    """Return a value with 9 for each run of digits and a for each run of letters; all numbers have one shape."""
    return "9" if _NUMBER.fullmatch(value) else re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", value))


def _is_second_header(row: _Row, columns: Sequence[_Values]) -> bool:
    """Return whether a row has words in two columns of numbers or codes, or in one and two other signs, and nothing to the contrary."""
    words = signs = 0
    for value, column in zip(row, columns, strict=False):
        if not value:
            signs += bool(column.shape) and not column.blanks
        elif value.lower() in MISSING_WORDS:
            continue
        elif column.shape:
            if _shape(value) == column.shape:
                return False
            words += _OF_WORDS.fullmatch(value) is not None
        elif column.repeated:
            if value.lower() in column.repeated:
                return False
            signs += 1
    return words >= 2 or (words == 1 and signs >= 2)
