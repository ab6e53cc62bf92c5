"""Numbers: parsed as float64, encoded as themselves (NaN if missing) for trees and standardised for a linear model."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import FloatArray
from churn_model.column_types.interface import ColumnType, Feature, FittedColumn, Layout, Readable, TypeCount
from churn_model.column_types.landed import (
    MISSING_WORDS,
    LandedValues,
    ParsedColumn,
    Reason,
    as_mask,
    cast_plain_numbers,
    null_at,
    quote_value,
    read_text,
)
from churn_model.column_types.parts import ComputedPart, Encoded, EncodedPart
from churn_model.column_types.spelling import NO, YES
from churn_model.errors import InputError, problem
from churn_model.spec.dataset import Kind
from churn_model.wording import number_text

NUMBER_LIMIT = float(np.finfo(np.float32).max)
MOST_COMMA_LEVELS = 20
"""Different values with a decimal comma up to which a column may be a category, such as that of a few prices."""

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_DRESSED = re.compile(r"([+-]?\s*[$€£¥₹]?|[$€£¥₹]\s*[+-])\s*[0-9]+([,.'’\s][0-9]+)*\s*([$€£¥₹%]|[A-Z]{3})?")
# 26,08 and 1.234,5; 1,234 may mean either, and is taken for one of these if the values beside it are.
_COMMA = re.compile(r"[+-]?([0-9]+|[0-9]{1,3}(\.[0-9]{3})+)?,[0-9]+")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_FLAGS = "0/1"
# Standard deviations beyond which a linear model would follow a mistyped value anywhere.
_FURTHEST = 8.0


class NumberCount(TypeCount):
    """Recognises numbers: at least 95% of the values that are present are plain finite numbers.

    present  values that are neither blank nor a word for missing
    flags    values that say yes or no, as 1 and 0 do
    commas   values that would be numbers if their commas were points; `written` holds different ones
    """

    def __init__(self) -> None:
        self.present = 0
        self.numbers = 0
        self.flags = 0
        self.commas = 0
        self.written: dict[str, int] = {}

    def add(self, values: LandedValues) -> None:
        """Count one more chunk."""
        if values.numbers is not None:
            known = len(values.numbers) - values.numbers.null_count
            if self.flags == self.present and _are_zeros_and_ones(values.numbers):
                self.flags += known
            self.present += known
            self.numbers += known
            return
        texts, counts = values.distinct
        trimmed, number, missing = _classify(texts)
        self.present += int(counts[~as_mask(missing)].sum())
        self.numbers += int(counts[as_mask(number)].sum())
        self.flags += int(counts[as_mask(pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(YES + NO)))].sum())
        at = np.flatnonzero(as_mask(pc.match_substring_regex(trimmed, f"^({_COMMA.pattern})$")))
        self.commas += int(counts[at].sum())
        if len(self.written) <= MOST_COMMA_LEVELS:
            self.written |= dict.fromkeys(trimmed.take(pa.array(at)).to_pylist(), 0)

    @property
    def kind(self) -> Kind | None:
        """`number`, also for a column without any value. Flags of which some are words are none."""
        if self.flags == self.present > self.numbers:
            return None
        return Number.name if 20 * self.numbers >= 19 * self.present else None

    def problem(self, name: str) -> str | None:
        """Decimal commas in what would be numbers otherwise: each would be a category of its own."""
        if len(self.written) <= MOST_COMMA_LEVELS or 20 * (self.numbers + self.commas) < 19 * self.present:
            return None
        return problem(
            expected=f"numbers without commas in {quote_value(name)}",
            found=f"numbers such as {quote_value(next(iter(self.written)))}",
            todo="export it with decimal points and no thousands separators (26.08 for 26,08), "
            f"or, if these are no numbers, write `types: {{{name}: category}}` in the spec",
        )


@dataclass(frozen=True)
class Number(ColumnType):
    """A quantity. `flags`: all values of training are 0 or 1, so that yes, TRUE and t are 1, and no, false and f are 0."""

    flags: bool = False

    name: ClassVar[str] = "number"
    noun: ClassVar[str] = "numbers"
    pattern: ClassVar[str] = f"number( {_FLAGS})?"
    arrow_type: ClassVar[pa.DataType] = pa.float64()
    stored_type: ClassVar[pa.DataType] = pa.float64()

    @property
    def kind(self) -> Kind:
        """`number`, or `number 0/1`."""
        return f"{self.name} {_FLAGS}" if self.flags else self.name

    def configure(self, text: str) -> "Number":
        """Return the type of flags. Raises ValueError for any other text."""
        if text != _FLAGS:
            raise ValueError(f"{self.name}, or {self.name} {_FLAGS}")
        return Number(flags=True)

    def accepts(self, stored: pa.DataType) -> bool:
        """Whether the type is an integer, a float or a decimal. Booleans are yes and no, so categories."""
        return bool(pa.types.is_integer(stored) or pa.types.is_floating(stored) or pa.types.is_decimal(stored))

    def count(self) -> TypeCount:
        """Return an empty count."""
        return NumberCount()

    def parse(self, array: pa.Array) -> ParsedColumn:
        """Return the values as float64.

        Missing: blank and `MISSING_WORDS`. Wrong: all other text, infinities, and what float32 cannot hold.
        """
        if self.accepts(array.type) or pa.types.is_boolean(array.type) or pa.types.is_null(array.type):
            return _refuse_out_of_range(_cast_doubles(array), {})
        text = read_text(array)
        quick = cast_plain_numbers(text.values)
        if quick is not None:
            return _refuse_out_of_range(quick, text.wrong)
        trimmed, number, missing = _classify(text.values)
        if self.flags:
            lower = pc.utf8_lower(trimmed)
            for words, digit in ((YES, "1"), (NO, "0")):
                is_flag = pc.is_in(lower, value_set=pa.array(words))
                trimmed, number = pc.if_else(is_flag, digit, trimmed), pc.or_(number, is_flag)
        plain = pc.if_else(number, pc.utf8_ltrim(trimmed, characters="+"), pa.scalar(None, pa.string()))
        odd = np.flatnonzero(as_mask(pc.invert(pc.or_(number, missing))))
        found = dict(zip(odd.tolist(), trimmed.take(pa.array(odd)).to_pylist(), strict=True))
        wrong = {row: _explain_refusal(value) for row, value in found.items()} | text.wrong
        return _refuse_out_of_range(plain.cast(pa.float64()), wrong)

    def holds(self, kind: pa.DataType) -> bool:
        """Whether `as_numbers` reads a column of this Arrow type."""
        return bool(
            pa.types.is_floating(kind)
            or pa.types.is_integer(kind)
            or pa.types.is_boolean(kind)
            or pa.types.is_null(kind)
        )

    def fit(self, name: str, column: Any, as_of: Any) -> FittedColumn:
        """Return the feature of a column; none if it has no value or only one. Whether its values are flags is kept in its kind."""
        values = as_numbers(column, name)
        known = values[np.isfinite(values)]
        return fit_numbers(name, values, kind=Number(flags=bool(np.isin(known, (0.0, 1.0)).all())).kind)

    def width(self, feature: Feature, layout: Layout) -> int:
        """One column; in a linear model, one more for missing values if training had any."""
        return 1 + int(feature.missing > 0) if layout.family == "linear" else 1

    def encode(self, column: Any, feature: Feature, layout: Layout, as_of: Any) -> EncodedPart:
        """Return the values themselves, NaN if missing; standardised for a linear model, with the median if missing."""
        return encode_numbers(as_numbers(column, feature.name), feature, layout, self.width(feature, layout))

    def to_json(self, column: Any) -> list[Any]:
        """Return floats; NaN becomes None."""
        return [
            None if value != value else value  # noqa: PLR0124 - NaN
            for value in column.cast(pa.float64()).to_pylist()
        ]

    def from_json(self, values: list[Any]) -> pa.Array:
        """Return float64."""
        return pa.array(values, pa.float64())

    def describe(self, column: Any, feature: Feature, as_of: Any) -> Readable:
        """Return the values as they are."""
        return Readable(numbers=as_numbers(column, feature.name), text=number_text, ordered=True)

    def describe_usual(self, feature: Feature) -> tuple[str, str] | None:
        """Return the median."""
        whole = feature.median == round(feature.median) and abs(feature.median) <= 20
        return ("most have" if whole else "typical:", number_text(feature.median))

    def to_numbers(self, column: Any) -> FloatArray | None:
        """Return the values as they are."""
        numbers: FloatArray = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return numbers


def as_numbers(column: Any, name: str) -> FloatArray:
    """Return a column of an Arrow number type as float64 (n,), NaN if missing. Raises InputError on any other type."""
    kind = column.type
    if pa.types.is_float64(kind):
        numbers: FloatArray = (
            column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)
        )
        return numbers
    if NUMBER.holds(kind):
        return as_numbers(column.cast(pa.float64()), name)
    raise InputError(
        problem(
            expected=f"numbers in {name}",
            found="text" if pa.types.is_dictionary(kind) or pa.types.is_string(kind) else str(kind),
            todo=f"correct the values that are no numbers, or write `types: {{{name}: number}}`, which sets their rows aside, and retrain",
        )
    )


def fit_numbers(name: str, values: FloatArray, **more: Any) -> FittedColumn:
    """Return the feature of the values (n,), NaN if missing; none if all are missing or equal. `more`: its other fields."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return FittedColumn(left_out={name: "it has no value"})
    if len(known) == len(values) and known.min() == known.max():
        return FittedColumn(left_out={name: "all its values are equal"})
    low, median, high = np.quantile(known, [0.05, 0.5, 0.95])
    feature = Feature(
        name=name,
        median=float(median),
        mean=float(known.mean()),
        scale=float(known.std()) or 1.0,
        low=float(low),
        high=float(high),
        missing=1 - len(known) / len(values),
        **{"kind": Number.name, **more},
    )
    return FittedColumn(features=(feature,))


