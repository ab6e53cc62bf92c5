"""Landed values with a role of their own: ids, snapshot dates, labels, worths and opt-outs, a whole column at a time.

Plain columns are parsed by their column type. Columns are converted by Arrow; Python looks only at distinct values that Arrow refuses.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import BoolArray
from churn_model.column_types.date import DATE, ISO, is_iso_date, parse_days
from churn_model.column_types.landed import (
    ParsedColumn,
    Reason,
    format_floats,
    null_at,
    parse_distinct,
    quote_value,
    read_text,
    read_words,
)
from churn_model.column_types.number import NUMBER
from churn_model.column_types.spelling import NO, YES
from churn_model.errors import InputError, problem
from churn_model.spec.sections.label import Label

WORTH_LIMIT = 1e12
_UNKNOWN_AT_MOST = 3
_SHOWN = 5  # of the words for yes and for no

_WHOLE = re.compile(r"([+-]?\d+)\.0*")


def parse_ids(array: pa.Array) -> ParsedColumn:
    """Parse ids: text as landed, without the blanks around it. A blank is wrong, and so is a number that is not whole.

    A word such as `null` is an id like any other: whose id it is, only the user knows.
    """
    if pa.types.is_floating(array.type):
        values = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
        broken = ~np.isnan(values) & ((values != np.floor(values)) | (np.abs(values) >= 2**53))
        cells = ParsedColumn(null_at(format_floats(array), np.flatnonzero(broken)), {})
        todo = "land ids as text or integers"
        wrong = {
            int(row): Reason(
                "an id that is text or a whole number", "a fraction or a number too large to be exact", todo
            )
            for row in np.flatnonzero(broken)
        }
    else:
        cells, wrong = read_words(array), {}
    blank = np.flatnonzero(cells.values.is_null().to_numpy(zero_copy_only=False))
    return ParsedColumn(cells.values, {int(row): Reason("an id", "a blank") for row in blank} | wrong | cells.wrong)


def parse_worths(array: pa.Array) -> ParsedColumn:
    """Parse what customers are worth: numbers, of which none may be missing, below 0 or above `WORTH_LIMIT`: costs are computed from each."""
    cells = NUMBER.parse(array)
    doubles = cells.values.to_numpy(zero_copy_only=False)
    wrong: dict[int, Reason] = {}
    for row in np.flatnonzero(~((doubles >= 0) & (doubles <= WORTH_LIMIT))):
        found = "a blank" if np.isnan(doubles[row]) else f"{doubles[row]:g}"
        wrong[int(row)] = Reason(
            f"a worth from 0 to {WORTH_LIMIT:g}", found, "fill it, or set costs.contact.value to one number"
        )
    return ParsedColumn(null_at(cells.values, wrong) if wrong else cells.values, wrong | cells.wrong)


def parse_as_of(array: pa.Array, form: str = ISO) -> ParsedColumn:
    """Parse the snapshot's date as date32: text in the format `form`, or the date part of a timestamp as it is written; a month is its first day."""
    if DATE.accepts(array.type):
        days = DATE.parse(array).values
        blank = np.flatnonzero(days.is_null().to_numpy(zero_copy_only=False))
        return ParsedColumn(days, {int(row): Reason("a date", "a blank") for row in blank})
    text = read_text(array)
    cells = parse_days(text.values, form, blank=Reason("a date", "a blank"))
    return ParsedColumn(cells.values, cells.wrong | text.wrong)


def normal_label(value: str) -> str:
    """Return a label's value as it is compared: no blanks around, lower case, no final dot, and 1.0 is 1."""
    value = value.strip().lower()
    whole = _WHOLE.fullmatch(value)
    return whole[1] if whole else value.removesuffix(".")


def label_values(label: Label) -> tuple[frozenset[str], frozenset[str]]:
    """Return the normalised values that mean left, and those that mean stayed."""
    positive = frozenset(normal_label(value) for value in label.positive)
    return positive, frozenset(normal_label(value) for value in label.negative or NO) - positive


def parse_labels(array: pa.Array, label: Label) -> ParsedColumn:
    """Parse the label as int8: 1 = left, 0 = stayed. A blank and any value that the spec does not list are wrong."""
    positive, negative = label_values(label)
    named = ", ".join(sorted(positive) + sorted(negative if label.negative else negative.intersection(NO[:_SHOWN])))

    def parse(value: str) -> int | Reason:
        normal = normal_label(value)
        if normal in positive or normal in negative:
            return int(normal in positive)
        todo = (
            "write yes for a date and no for a blank"
            if is_iso_date(value)
            else "list it under label.positive or label.negative"
        )
        return Reason(f"one of {named}", quote_value(value), todo)

    text = read_text(array)
    cells = parse_distinct(
        text.values, parse, pa.int8(), Reason("a label", "a blank", "if it means stayed, write so, such as 0 or no")
    )
    return ParsedColumn(cells.values, cells.wrong | text.wrong)


def parse_opt_outs(array: pa.Array, name: str, where: str) -> BoolArray:
    """Return which rows of the opt-out column `name` say yes (n,). A blank is no. `where`: what these rows are, for the message.

    Raises InputError for a value that is none of `YES` and `NO`, as `normal_label` has them: a wish not to be contacted is never guessed.
    """
    encoded = pc.utf8_trim_whitespace(read_text(array).values).dictionary_encode()
    words = encoded.dictionary.to_pylist()
    unknown = [word for word in words if word and normal_label(word) not in YES + NO]
    if unknown:
        more = f" and {len(unknown) - _UNKNOWN_AT_MOST:,} more" if len(unknown) > _UNKNOWN_AT_MOST else ""
        yes, no = (", ".join(each[:_SHOWN]) for each in (YES, NO))
        raise InputError(
            problem(
                expected=f"yes ({yes} ...), no ({no} ...) or a blank, which is no, in the opt-out column {quote_value(name)}",
                found=", ".join(map(quote_value, unknown[:_UNKNOWN_AT_MOST])) + more + f" in {where}",
                todo="write yes or no, and land it again",
            )
        )
    is_yes = np.array([normal_label(word) in YES for word in words] + [False])
    chosen: BoolArray = is_yes[pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)]
    return chosen
