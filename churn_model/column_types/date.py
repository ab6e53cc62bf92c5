"""Dates: parsed as days; their features are the age in days, the month and the weekday.

An age is counted back from the row's `_as_of` if the dataset has one. Otherwise it is counted from one reference day, the latest date of
the column in the train split, which is part of the fitted feature. Then a row is encoded alike in training and in every batch, whatever
day it is and whatever rows come with it. A day of the clock, or the day a file was copied somewhere, would give the same files other
ages on another machine. An age is negative for a date that is still to come.
"""

import datetime
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import FloatArray, IntArray
from churn_model.column_types.interface import ColumnType, Feature, FittedColumn, Layout, Readable, TypeCount, Value
from churn_model.column_types.landed import (
    MISSING_WORDS,
    LandedValues,
    ParsedColumn,
    Reason,
    as_mask,
    parse_distinct,
    quote_value,
    read_text,
)
from churn_model.column_types.number import encode_numbers, fit_numbers
from churn_model.column_types.parts import EncodedPart, LookupPart
from churn_model.errors import InputError, problem
from churn_model.spec.dataset import Kind

ISO = "%Y-%m-%d"
YEAR_FIRST = (ISO, "%Y/%m/%d")
FORMATS = (*YEAR_FIRST, "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y-%m", "%m/%Y")
"""Formats that are recognised. Day and month between points are in this order; between others, some day must be above 12."""
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_EXAMPLE = datetime.date(2024, 1, 31)
_EPOCH = datetime.date(1970, 1, 1)
_TIME = r"[T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?\s?([AaPp][Mm])?\s?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)?$"
_DATE_LIKE = r"^([0-9]{4}[-/][0-9]{2}([-/][0-9]{2})?|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4}|[0-9]{1,2}/[0-9]{4})$"


def parse_day(value: str, form: str) -> datetime.date | None:
    """Return the day that a text in the format `form` names, the first of the month if it names none; None if it is in another format.

    Digits that are not separated have their full width: 2024131 is no date in %Y%m%d. Raise ValueError if the calendar has no such day.
    """
    if not (pattern := _pattern_of(form)).fullmatch(value):
        return None
    try:
        parsed = datetime.datetime.strptime(value, form).date()  # noqa: DTZ007 - a day has no time zone
    except ValueError as error:
        raise ValueError(f"{value} is not in the calendar ({pattern.pattern})") from error
    return parsed


def _pattern_of(form: str) -> re.Pattern[str]:
    """Return what a text in this format looks like: single digits may stand between separators, and only there."""
    separated = not re.search(r"%[A-Za-z]%", form)
    digits = {"Y": "[0-9]{4}", "y": "[0-9]{2}", "b": r"\w+\.?", "B": r"\w+", "p": "[AaPp][Mm]", "j": "[0-9]{3}"}
    parts = re.split(r"%([A-Za-z%])", form)
    looks = [
        re.escape(part) if n % 2 == 0 else digits.get(part, "[0-9]{1,2}" if separated else "[0-9]{2}")
        for n, part in enumerate(parts)
    ]
    return re.compile("".join(looks))


def parse_days(text: pa.Array, form: str, *, blank: Reason | None, hint: str = "") -> ParsedColumn:
    """Return text in the format `form` as date32. The time of day after a date is ignored: the day counts as it is written."""

    def parse(value: str) -> datetime.date | Reason | None:
        if blank is None and value.lower() in MISSING_WORDS:
            return None
        try:
            day = parse_day(value, form)
        except ValueError:
            return Reason("a date that the calendar has", quote_value(value))
        return Reason(f"a date such as {_EXAMPLE:{form}}", quote_value(value), hint) if day is None else day

    return parse_distinct(_drop_time(text, form), parse, pa.date32(), blank)


def is_iso_date(value: str) -> bool:
    """Return whether a text looks like an ISO date or timestamp."""
    return _pattern_of(ISO).fullmatch(re.sub(_TIME, "", value)) is not None


def _drop_time(text: pa.Array, form: str) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(text)
    return trimmed if "%H" in form or "%I" in form else pc.replace_substring_regex(trimmed, _TIME, "")


