"""Landed values before they have a type: their text, how often each occurs, and what is wrong with those that cannot be used."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import BoolArray, IntArray

FIELD_LIMIT = 1 << 20
"""Bytes that a value may have."""
SHORT = 40
_ERRORS = ("#n/a", "#na", "#null!", "#div/0!", "#value!", "#ref!", "#name?", "#num!")
MISSING_WORDS = (
    *("", "na", "n/a", "n.a.", "nan", "-nan", "null", "(null)", "none", "nil", "\\n", "<na>"),
    *("-", "--", ".", "?", "unknown", "missing", *_ERRORS),
)
"""What means a missing value in a column of any type but category, in lower case and without the blanks around it."""
MISSING_CATEGORIES = (*("\\N", "NULL", "null", "<NA>"), *(error.upper() for error in _ERRORS))
"""What databases and spreadsheets write for a missing value: it is no level of a category either."""


@dataclass(frozen=True)
class Reason:
    """Why a value cannot be used: what was expected, what was found (empty if it may not be shown), what to do about it."""

    expected: str
    found: str = ""
    todo: str = ""

    def __str__(self) -> str:
        return (
            f"expected {self.expected}"
            + (f", found {self.found}" if self.found else "")
            + (f"; {self.todo}" if self.todo else "")
        )


@dataclass(frozen=True)
class ParsedColumn:
    """A column's values (null: missing), and the reason for each row whose value is wrong; these are null as well.

    `words`: the words that were read as missing, and how many rows hold each; blanks are not counted.
    """

    values: pa.Array
    wrong: dict[int, Reason]
    words: dict[str, int] = field(default_factory=dict)


class ParsedValue(NamedTuple):
    """One value as it is in canonical rows, None if it is missing, or the reason why the landed text is wrong."""

    value: Any
    wrong: Reason | None = None


class LandedValues:
    """A chunk of a landed column whose type is to be inferred. What several types ask for is computed once."""

    def __init__(self, array: pa.Array) -> None:
        self.text: pa.Array = read_text(array).values

    @cached_property
    def numbers(self) -> pa.Array | None:
        """The values as float64 if each is a plain finite number or empty, else None."""
        return cast_plain_numbers(self.text)

    @cached_property
    def distinct(self) -> tuple[pa.Array, IntArray]:
        """Each different text (d,), null among them if there is one, and the number of its rows (d,)."""
        counted = self.text.value_counts()
        return counted.field("values"), counted.field("counts").to_numpy()


def quote_value(text: str) -> str:
    """Return a value as it may appear in a message: itself if short, else its length."""
    return repr(text) if len(text) <= SHORT else f"a value of {len(text)} characters"


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of this Arrow type holds text or bytes."""
    views = (pa.string_view(), pa.binary_view())
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or kind in views
    )


def read_text(array: pa.Array) -> ParsedColumn:
    """Return the values as text, exactly as landed; other types in their plainest form: `7`, `0.5`, `true`, `2024-01-31`.

    Wrong: values that are not UTF-8 or longer than `FIELD_LIMIT` bytes.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return read_text(array.dictionary_decode())
    if pa.types.is_floating(kind):
        return ParsedColumn(format_floats(array), {})
    if not is_text(kind):
        return ParsedColumn(array.cast(pa.string()), {})
    wrong: dict[int, Reason] = {}
    raw = array.cast(pa.binary()) if not pa.types.is_binary(kind) else array
    try:
        text = raw.cast(pa.string())
    except pa.ArrowInvalid:
        values = raw.to_pylist()
        wrong = {
            row: Reason("text in UTF-8", "another encoding")
            for row, value in enumerate(values)
            if value is not None and not _is_utf8(value)
        }
        text = null_at(raw, wrong).cast(pa.string())
    if raw.nbytes > FIELD_LIMIT:
        long = np.flatnonzero(as_mask(pc.greater(pc.binary_length(text), FIELD_LIMIT)))
        wrong |= {int(row): Reason("a value of at most 1 MiB", "a longer one") for row in long}
        text = null_at(text, wrong)
    return ParsedColumn(text, wrong)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def format_floats(array: pa.Array) -> pa.Array:
    """Return floats as text, whole numbers without a point, so that 1.0 in one file is the 1 of another; NaN is missing."""
    doubles = array.cast(pa.float64())
    values = doubles.to_numpy(zero_copy_only=False)
    whole = np.isfinite(values) & (np.abs(values) < 2**53) & (values == np.floor(values))
    integers = pa.array(np.where(whole, values, 0).astype(np.int64))
    text = pc.if_else(pa.array(whole), integers.cast(pa.string()), doubles.cast(pa.string()))
    return pc.if_else(pa.array(np.isnan(values)), pa.scalar(None, pa.string()), text)


def null_at(array: pa.Array, rows: Iterable[int]) -> pa.Array:
    """Return the same array, null at `rows`."""
    mask = np.zeros(len(array), dtype=bool)
    mask[list(rows)] = True
    return pc.if_else(pa.array(mask), pa.scalar(None, array.type), array)


def as_mask(mask: pa.Array) -> BoolArray:
    """Return an Arrow mask as numpy, False where it is null."""
    filled: BoolArray = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return filled


def read_words(array: pa.Array) -> ParsedColumn:
    """Return the values as text without the blanks around it. Only a blank is missing: `null` is a word like any other."""
    text = read_text(array)
    return ParsedColumn(trim(text.values), text.wrong)


def trim(text: pa.Array) -> pa.Array:
    """Return the text without the blanks around it; blank values become null."""
    trimmed = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(pc.binary_length(trimmed), 0), pa.scalar(None, pa.string()), trimmed)


def count_words(text: pa.Array, missing: pa.Array) -> dict[str, int]:
    """Return the words, without the blanks around them, in the rows that are `missing`, and how many rows hold each."""
    found = text.filter(pc.and_(missing, pc.greater(pc.fill_null(pc.binary_length(text), 0), 0))).value_counts()
    return {one["values"]: one["counts"] for one in found.to_pylist()}


def cast_plain_numbers(text: pa.Array) -> pa.Array | None:
    """Return the text as float64 if every value is a plain finite number or empty, else None: the common case, at Arrow's speed."""
    values = pc.if_else(pc.equal(pc.binary_length(text), 0), pa.scalar(None, pa.string()), text)
    try:
        doubles = values.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    finite = int(np.isfinite(doubles.to_numpy(zero_copy_only=False)).sum())
    return doubles if finite == len(doubles) - doubles.null_count else None


def parse_distinct(
    text: pa.Array, parse: Callable[[str], Any], kind: pa.DataType, blank: Reason | None
) -> ParsedColumn:
    """Parse each different text once. `parse` returns a value of the Arrow type `kind`, None if missing, or the Reason why it cannot.

    `blank` is the reason why a blank is wrong; None if it means missing.
    """
    encoded = pc.utf8_trim_whitespace(text).dictionary_encode()
    parsed = [parse(value) if value else blank for value in encoded.dictionary.to_pylist()]
    table = pa.array([None if isinstance(value, Reason) else value for value in parsed], kind)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    words = [n for n, value in enumerate(encoded.dictionary.to_pylist()) if value and parsed[n] is None]
    counts = np.bincount(codes[codes >= 0], minlength=len(parsed))
    refused = np.array([isinstance(value, Reason) for value in [*parsed, blank]])
    wrong = {int(row): [*parsed, blank][codes[row]] for row in np.flatnonzero(refused[codes])}
    return ParsedColumn(
        table.take(encoded.indices), wrong, {encoded.dictionary[n].as_py(): int(counts[n]) for n in words}
    )
