"""What a landed value means: numbers, categories, ids, dates and labels, a whole column at a time.

Belongs here: the rules by which text becomes a typed value, and the reasons where it cannot. Does not belong here: which rule a column gets
(`columns`), what becomes of a record with a wrong value (`ingest`). Columns are converted by Arrow; Python looks only at what that refuses.
"""

import datetime
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import FIELD_LIMIT
from churn_model.spec.dataset import Label

WORTH_LIMIT = 1e12
NUMBER_LIMIT = float(np.finfo(np.float32).max)
SHORT = 40
MISSING_NUMBERS = ("", "na", "n/a", "nan", "null", "none")
DEFAULT_NEGATIVES = ("no", "false", "0", "n", "f")
YES = ("yes", "true", "1", "y", "t")
_UNKNOWN_AT_MOST = 3

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_DRESSED = re.compile(r"([+-]?\s*[$€£¥₹]?|[$€£¥₹]\s*[+-])\s*[0-9]+([,.'’\s][0-9]+)*\s*([$€£¥₹%]|[A-Z]{3})?")
# 26,08 and 1.234,5; 1,234 may mean either, and is taken for one of these where the values beside it are.
_COMMA = re.compile(r"[+-]?([0-9]+|[0-9]{1,3}(\.[0-9]{3})+)?,[0-9]+")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s?(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)?)?")
_WHOLE = re.compile(r"([+-]?\d+)\.0*")


@dataclass(frozen=True)
class Reason:
    """Why a value cannot be used: what was expected, what was found (empty where it may not be shown), what to do about it."""

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
    """A column's values (null: missing), and the rows whose value is wrong; those are null as well."""

    values: pa.Array
    wrong: dict[int, Reason]


def shown(text: str) -> str:
    """A value as it may stand in a message: itself if short, else its length."""
    return repr(text) if len(text) <= SHORT else f"a value of {len(text)} characters"


def texts(array: pa.Array) -> ParsedColumn:
    """The values as text, exactly as landed; other types in their plainest form: `7`, `0.5`, `true`, `2024-01-31`.

    Wrong: what is not UTF-8, and what is longer than `FIELD_LIMIT` bytes.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return texts(array.dictionary_decode())
    if pa.types.is_floating(kind):
        return ParsedColumn(_float_texts(array), {})
    if not _is_text(kind):
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
        text = _without(raw, wrong).cast(pa.string())
    if raw.nbytes > FIELD_LIMIT:
        long = np.flatnonzero(_filled(pc.greater(pc.binary_length(text), FIELD_LIMIT)))
        wrong |= {int(row): Reason("a value of at most 1 MiB", "a longer one") for row in long}
        text = _without(text, wrong)
    return ParsedColumn(text, wrong)


def _is_text(kind: pa.DataType) -> bool:
    views = (pa.string_view(), pa.binary_view())
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or kind in views
    )


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _float_texts(array: pa.Array) -> pa.Array:
    """Whole numbers without a point, so that 1.0 in one file is the 1 of another; NaN is missing."""
    doubles = array.cast(pa.float64())
    values = doubles.to_numpy(zero_copy_only=False)
    whole = np.isfinite(values) & (np.abs(values) < 2**53) & (values == np.floor(values))
    integers = pa.array(np.where(whole, values, 0).astype(np.int64))
    text = pc.if_else(pa.array(whole), integers.cast(pa.string()), doubles.cast(pa.string()))
    return pc.if_else(pa.array(np.isnan(values)), pa.scalar(None, pa.string()), text)


def _without(array: pa.Array, rows: Iterable[int]) -> pa.Array:
    """The same array, null at `rows`."""
    mask = np.zeros(len(array), dtype=bool)
    mask[list(rows)] = True
    return pc.if_else(pa.array(mask), pa.scalar(None, array.type), array)


def _filled(mask: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    found: np.ndarray[Any, np.dtype[np.bool_]] = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return found


def _trimmed(text: pa.Array) -> pa.Array:
    """Without blanks around; what is blank is null."""
    trimmed = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(pc.binary_length(trimmed), 0), pa.scalar(None, pa.string()), trimmed)


def categories(array: pa.Array) -> ParsedColumn:
    """A category column: text as landed, without the blanks around it. Only blank is missing."""
    text = texts(array)
    return ParsedColumn(_trimmed(text.values), text.wrong)


def ids(array: pa.Array) -> ParsedColumn:
    """An id column: as `categories`, but a missing id is wrong, and so is a number that is not whole."""
    if pa.types.is_floating(array.type):
        values = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
        broken = ~np.isnan(values) & ((values != np.floor(values)) | (np.abs(values) >= 2**53))
        cells = ParsedColumn(_without(_float_texts(array), np.flatnonzero(broken)), {})
        todo = "land ids as text or integers"
        wrong = {
            int(row): Reason(
                "an id that is text or a whole number", "a fraction or a number too large to be exact", todo
            )
            for row in np.flatnonzero(broken)
        }
    else:
        cells, wrong = categories(array), {}
    blank = np.flatnonzero(cells.values.is_null().to_numpy(zero_copy_only=False))
    return ParsedColumn(cells.values, {int(row): Reason("an id", "a blank") for row in blank} | wrong | cells.wrong)


def numbers(array: pa.Array) -> ParsedColumn:
    """A number column as float64. Missing: blank and `MISSING_NUMBERS`. Wrong: all other text, infinities, what float32 cannot hold."""
    if _is_numeric(array.type):
        return _in_range(_doubles(array), {})
    text = texts(array)
    quick = _plain_numbers(text.values)
    if quick is not None:
        return _in_range(quick, text.wrong)
    trimmed, number, missing = _sorted_out(text.values)
    values = pc.if_else(number, pc.utf8_ltrim(trimmed, characters="+"), pa.scalar(None, pa.string())).cast(pa.float64())
    odd = np.flatnonzero(_filled(pc.invert(pc.or_(number, missing))))
    found = dict(zip(odd.tolist(), trimmed.take(pa.array(odd)).to_pylist(), strict=True))
    return _in_range(values, {row: _not_a_number(value) for row, value in found.items()} | text.wrong)


def worths(array: pa.Array) -> ParsedColumn:
    """What customers are worth, as `numbers`; but none may be missing, below 0 or above `WORTH_LIMIT`: costs are reckoned with each."""
    cells = numbers(array)
    doubles = cells.values.to_numpy(zero_copy_only=False)
    wrong: dict[int, Reason] = {}
    for row in np.flatnonzero(~((doubles >= 0) & (doubles <= WORTH_LIMIT))):
        found = "a blank" if np.isnan(doubles[row]) else f"{doubles[row]:g}"
        wrong[int(row)] = Reason(
            f"a worth from 0 to {WORTH_LIMIT:g}", found, "fill it, or set costs.contact.value to one number"
        )
    return ParsedColumn(_without(cells.values, wrong) if wrong else cells.values, wrong | cells.wrong)


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def _doubles(array: pa.Array) -> pa.Array:
    doubles = array.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(doubles), pa.scalar(None, pa.float64()), doubles)


def _plain_numbers(text: pa.Array) -> pa.Array | None:
    """The text as float64 where every value is a plain finite number or empty, else None: the common case, at Arrow's speed."""
    values = pc.if_else(pc.equal(pc.binary_length(text), 0), pa.scalar(None, pa.string()), text)
    try:
        doubles = values.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    finite = int(np.isfinite(doubles.to_numpy(zero_copy_only=False)).sum())
    return doubles if finite == len(doubles) - doubles.null_count else None