class DateCount(TypeCount):
    """Recognises dates: one of `FORMATS` reads at least 95% of the values that are present.

    present  values that are neither blank nor a word for missing
    read     how many values each format reads
    """

    def __init__(self) -> None:
        self.present = 0
        self.read = dict.fromkeys(FORMATS, 0)
        self.example = ""

    def add(self, values: LandedValues) -> None:
        """Count one more chunk."""
        if values.numbers is not None:
            self.present += len(values.numbers) - values.numbers.null_count
            return
        texts, counts = values.distinct
        trimmed = pc.utf8_trim_whitespace(texts)
        missing = as_mask(pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array([*MISSING_WORDS, None])))
        self.present += int(counts[~missing].sum())
        days = pc.replace_substring_regex(trimmed, _TIME, "")
        alike = np.flatnonzero(as_mask(pc.match_substring_regex(days, _DATE_LIKE)))
        rows: dict[str, int] = {}
        for value, count in zip(days.take(pa.array(alike)).to_pylist(), counts[alike].tolist(), strict=True):
            rows[value] = rows.get(value, 0) + count
        for value, count in rows.items():
            for form in FORMATS:
                if _reads(value, form):
                    self.read[form] += count
                    self.example = self.example or value

    @property
    def kind(self) -> Kind | None:
        """`date` and the format, which ISO needs not; None unless one format alone reads the values."""
        formats = self._formats
        return Date(formats[0]).kind if len(formats) == 1 else None

    def problem(self, name: str) -> str | None:
        """Return what to do about dates that two formats read."""
        formats = self._formats
        if len(formats) < 2:
            return None
        meanings = [f"`types: {{{name}: {Date(form).kind}}}`" for form in formats]
        return problem(
            expected=f"dates in {quote_value(name)} of which some tell the day from the month",
            found=f"dates such as {quote_value(self.example)}, which may mean either",
            todo=f"write {' or '.join(meanings)} in the spec, or `types: {{{name}: category}}` if they are no dates",
        )

    @property
    def _formats(self) -> list[str]:
        """Return the formats that may be meant: the only one that reads all values, else those that read nearly all."""
        nearly = [form for form, count in self.read.items() if self.present and 20 * count >= 19 * self.present]
        whole = [form for form in nearly if self.read[form] == self.present]
        return whole if len(whole) == 1 else nearly


def _reads(value: str, form: str) -> bool:
    try:
        return parse_day(value, form) is not None
    except ValueError:
        return False


@dataclass(frozen=True)
class Date(ColumnType):
    """A day. `form`: the format of its text as in `strptime`; None if it is recognised, ISO where nothing is."""

    form: str | None = None

    name: ClassVar[str] = "date"
    noun: ClassVar[str] = "dates"
    pattern: ClassVar[str] = "date( .*%.*)?"
    arrow_type: ClassVar[pa.DataType] = pa.date32()
    stored_type: ClassVar[pa.DataType] = pa.date32()

    @property
    def kind(self) -> Kind:
        """`date`, or `date %d.%m.%Y`."""
        return self.name if self.form in (None, ISO) else f"{self.name} {self.form}"

    @property
    def is_open(self) -> bool:
        """Whether the format is to be recognised."""
        return self.form is None

    @property
    def has_format(self) -> bool:
        """Whether its days are written in another way than 2024-01-31."""
        return self.form not in (None, ISO)

    def configure(self, text: str) -> "Date":
        """Return the type with a format. Raise ValueError unless the format has a year and a month, or a day of the year."""
        names = set(re.findall(r"%([A-Za-z])", text))
        if not names & {"Y", "y"} or not names & {"m", "b", "B", "j"}:
            raise ValueError("a format with a year and a month, such as %d.%m.%Y")
        if unknown := sorted(names - set("YymdbBjHIMSp")):
            raise ValueError(f"a format of %Y, %y, %m, %b, %B, %d, %j, %H, %I, %M, %S and %p, without %{unknown[0]}")
        return Date(text)

    def accepts(self, stored: pa.DataType) -> bool:
        """Return whether the type is a date or a timestamp."""
        return bool(pa.types.is_date(stored) or pa.types.is_timestamp(stored))

    def count(self) -> TypeCount:
        """Return an empty count."""
        return DateCount()

    def parse(self, array: pa.Array) -> ParsedColumn:
        """Return the values as date32. A timestamp's day is that of its own time zone. Missing: blank and `MISSING_WORDS`."""
        kind = array.type
        if pa.types.is_timestamp(kind):
            return ParsedColumn(array.cast(pa.date32(), safe=False), {})
        if pa.types.is_date(kind) or pa.types.is_null(kind):
            return ParsedColumn(array.cast(pa.date32()), {})
        text = read_text(array)
        hint = "write its format under types in the spec, such as `date %d.%m.%Y`" if self.form is None else ""
        parsed = parse_days(text.values, self.form or ISO, blank=None, hint=hint)
        return ParsedColumn(parsed.values, parsed.wrong | text.wrong, parsed.words)

    def write(self, plain: str) -> str:
        """Return an ISO date in the format of the column."""
        return datetime.datetime.fromisoformat(plain).strftime(self.form) if self.form and self.has_format else plain

    def holds(self, kind: pa.DataType) -> bool:
        """Return whether the type is date32, which canonical rows have."""
        return bool(pa.types.is_date32(kind))

    def fit(self, name: str, column: Any, as_of: Any) -> FittedColumn:
        """Return age, month and weekday, each unless it is the same in all rows."""
        days = _to_days(column)
        known = days[np.isfinite(days)]
        if len(known) == 0:
            return FittedColumn(left_out={name: "it has no value"})
        reference = None if as_of is not None else _to_date(known.max()).isoformat()
        age = fit_numbers(name, _ages(days, reference, as_of, name), kind=self.kind, part="age", reference=reference)
        month = fit_numbers(f"{name} (month)", _months(days), kind=self.kind, part="month", column=name)
        weekday = fit_numbers(f"{name} (weekday)", _weekdays(days), kind=self.kind, part="weekday", column=name)
        if all(_to_date(day).day == 1 for day in np.unique(known)):
            weekday = FittedColumn(left_out={f"{name} (weekday)": "all dates are the first of a month"})
        fitted = (age, month, weekday)
        return FittedColumn(
            features=tuple(feature for one in fitted for feature in one.features),
            left_out={part: why for one in fitted for part, why in one.left_out.items()},
        )

    def width(self, feature: Feature, layout: Layout) -> int:
        """Return one column; in a linear model one per month or weekday, and one for missing values if training had any."""
        levels = len(_LEVELS.get(feature.part or "", ())) or 1
        return levels + int(feature.missing > 0) if layout.family == "linear" else 1

    def encode(self, column: Any, feature: Feature, layout: Layout, as_of: Any) -> EncodedPart:
        """Return the age in days, standardised for a linear model; or the month from 1, the weekday from Monday, 0."""
        days, width = _to_days(column), self.width(feature, layout)
        if feature.part == "age":
            return encode_numbers(_ages(days, feature.reference, as_of, feature.name), feature, layout, width)
        first = 1 if feature.part == "month" else 0
        numbers = _months(days) if feature.part == "month" else _weekdays(days)
        count = len(_LEVELS[feature.part or ""])
        codes = np.where(np.isnan(numbers), count, numbers - first).astype(np.int32)
        if layout.family != "linear":
            return LookupPart(codes, np.append(np.arange(count) + first, np.nan).astype(np.float32)[:, None])
        table = np.eye(count + 1, dtype=np.float32)
        return LookupPart(codes, table[:, :width])

    def to_json(self, column: Any) -> list[Any]:
        """Return ISO dates."""
        values: list[Any] = column.cast(pa.string()).to_pylist()
        return values

    def from_json(self, values: list[Any]) -> pa.Array:
        """Return date32."""
        return pa.array(values, pa.string()).cast(pa.date32())

    def describe(self, column: Any, feature: Feature, as_of: Any) -> Readable:
        """Return `12 days ago` if a snapshot says when, else the date; `in December`; `on a Sunday`."""
        days = _to_days(column)
        if feature.part == "month":
            return Readable(numbers=_months(days), value=lambda month: f"in {MONTHS[int(month) - 1]}", ordered=True)
        if feature.part == "weekday":
            return Readable(numbers=_weekdays(days), value=lambda day: f"on a {WEEKDAYS[int(day)]}", ordered=True)
        if feature.reference is not None:
            return Readable(numbers=days, value=self.format_number, ordered=True)
        return Readable(numbers=_ages(days, None, as_of, feature.name), value=_format_age, ordered=True)

    def describe_usual(self, feature: Feature) -> tuple[str, Value] | None:
        """Return the median age, or the date of it; no month and no weekday is usual."""
        if feature.part != "age":
            return None
        if feature.reference is None:
            return "typical:", _format_age(feature.median)
        latest = datetime.date.fromisoformat(feature.reference)
        return "typical:", self.format_number(float((latest - _EPOCH).days - round(feature.median)))

    def to_numbers(self, column: Any) -> FloatArray | None:
        """Return days since 1970."""
        return _to_days(column)

    def format_number(self, number: float) -> str:
        """Return the ISO date of a day since 1970."""
        return _to_date(number).isoformat()


