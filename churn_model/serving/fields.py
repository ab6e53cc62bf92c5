"""The fields of a customer that a model's answer needs: their names, types, and how a landed value of each is read, as ingest reads it."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from churn_model.column_types.date import DATE
from churn_model.column_types.interface import ColumnType, ParseValue
from churn_model.column_types.landed import ParsedColumn, ParsedValue, Reason, format_floats, quote_value
from churn_model.column_types.memory import remember
from churn_model.column_types.number import NUMBER
from churn_model.column_types.registry import column_type
from churn_model.errors import problem
from churn_model.features.schema import FeatureSchema
from churn_model.ingest.formats.base import NumberText
from churn_model.ingest.values import WORTH_LIMIT, parse_as_of, parse_ids, parse_worths
from churn_model.spec.column_names import name_key, same_name
from churn_model.spec.dataset import Dataset, Kind

PLAIN_VALUE = "text, a number, true, false or null"


class Role(StrEnum):
    """What a field is for."""

    ID = "id"
    AS_OF = "as_of"
    FEATURE = "feature"
    WORTH = "worth"


class FieldProblem(NamedTuple):
    """Why a row has no answer. `field` is None if the whole row is at fault."""

    field: str | None
    expected: str
    found: str
    todo: str

    def __str__(self) -> str:
        text = problem(expected=self.expected, found=self.found, todo=self.todo)
        return text if self.field is None else f"{self.field}: {text}"


class RefusedRow(Exception):
    """A row has no answer, for these reasons."""

    def __init__(self, problems: tuple[FieldProblem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a customer.

    is_worth      whether the decision reads it, as what the customer is worth
    parse_column  what parses a column of landed values
    parse_value   what parses one landed text, with the same result
    """

    name: str
    kind: Kind
    role: Role
    is_required: bool
    is_worth: bool
    parse_column: Callable[[pa.Array], ParsedColumn]
    parse_value: ParseValue

    @property
    def arrow_type(self) -> pa.DataType:
        """The type of parsed values."""
        return pa.string() if self.role is Role.ID else self.column.arrow_type

    @cached_property
    def column(self) -> ColumnType:
        """The type whose text the field's values are. A worth is a plain number."""
        return NUMBER if self.is_worth else column_type(self.kind)

    def as_landed(self, value: Any) -> str | None:
        """Return a plain value as text of this field: a number in the column's own format, for its text 1.234 may be 1234.

        Raise TypeError for a value that is not plain.
        """
        text = landed_text(value)
        is_number = isinstance(value, NumberText | int | float | Decimal) and not isinstance(value, bool)
        return self.column.write(text) if text is not None and is_number and self.column.name == NUMBER.name else text

    def describe(self, reason: Reason) -> FieldProblem:
        """Return why a value of this field is wrong."""
        todo = reason.todo or "correct the value, or send null if it is unknown"
        return FieldProblem(self.name, reason.expected, reason.found or "something else", todo)


def request_fields(schema: FeatureSchema, dataset: Dataset) -> tuple[Field, ...]:
    """Return the fields of a request in their order: the id, the date, what the model reads, the worth. No name is among them twice."""
    fields = []
    if dataset.id_column:
        fields.append(_special(dataset.id_column, "category", Role.ID, _parse_ids, is_required=False))
    if dataset.as_of:
        needed = any(
            column_type(each.kind).name == DATE.name and each.part == "age" and each.reference is None
            for each in schema.features
        )
        parse = _as_of_parser(dataset.as_of_format, is_required=needed)
        fields.append(
            _special(dataset.as_of, DATE.configure(dataset.as_of_format).kind, Role.AS_OF, parse, is_required=needed)
        )
    worth = dataset.costs.value_column
    for name, kind in schema.required.items():
        if worth and same_name(name, worth):
            fields.append(_worth(name, kind, Role.FEATURE))
        else:
            one = column_type(kind)
            fields.append(
                Field(
                    name=name,
                    kind=kind,
                    role=Role.FEATURE,
                    is_required=True,
                    is_worth=False,
                    parse_column=one.parse,
                    parse_value=one.value_parser(),
                )
            )
    if worth and not any(field.is_worth for field in fields):
        fields.append(_worth(worth, NUMBER.name, Role.WORTH))
    return tuple(fields)


