"""Which of the first rows of a table holds the names of its columns, and which columns without a name can be passed over.

The first row does, unless it is a title: fewer values than the rows below have, above a row of names that fits them. In doubt it is the
first row, so that what is wrong with it is reported and no customer is taken for a header.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from churn_model.column_types.landed import quote_value

LOOKED_AT = 60
"""Rows that are looked at."""
MOST_TITLES = 20

_Row = Sequence[str]
_NUMBER = re.compile(r"[+-]?[\d.,]*\d[\d.,]*(?:[eE][+-]?\d+)?%?")
_FEW = 0.05


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


def describe_titles(lines: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    """Return the remark on lines above the header, each with its number."""
    if not lines:
        return ()
    shown = ", ".join(quote_value(text.strip(" ,;\t|")) for _, text in lines[:3]) + (" ..." if len(lines) > 3 else "")
    numbers = f"line {lines[0][0]}" if len(lines) == 1 else f"lines {lines[0][0]} to {lines[-1][0]}"
    return (f"{numbers} passed over above the header: {shown}",)


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