_LEVELS = {"month": MONTHS, "weekday": WEEKDAYS}


def _to_days(column: Any) -> FloatArray:
    """Return dates as days since 1970 (n,), NaN if missing."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    days: FloatArray = whole.cast(pa.int32()).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return days


def _to_date(day: float) -> datetime.date:
    return _EPOCH + datetime.timedelta(days=int(day))


def _ages(days: FloatArray, reference: str | None, as_of: Any, name: str) -> FloatArray:
    """Return the days from each date to the reference, or to the row's `_as_of` if there is none (n,)."""
    if reference is not None:
        return float((datetime.date.fromisoformat(reference) - _EPOCH).days) - days
    if as_of is None:
        raise InputError(
            problem(
                expected=f"the date of each row's snapshot, from which the age of {name} is counted",
                found="none",
                todo="name its column under as_of, or retrain without it",
            )
        )
    return _to_days(as_of) - days


def _months(days: FloatArray) -> FloatArray:
    """Return the month of each day, 1 to 12, NaN if missing (n,)."""
    return np.where(
        np.isnan(days), np.nan, _whole(days).astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12 + 1
    )


def _weekdays(days: FloatArray) -> FloatArray:
    """Return the weekday of each day, 0 on Monday to 6, NaN if missing (n,). 1970 began on a Thursday."""
    return np.where(np.isnan(days), np.nan, (_whole(days) + 3) % 7)


def _whole(days: FloatArray) -> IntArray:
    return np.nan_to_num(days).astype(np.int64)


def _format_age(days: float) -> str:
    count = round(days)
    if count == 0:
        return "on that day"
    unit = "day" if abs(count) == 1 else "days"
    return f"{count:,} {unit} ago" if count > 0 else f"in {-count:,} {unit}"


DATE = Date()
