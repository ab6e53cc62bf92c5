"""`churn_probability` and `will_churn` in DuckDB, over the same plan as every other answer.

DuckDB asks for a fixed list of arguments, so each function is written out with the columns of one model: `churn_probability(t)` for a table `t`,
whose columns are found by name, or the columns themselves in the order of `call`.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.func import ARROW, SPECIAL

from churn_model.column_types.date import DATE
from churn_model.column_types.number import NUMBER
from churn_model.errors import InputError
from churn_model.features.encoding import encode
from churn_model.serving.blocks import read_block
from churn_model.serving.fields import Field
from churn_model.serving.plan import BLANK_ROW, Plan

FUNCTIONS = ("churn_probability", "will_churn")
_ASK = "_ask_churn_model"
_MARK = "\x01"
_NO_TEXT = {
    NUMBER.name: "^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*)$",
    DATE.name: "^(DATE|TIMESTAMP.*)$",
}
"""The types of columns, by the type of the model's, whose values are no text that landed."""
_RESULT = "STRUCT(churn_probability DOUBLE, will_churn BOOLEAN)"
_ARROW = pa.struct([("churn_probability", pa.float64()), ("will_churn", pa.bool_())])


def register_functions(connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    """Make the functions known to a connection. A row of blanks alone gives NULL; a value that the model cannot read fails the query."""

    def ask(*columns: pa.ChunkedArray) -> pa.Array:
        arrays = [column.combine_chunks() for column in columns]
        landed = {field.name: _as_landed(field, array) for field, array in zip(plan.inputs, arrays, strict=True)}
        return answer_columns(plan, landed)

    kinds: list[Any] = [sql_type(field) for field in plan.inputs]
    names = [f"a{number}" for number in range(len(kinds))]
    # DuckDB counts the parameters that the function shows.
    shown = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    ask.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    connection.create_function(_ASK, ask, kinds, _RESULT, type=ARROW, null_handling=SPECIAL)
    by_column = ", ".join(_argument(name, field) for name, field in zip(names, plan.inputs, strict=True))
    by_row = ", ".join(_argument(f"r.{quote_name(field.name)}", field) for field in plan.inputs)
    for function in FUNCTIONS:
        one = f"(r) AS {_ASK}({by_row}).{function}" if len(names) > 1 else ""
        many = f"({', '.join(names)}) AS {_ASK}({by_column}).{function}"
        connection.execute(f"CREATE OR REPLACE TEMP MACRO {function} {', '.join(filter(None, [one, many]))}")


def call(plan: Plan, function: str = FUNCTIONS[0]) -> str:
    """Return a call of a function written out with its columns."""
    return f"{function}({', '.join(quote_name(field.name) for field in plan.inputs)})"


def quote_name(name: str, mark: str = '"') -> str:
    """Return an identifier as SQL takes it, whatever is in it; MySQL's `mark` is a backtick."""
    return mark + name.replace(mark, mark * 2) + mark


def answer_columns(plan: Plan, columns: Mapping[str, pa.Array]) -> pa.Array:
    """Return the probability and the decision of each row of columns by field name, null for rows of blanks alone.

    Raise InputError for a value that the model cannot read.
    """
    count = len(next(iter(columns.values())))
    block = read_block(plan, columns, count)
    wrong = {row: problems for row, problems in block.problems.items() if problems != (BLANK_ROW,)}
    wrong = {row: problems for row, problems in wrong.items() if not _is_blank(columns, row)}
    if wrong:
        raise InputError(str(next(iter(wrong.values()))[0]))
    bundle = plan.bundle
    encoded = encode(block.rows, bundle.schema, bundle.model.family)
    p = bundle.calibration.apply(bundle.model.probabilities(encoded))
    contact = plan.policy.decide(p, plan.policy.worth(block.rows)).contact
    places = np.full(count, -1, dtype=np.int64)
    places[block.places] = np.arange(len(p))
    answers = pa.StructArray.from_arrays([pa.array(p), pa.array(contact)], fields=list(_ARROW))
    return answers if len(p) == count else answers.take(pa.array(places, mask=places < 0))


def _argument(value: str, field: Field) -> str:
    """Return a column as the function takes it. Where text is read in a format of its own, a number or a date is marked as none."""
    text = f"{value}::{sql_type(field)}"
    if not field.column.has_format:
        return text
    no_text = _NO_TEXT[field.column.name]
    return f"CASE WHEN regexp_matches(typeof({value}), '{no_text}') THEN chr({ord(_MARK)}) || {text} ELSE {text} END"


def _as_landed(field: Field, texts: pa.Array) -> pa.Array:
    """Return a column with the numbers and dates that were marked written in the field's format: published tables hold them plain."""
    if not field.column.has_format or not pc.any(pc.starts_with(texts, _MARK)).as_py():
        return texts
    write = field.column.write
    return pa.array(
        [write(text[1:]) if text is not None and text.startswith(_MARK) else text for text in texts.to_pylist()],
        pa.string(),
    )


def _is_blank(columns: Mapping[str, pa.Array], row: int) -> bool:
    return all(not column[row].is_valid for column in columns.values())


def sql_type(field: Field) -> str:
    """Return the type of an argument: that of the canonical column, or text where a format says how text is read."""
    if field.is_worth or field.kind == NUMBER.name:
        return "DOUBLE"
    return "DATE" if field.kind == DATE.name else "VARCHAR"
