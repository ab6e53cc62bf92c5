"""The type of each column that neither the spec nor a file gives: inferred over all rows of all files."""

from collections.abc import Sequence

import pyarrow as pa

from churn_model.column_types.category import CATEGORY
from churn_model.column_types.landed import LandedValues
from churn_model.column_types.registry import column_type, column_types
from churn_model.errors import InputError, listed
from churn_model.ingest.columns import Columns
from churn_model.ingest.formats.base import Part
from churn_model.spec.dataset import Kind


class _Inference:
    """Infers the type of one column from its values, over all rows of all files."""

    def __init__(self, name: str, kind: Kind | None) -> None:
        self._name = name
        self._fallback = kind or CATEGORY.name
        types = column_types() if kind is None else (column_type(kind),)
        self._counts = [count for one in types if (count := one.count()) is not None]

    def add(self, array: pa.Array) -> None:
        """Count one more chunk."""
        values = LandedValues(array)
        for count in self._counts:
            count.add(values)

    @property
    def kind(self) -> Kind:
        """Return the first type that recognises the values; if none does, the type that is known already, or a category."""
        return next((count.kind for count in self._counts if count.kind is not None), self._fallback)

    @property
    def problems(self) -> list[str]:
        """Return why the column cannot be used as it is although no type recognises it."""
        if any(count.kind is not None for count in self._counts):
            return []
        return [text for count in self._counts if (text := count.problem(self._name))]


def infer_kinds(parts: Sequence[Part], columns: Columns) -> dict[str, Kind]:
    """Return the type of every column. Raise InputError for columns that seem to be of a type and cannot be read as it."""
    open_columns = {name: _Inference(name, kind) for name, kind in columns.kinds.items() if name in columns.undecided}
    for part in parts if open_columns else ():
        for chunk in part.chunks(columns.positions(part, open_columns)):
            for inference, column in zip(open_columns.values(), chunk.columns, strict=True):
                inference.add(column)
    problems = [text for inference in open_columns.values() for text in inference.problems]
    if problems:
        raise InputError(listed(problems))
    return {
        name: open_columns[name].kind if name in open_columns else str(kind) for name, kind in columns.kinds.items()
    }
