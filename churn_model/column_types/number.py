"""Numbers: parsed as float64, encoded as themselves (NaN if missing) for trees and standardised for a linear model."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import FloatArray
from churn_model.column_types.interface import (
    ColumnType,
    EncodeValue,
    Feature,
    FittedColumn,
    Layout,
    ParseValue,
    Readable,
    TypeCount,
    Value,
)
from churn_model.column_types.landed import (
    ParsedColumn,
    ParsedValue,
    Reason,
    cast_plain_numbers,
    count_words,
    null_at,
    parse_distinct,
    quote_value,
    read_text,
)
from churn_model.column_types.number_count import NumberCount
from churn_model.column_types.number_format import (
    AS_IS,
    INFINITE,
    NUMBER_NAME,
    NumberFormat,
    are_zeros_and_ones,
    classify_numbers,
    is_formatted,
    parse_format,
)
from churn_model.column_types.parts import ComputedPart, Encoded, EncodedPart
from churn_model.column_types.spelling import NO, YES
from churn_model.errors import InputError, problem
from churn_model.spec.dataset import Kind

NUMBER_LIMIT = float(np.finfo(np.float32).max)
_FLAGS = "0/1"
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?")
LARGEST = float(np.float32(3e38))
"""The largest number that is encoded: beyond, float32 overflows, and this far out only the order matters to a tree."""
# Standard deviations beyond which a linear model would follow a mistyped value anywhere.
_FURTHEST = 8.0


@dataclass(frozen=True)
class Number(ColumnType):
    """A quantity.

    form   how its text is written
    flags  all values of training are 0 or 1, so that yes, TRUE and t are 1, and no, false and f are 0
    """

    form: NumberFormat = AS_IS
    flags: bool = False

    name: ClassVar[str] = NUMBER_NAME
    noun: ClassVar[str] = "numbers"
    pattern: ClassVar[str] = f"number( {_FLAGS}| 1[., ']?234[.,]5( ?[^ ]+)?)?"
    arrow_type: ClassVar[pa.DataType] = pa.float64()
    stored_type: ClassVar[pa.DataType] = pa.float64()

    @property
    def kind(self) -> Kind:
        """`number`, `number 0/1`, or a format such as `number 1.234,5`."""
        return f"{self.name} {_FLAGS}" if self.flags else self.form.kind

    @property
    def has_format(self) -> bool:
        """Whether its numbers are written in another way than 1234.5."""
        return self.form != AS_IS

    def configure(self, text: str) -> "Number":
        """Return the type of flags, or of numbers in the format of an example. Raise ValueError for any other text."""
        return Number(flags=True) if text == _FLAGS else Number(parse_format(text))

    def accepts(self, stored: pa.DataType) -> bool:
        """Return whether the type is an integer, a float or a decimal. Booleans are yes and no, so categories."""
        return bool(pa.types.is_integer(stored) or pa.types.is_floating(stored) or pa.types.is_decimal(stored))

    def count(self) -> TypeCount:
        """Return an empty count."""
        return NumberCount()

    def parse(self, array: pa.Array) -> ParsedColumn:
        """Return the values as float64.

        Missing: blank and `MISSING_WORDS`. Wrong: all other text, infinities, and what float32 cannot hold.
        """
        if self.accepts(array.type) or pa.types.is_boolean(array.type) or pa.types.is_null(array.type):
            return _refuse_out_of_range(ParsedColumn(_cast_doubles(array), {}))
        text = read_text(array)
        quick = cast_plain_numbers(text.values) if self.form == AS_IS else None
        if quick is not None:
            return _refuse_out_of_range(ParsedColumn(quick, text.wrong))
        trimmed, number, missing = classify_numbers(text.values)
        words = count_words(trimmed, missing)
        if self.flags:
            lower = pc.utf8_lower(trimmed)
            for flags, digit in ((YES, "1"), (NO, "0")):
                is_flag = pc.is_in(lower, value_set=pa.array(flags))
                trimmed, number = pc.if_else(is_flag, digit, trimmed), pc.or_(number, is_flag)
        if self.form != AS_IS:  # 1.234 may be another number than it seems
            number = pc.and_(number, pa.scalar(False))
        plain = pc.if_else(number, pc.utf8_ltrim(trimmed, characters="+"), pa.scalar(None, pa.string()))
        odd = pc.if_else(pc.or_(number, missing), pa.scalar(None, pa.string()), trimmed)
        dressed = parse_distinct(odd, self._read, pa.float64(), None)
        values = pc.coalesce(plain.cast(pa.float64()), dressed.values)
        return _refuse_out_of_range(ParsedColumn(values, dressed.wrong | text.wrong, words))

    def write(self, plain: str) -> str:
        """Return a plain number in the format of the column."""
        return self.form.write(plain) if self.has_format else plain

    def _read(self, value: str) -> float | Reason:
        number = self.form.read(value)
        return self._explain_refusal(value) if number is None else number

    def _explain_refusal(self, value: str) -> Reason:
        if re.match(INFINITE, value):
            return _REFUSED_INFINITE
        if self.form != AS_IS:
            return Reason(f"a number such as {self.form}", quote_value(value))
        if is_formatted(value):
            todo = f"write its format under types in the spec, such as `{self.name} 1,234.5` or `{self.name} 1.234,5 €`"
            return Reason("a number such as 1234.5", quote_value(value), todo)
        return Reason("a number", quote_value(value))

    def holds(self, kind: pa.DataType) -> bool:
        """Return whether `as_numbers` reads a column of this Arrow type."""
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
        return fit_numbers(name, values, kind=Number(self.form, self.form == AS_IS and are_zeros_and_ones(known)).kind)

    def width(self, feature: Feature, layout: Layout) -> int:
        """Return one column; in a linear model, one more for missing values if training had any."""
        return 1 + int(feature.missing > 0) if layout.family == "linear" else 1

    def encode(self, column: Any, feature: Feature, layout: Layout, as_of: Any) -> EncodedPart:
        """Return the values themselves, NaN if missing; standardised for a linear model, with the median if missing."""
        return encode_numbers(as_numbers(column, feature.name), feature, layout, self.width(feature, layout))

    def value_parser(self) -> ParseValue:
        """Return what parses one landed text. Plain numbers are read by Python, whose floats are Arrow's: both are the nearest ones."""
        parse = super().value_parser()
        if self.form != AS_IS:
            return parse

        def parse_number(text: str | None) -> ParsedValue:
            if text is not None and _PLAIN_NUMBER.fullmatch(text) and abs(number := float(text)) <= NUMBER_LIMIT:
                return ParsedValue(number)
            return parse(text)

        return parse_number

    def value_encoder(self, feature: Feature, layout: Layout) -> EncodeValue:
        """Return what encodes one number, in the same operations as a column of them."""
        if layout.family != "linear":
            return lambda value, _: (math.nan if value is None else value,)
        median, mean, scale, has_missing = feature.median, feature.mean, feature.scale, feature.missing > 0

        def standardise(value: float | None, _: Any) -> tuple[float, ...]:
            is_absent = value is None or math.isnan(value)
            standard = ((median if is_absent or value is None else value) - mean) / scale
            standard = min(max(standard, -_FURTHEST), _FURTHEST)
            return (standard, float(is_absent)) if has_missing else (standard,)

        return standardise

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
        return Readable(numbers=as_numbers(column, feature.name), value=float, ordered=True)

    def describe_usual(self, feature: Feature) -> tuple[str, Value] | None:
        """Return the median."""
        whole = feature.median == round(feature.median) and abs(feature.median) <= 20
        return ("most have" if whole else "typical:", feature.median)

    def to_numbers(self, column: Any) -> FloatArray | None:
        """Return the values as they are."""
        numbers: FloatArray = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return numbers


