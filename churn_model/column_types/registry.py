"""The column types, and which of them a column has. A new type is registered here and nowhere else."""

import pyarrow as pa

from churn_model.column_types.category import CATEGORY
from churn_model.column_types.interface import ColumnType
from churn_model.column_types.number import NUMBER
from churn_model.errors import InputError, problem
from churn_model.spec.dataset import Kind

# The first type that claims a column has it, so the special ones come first. A category claims whatever is left.
_TYPES: list[ColumnType] = [NUMBER, CATEGORY]


def register(column_type: ColumnType) -> None:
    """Add a type. It claims columns before those that are registered already."""
    _TYPES.insert(0, column_type)


def column_types() -> tuple[ColumnType, ...]:
    """Return all types in the order in which they claim columns."""
    return tuple(_TYPES)


def column_type(kind: Kind) -> ColumnType:
    """Return the type that a spec writes as `kind`. Raises KeyError if there is none."""
    for one in _TYPES:
        if one.name == kind:
            return one
    raise KeyError(kind)


def type_of(kind: pa.DataType) -> ColumnType:
    """Return the type of a canonical column with this Arrow type. Raises InputError if no type holds it."""
    for one in _TYPES:
        if one.holds(kind):
            return one
    held = ", ".join(one.noun for one in _TYPES)
    raise InputError(
        problem(expected=f"canonical rows, which hold {held}", found=f"a column of {kind}", todo="ingest the file")
    )


def type_that_accepts(stored: pa.DataType) -> ColumnType:
    """Return the type of a column that landed with this Arrow type."""
    return next(one for one in _TYPES if one.accepts(stored))