def encode_numbers(values: FloatArray, feature: Feature, layout: Layout, width: int) -> EncodedPart:
    """Return the encoded columns of a feature that `fit_numbers` made."""
    return ComputedPart(values, _standardise(feature) if layout.family == "linear" else _copy, width)


def _copy(values: FloatArray, out: Encoded) -> None:
    out[:, 0] = values


def _standardise(feature: Feature) -> Callable[[FloatArray, Encoded], None]:
    def write(values: FloatArray, out: Encoded) -> None:
        absent = np.isnan(values)
        known = np.where(absent, feature.median, values)
        out[:, 0] = np.clip((known - feature.mean) / feature.scale, -_FURTHEST, _FURTHEST)
        if out.shape[1] == 2:
            out[:, 1] = absent

    return write


def _are_zeros_and_ones(numbers: pa.Array) -> bool:
    values = numbers.to_numpy(zero_copy_only=False)
    return bool(np.isin(values[~np.isnan(values)], (0.0, 1.0)).all())


def is_decimal_comma(value: str) -> bool:
    """Whether a text looks like a number with a decimal comma, such as 26,08 or 1.234,5."""
    return _COMMA.fullmatch(value) is not None


def _cast_doubles(array: pa.Array) -> pa.Array:
    doubles = array.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(doubles), pa.scalar(None, pa.float64()), doubles)