def as_numbers(column: Any, name: str) -> FloatArray:
    """Return a column of an Arrow number type as float64 (n,), NaN if missing. Raise InputError on any other type."""
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
    out[:, 0] = np.clip(values, -LARGEST, LARGEST)


def _standardise(feature: Feature) -> Callable[[FloatArray, Encoded], None]:
    def write(values: FloatArray, out: Encoded) -> None:
        absent = np.isnan(values)
        known = np.where(absent, feature.median, values)
        out[:, 0] = np.clip((known - feature.mean) / feature.scale, -_FURTHEST, _FURTHEST)
        if out.shape[1] == 2:
            out[:, 1] = absent

    return write


def _cast_doubles(array: pa.Array) -> pa.Array:
    doubles = array.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(doubles), pa.scalar(None, pa.float64()), doubles)


def _refuse_out_of_range(column: ParsedColumn) -> ParsedColumn:
    doubles = column.values.to_numpy(zero_copy_only=False)
    beyond = np.flatnonzero(np.abs(doubles) > NUMBER_LIMIT)
    if not beyond.size:
        return column
    found = {
        int(row): _REFUSED_INFINITE
        if np.isinf(doubles[row])
        else Reason(f"a number within {NUMBER_LIMIT:.2g}", f"{doubles[row]:g}")
        for row in beyond
    }
    return ParsedColumn(null_at(column.values, beyond), column.wrong | found, column.words)


_REFUSED_INFINITE = Reason("a finite number", "an infinite one", "write it blank if it is unknown")
NUMBER = Number()
