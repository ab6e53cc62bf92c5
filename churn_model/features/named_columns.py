"""Whether the canonical rows have the columns that a spec ignores, vouches for and derives from, before anything is computed from them.

Ingest looks at none of these sections, so a change of them reads no file again.
"""

import json

import pyarrow as pa

from churn_model.column_types.landed import quote_value
from churn_model.errors import InputError, listed, problem
from churn_model.features.schema import refuse_in_expression
from churn_model.ingest.columns import lacking
from churn_model.spec.column_names import NOT_READ, RESERVED, name_key
from churn_model.spec.dataset import Dataset
from churn_model.spec.expressions import compile_expression


def require_described(landed: pa.Schema, dataset: Dataset) -> None:
    """Raise InputError unless canonical rows with the schema `landed` have what the spec ignores, vouches for and derives from.

    Derived columns have new names, and are numbers made of numbers.
    """
    types = {name_key(field.name): field.type for field in landed if field.name not in RESERVED}
    nested = json.loads((landed.metadata or {}).get(NOT_READ.encode(), b"{}"))
    names = [name for name in landed.names if name not in RESERVED]
    sources = [(name, source) for name, text in dataset.derived.items() for source in compile_expression(text).columns]
    required = [*dataset.ignore, *dataset.known, *(source for _, source in sources)]
    problems = lacking(
        [*names, *nested, *dataset.derived], required, "that the spec names under ignore, known and derived"
    )
    todo = "rename the derived column; a landed column is not replaced"
    problems += [
        problem(expected="new names under derived", found=f"{quote_value(name)}, which landed too", todo=todo)
        for name in dataset.derived
        if name_key(name) in types
    ]
    problems += [
        refused
        for name, source in sources
        if name_key(source) in types and (refused := refuse_in_expression(name, source, types[name_key(source)]))
    ]
    ignored = {name_key(name) for name in dataset.ignore}
    problems += [
        problem(
            expected=f"plain values in {quote_value(name)}",
            found=what,
            todo="list it under ignore in the spec, or land it as numbers, text or dates",
        )
        for name, what in nested.items()
        if name_key(name) not in ignored
    ]
    if problems:
        raise InputError(listed(problems))