def _sorted_out(text: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The text without blanks around it, and where it is a number, and where it is missing."""
    trimmed = pc.utf8_trim_whitespace(text)
    number = pc.fill_null(pc.match_substring_regex(trimmed, _NUMBER), False)
    missing = pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array([*MISSING_NUMBERS, None]))
    return trimmed, number, missing


def _in_range(values: pa.Array, wrong: dict[int, Reason]) -> ParsedColumn:
    doubles = values.to_numpy(zero_copy_only=False)
    beyond = np.flatnonzero(np.abs(doubles) > NUMBER_LIMIT)
    if not beyond.size:
        return ParsedColumn(values, wrong)
    found = {
        int(row): _infinite()
        if np.isinf(doubles[row])
        else Reason(f"a number within {NUMBER_LIMIT:.2g}", f"{doubles[row]:g}")
        for row in beyond
    }
    return ParsedColumn(_without(values, beyond), wrong | found)


def _infinite() -> Reason:
    return Reason(f"a finite number within {NUMBER_LIMIT:.2g}", "one beyond")


def _not_a_number(value: str) -> Reason:
    if _INFINITE.fullmatch(value):
        return _infinite()
    if is_decimal_comma(value) and not _THOUSANDS.fullmatch(value):
        return Reason("a number with a decimal point, not a comma", shown(value), "write 26.08 for 26,08")
    if _DRESSED.fullmatch(value):
        return Reason("a number without thousands separators, currency or percent signs, such as 1234.5", shown(value))
    return Reason("a number", shown(value))


def is_decimal_comma(value: str) -> bool:
    """Whether a text looks like a number with a decimal comma, such as 26,08 or 1.234,5."""
    return _COMMA.fullmatch(value) is not None


def count_numbers(array: pa.Array) -> tuple[int, int, dict[str, int]]:
    """How many values are there (neither blank nor a word for missing), and how many of those are plain finite numbers.

    Also each different value with a decimal comma, and the rows that hold it.
    """
    text = texts(array).values
    quick = _plain_numbers(text)
    if quick is not None:
        present = len(quick) - quick.null_count
        return present, present, {}
    counted = text.value_counts()
    counts = counted.field("counts").to_numpy()
    trimmed, number, missing = _sorted_out(counted.field("values"))
    at = np.flatnonzero(_filled(pc.match_substring_regex(trimmed, f"^({_COMMA.pattern})$")))
    commas: dict[str, int] = {}
    for value, rows in zip(trimmed.take(pa.array(at)).to_pylist(), counts[at].tolist(), strict=True):
        commas[value] = commas.get(value, 0) + rows
    return int(counts[~_filled(missing)].sum()), int(counts[_filled(number)].sum()), commas


def _each(text: pa.Array, meaning: Callable[[str], Any], kind: pa.DataType, blank: Reason) -> ParsedColumn:
    """Each distinct text turned into a value by `meaning`, which answers with a Reason where it cannot."""
    encoded = pc.utf8_trim_whitespace(text).dictionary_encode()
    meanings = [meaning(value) if value else blank for value in encoded.dictionary.to_pylist()]
    table = pa.array([None if isinstance(value, Reason) else value for value in meanings], kind)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    refused = np.array([isinstance(value, Reason) for value in meanings] + [True])
    wrong = {int(row): meanings[codes[row]] if codes[row] >= 0 else blank for row in np.flatnonzero(refused[codes])}
    return ParsedColumn(table.take(encoded.indices), wrong)


def dates(array: pa.Array) -> ParsedColumn:
    """The snapshot's date as date32: an ISO date, or the date part of an ISO timestamp as it is written."""
    text = texts(array)
    cells = _each(text.values, _date, pa.date32(), Reason("a date", "a blank"))
    return ParsedColumn(cells.values, cells.wrong | text.wrong)


def _date(value: str) -> datetime.date | Reason:
    matched = _DATE.fullmatch(value)
    try:
        return datetime.date.fromisoformat(matched[1]) if matched else Reason("a date such as 2024-01-31", shown(value))
    except ValueError:
        return Reason("a date that the calendar has", shown(value))


def normal_label(value: str) -> str:
    """A label's value as it is compared: no blanks around, lower case, no final dot, and 1.0 is 1."""
    value = value.strip().lower()
    whole = _WHOLE.fullmatch(value)
    return whole[1] if whole else value.removesuffix(".")


def label_values(label: Label) -> tuple[frozenset[str], frozenset[str]]:
    """The normalised values that mean left, and those that mean stayed."""
    positive = frozenset(normal_label(value) for value in label.positive)
    return positive, frozenset(normal_label(value) for value in label.negative or DEFAULT_NEGATIVES) - positive


def labels(array: pa.Array, label: Label) -> ParsedColumn:
    """The label as int8: 1 = left, 0 = stayed. A blank and any value that the spec does not list are wrong."""
    positive, negative = label_values(label)
    named = ", ".join(sorted(positive) + sorted(negative))

    def meaning(value: str) -> int | Reason:
        normal = normal_label(value)
        if normal in positive or normal in negative:
            return int(normal in positive)
        todo = (
            "write yes for a date and no for a blank"
            if _DATE.fullmatch(value)
            else "list it under label.positive or label.negative"
        )
        return Reason(f"one of {named}", shown(value), todo)

    text = texts(array)
    cells = _each(
        text.values, meaning, pa.int8(), Reason("a label", "a blank", "if it means stayed, write so, such as 0 or no")
    )
    return ParsedColumn(cells.values, cells.wrong | text.wrong)


def opt_outs(array: pa.Array, name: str, where: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows of the opt-out column `name` say yes: (n,). A blank is no. `where`: what these rows are, for the message.

    Raises InputError for a value that is none of `YES` and `DEFAULT_NEGATIVES`, as `normal_label` has them: a wish not to be contacted is never guessed.
    """
    encoded = pc.utf8_trim_whitespace(texts(array).values).dictionary_encode()
    words = encoded.dictionary.to_pylist()
    unknown = [word for word in words if word and normal_label(word) not in YES + DEFAULT_NEGATIVES]
    if unknown:
        more = f" and {len(unknown) - _UNKNOWN_AT_MOST:,} more" if len(unknown) > _UNKNOWN_AT_MOST else ""
        raise InputError(
            problem(
                expected=f"yes ({', '.join(YES)}), no ({', '.join(DEFAULT_NEGATIVES)}) or a blank, which is no, in the opt-out column {shown(name)}",
                found=", ".join(map(shown, unknown[:_UNKNOWN_AT_MOST])) + more + f" in {where}",
                todo="write yes or no, and land it again",
            )
        )
    said = np.array([normal_label(word) in YES for word in words] + [False])
    chosen: np.ndarray[Any, np.dtype[np.bool_]] = said[pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)]
    return chosen
