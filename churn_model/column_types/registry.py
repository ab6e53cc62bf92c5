"""The column types, and which of them a column has. A new type is registered here and nowhere else."""

import pyarrow as pa

from churn_model.column_types.category import CATEGORY
from churn_model.column_types.date import DATE
from churn_model.column_types.interface import ColumnType
from churn_model.column_types.number import NUMBER
from churn_model.errors import InputError, problem
from churn_model.spec.dataset import Kind

_KIND = b"churn_kind"
# The first type that claims a column has it, so the special ones come first. A category claims whatever is left.
_TYPES: list[ColumnType] = [DATE, NUMBER, CATEGORY]


def register(column_type: ColumnType) -> None:
    """Add a type. It claims columns before those that are registered already."""
    _TYPES.insert(0, column_type)


def column_types() -> tuple[ColumnType, ...]:
    """Return all types in the order in which they claim columns."""
    return tuple(_TYPES)


def column_type(kind: Kind) -> ColumnType:
    """Return the type that a spec writes as `kind`: its name and, after a blank, what configures it, as in `date %d.%m.%Y`.

    Raise KeyError if there is no type of that name, ValueError if it cannot be configured so.
    """
    name, _, more = kind.strip().partition(" ")
    for one in _TYPES:
        if one.name == name:
            return one.configure(more.strip()) if more.strip() else one
    raise KeyError(name)


def type_of(kind: pa.DataType) -> ColumnType:
    """Return the type of a canonical column with this Arrow type. Raise InputError if no type holds it."""
    for one in _TYPES:
        if one.holds(kind):
            return one
    held = ", ".join(one.noun for one in _TYPES)
    raise InputError(
        problem(expected=f"canonical rows, which hold {held}", found=f"a column of {kind}", todo="ingest the file")
    )


def describe_field(name: str, kind: Kind) -> pa.Field:
    """Return the field of a canonical column, which keeps the kind if it says more than the Arrow type."""
    stored = column_type(kind).stored_type
    return pa.field(name, stored, metadata=None if type_of(stored).kind == kind else {_KIND: kind.encode()})


def kind_of(field: pa.Field) -> Kind:
    """Return the kind of a canonical column, as a spec writes it."""
    kept = (field.metadata or {}).get(_KIND)
    return kept.decode() if kept else type_of(field.type).kind


def type_that_accepts(stored: pa.DataType) -> ColumnType:
    """Return the type of a column that landed with this Arrow type."""
    return next(one for one in _TYPES if one.accepts(stored))