def _classify(text: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return the text without the blanks around it, a mask of the numbers and one of the missing values."""
    trimmed = pc.utf8_trim_whitespace(text)
    number = pc.fill_null(pc.match_substring_regex(trimmed, _NUMBER), False)
    missing = pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array([*MISSING_WORDS, None]))
    return trimmed, number, missing


def _refuse_out_of_range(values: pa.Array, wrong: dict[int, Reason]) -> ParsedColumn:
    doubles = values.to_numpy(zero_copy_only=False)
    beyond = np.flatnonzero(np.abs(doubles) > NUMBER_LIMIT)
    if not beyond.size:
        return ParsedColumn(values, wrong)
    found = {
        int(row): _refuse_infinite()
        if np.isinf(doubles[row])
        else Reason(f"a number within {NUMBER_LIMIT:.2g}", f"{doubles[row]:g}")
        for row in beyond
    }
    return ParsedColumn(null_at(values, beyond), wrong | found)


def _refuse_infinite() -> Reason:
    return Reason(f"a finite number within {NUMBER_LIMIT:.2g}", "one beyond")


def _explain_refusal(value: str) -> Reason:
    if _INFINITE.fullmatch(value):
        return _refuse_infinite()
    if is_decimal_comma(value) and not _THOUSANDS.fullmatch(value):
        return Reason("a number with a decimal point, not a comma", quote_value(value), "write 26.08 for 26,08")
    if _DRESSED.fullmatch(value):
        return Reason(
            "a number without thousands separators, currency or percent signs, such as 1234.5", quote_value(value)
        )
    return Reason("a number", quote_value(value))


NUMBER = Number()