def _special(
    name: str, kind: Kind, role: Role, parse: Callable[[pa.Array], ParsedColumn], *, is_required: bool
) -> Field:
    return Field(
        name=name,
        kind=kind,
        role=role,
        is_required=is_required,
        is_worth=False,
        parse_column=parse,
        parse_value=_value_parser(parse),
    )


def _worth(name: str, kind: Kind, role: Role) -> Field:
    parse_number, parse_worth = NUMBER.value_parser(), _value_parser(parse_worths)

    def parse_value(text: str | None) -> ParsedValue:
        parsed = parse_number(text)
        is_worth = parsed.value is not None and 0 <= parsed.value <= WORTH_LIMIT
        return parsed if is_worth else parse_worth(text)

    return Field(
        name=name,
        kind=kind,
        role=role,
        is_required=True,
        is_worth=True,
        parse_column=parse_worths,
        parse_value=parse_value,
    )


def _value_parser(parse_column: Callable[[pa.Array], ParsedColumn]) -> ParseValue:
    def parse(text: str | None) -> ParsedValue:
        parsed = parse_column(pa.array([text], pa.string()))
        return ParsedValue(parsed.values[0].as_py(), parsed.wrong.get(0))

    return remember(parse)


def _parse_ids(array: pa.Array) -> ParsedColumn:
    """Parse ids as ingest does, but for blanks: an answer needs no id."""
    return _allow_blanks(parse_ids(array))


def _as_of_parser(form: str, *, is_required: bool) -> Callable[[pa.Array], ParsedColumn]:
    def parse(array: pa.Array) -> ParsedColumn:
        parsed = parse_as_of(array, form)
        return parsed if is_required else _allow_blanks(parsed)

    return parse


def _allow_blanks(parsed: ParsedColumn) -> ParsedColumn:
    return ParsedColumn(
        parsed.values, {row: reason for row, reason in parsed.wrong.items() if reason.found != "a blank"}
    )


class FieldNames:
    """Finds the fields among the names of a request, whatever their case."""

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self._fields = fields
        self._names = frozenset(field.name for field in fields)
        self.required = frozenset(field.name for field in fields if field.is_required)
        self._by_key = {name_key(field.name): field for field in fields}

    def resolve(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a record under the fields' own names; what is no field is left out. Raise RefusedRow if a field is there twice."""
        if record.keys() <= self._names:
            return record
        found: dict[str, Any] = {}
        for name, value in record.items():
            field = self._by_key.get(name_key(name))
            if field is not None:
                if field.name in found:
                    raise RefusedRow((FieldProblem(field.name, "each field once", "two", "send one of them"),))
                found[field.name] = value
        return found

    def own(self, names: Collection[str]) -> list[str] | None:
        """Return the fields among the names; None if a required one is not among them, or another is there in another case."""
        found = [name for name in names if name in self._names]
        is_plain = len(found) + len(self.unknown(names)) == len(names)
        return found if is_plain and self.required.issubset(found) else None

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Return the names that no field has."""
        names = list(names)
        if self._names.issuperset(names):
            return []
        return [name for name in names if name_key(name) not in self._by_key]

    def missing(self, record: Mapping[str, Any]) -> tuple[FieldProblem, ...]:
        """Return the required fields that a resolved record lacks."""
        return tuple(
            FieldProblem(field.name, f"a field {field.name} ({field.kind})", "none", "send it, null if it is unknown")
            for field in self._fields
            if field.is_required and field.name not in record
        )


def landed_text(value: Any) -> str | None:
    """Return a plain Python value as it would have landed in text. Raise TypeError for any other value."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, float):
        text: str | None = format_floats(pa.array([value], pa.float64()))[0].as_py()
        return text
    if isinstance(value, date):  # and datetime
        return value.isoformat()
    raise TypeError(PLAIN_VALUE)


def describe_nested(name: str, value: Any) -> FieldProblem:
    """Return why a value that is not plain is no value of a field."""
    kinds: dict[type, str] = {list: "an array", tuple: "an array", dict: "an object"}
    found = next((text for kind, text in kinds.items() if isinstance(value, kind)), quote_value(type(value).__name__))
    return FieldProblem(name, PLAIN_VALUE, found, "send one value")
