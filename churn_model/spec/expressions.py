"""Derived columns: a small expression language over numeric columns.

The text is parsed by Python's own parser, and only a few kinds of node are allowed; Python never evaluates it. Columns are bare
names (letters, digits, _) or any text between backquotes, a backquote inside one doubled. There are + - * /, one comparison (< > <= >= ==
!=: 1 if it holds, else 0), and the functions min, max, abs, sqrt, log1p, is_missing and if(condition, then, otherwise).

NaN is a missing value and makes whatever uses it missing; only `is_missing` and the branch that `if` does not take are exempt. A result
that is not finite (x / 0, an overflow, the root of a negative number) is missing too. A batch and a single row give the same bits: both run
one list of operations in one order, and IEEE 754 fixes each of them (not log1p, which is the C library's in both).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from churn_model.arrays import FloatArray
from churn_model.errors import SpecError, problem
from churn_model.spec.column_names import name_key
from churn_model.spec.expression_operations import OPERATIONS, Function, Operation, finite, finite_float
from churn_model.spec.expression_parser import MAX_LENGTH, Step, parse_expression, short

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Expression:
    """A compiled expression. `columns` are the names it reads, as first written, each once."""

    text: str
    columns: tuple[str, ...]
    _steps: tuple[Step, ...] = field(repr=False, compare=False)

    def evaluate(self, columns: Mapping[str, FloatArray]) -> FloatArray:
        """Return a value for each row, float64 (n,), from columns of float64 (n,). NaN is missing; nothing is infinite.

        Raise SpecError for a missing column.
        """

        def column(name: str) -> Any:
            return finite(np.asarray(_find(columns, name), dtype=np.float64))

        with np.errstate(all="ignore"):
            values = self._run(np.float64, column, lambda function: function.of_batch)
        size = np.shape(_find(columns, self.columns[0]))
        return np.array(np.broadcast_to(values, size), dtype=np.float64)

    def evaluate_row(self, row: Mapping[str, float]) -> float:
        """Return the value for one row, bit for bit what `evaluate` gives for it. Raise SpecError for a missing column."""

        def column(name: str) -> float:
            return finite_float(float(row[name] if name in row else _find(row, name)))

        return float(self._run(float, column, lambda function: function.of_row))

    def _run(
        self, number: Callable[[float], Any], column: Callable[[str], Any], pick: Callable[[Function], Operation]
    ) -> Any:
        stack: list[Any] = []
        for kind, operand, arity in self._steps:
            if kind == "function":
                arguments = stack[-arity:]
                del stack[-arity:]
                stack.append(pick(OPERATIONS[operand])(*arguments))
            else:
                stack.append(number(operand) if kind == "number" else column(operand))
        return stack.pop()


def compile_expression(text: str) -> Expression:
    """Compile an expression. Raise SpecError with the position, what was expected, what was found and what to do."""
    if len(text) > MAX_LENGTH:
        todo = "split it into several derived columns"
        raise SpecError(problem(expected=f"at most {MAX_LENGTH} characters", found=str(len(text)), todo=todo))
    steps = parse_expression(text)
    columns: dict[str, str] = {}
    for step in steps:
        if step.kind == "column":
            columns.setdefault(name_key(step.operand), step.operand)
    if not columns:
        found = f"only numbers in {short(text)}"
        todo = "name a column, in backquotes if it has blanks: `Day Charge`"
        raise SpecError(problem(expected="at least one column", found=found, todo=todo))
    return Expression(text, tuple(columns.values()), tuple(steps))


def _find(columns: Mapping[str, _Value], name: str) -> _Value:
    """Return the column of this name; names that differ only in case are the same, as they are to a catalogue."""
    if name in columns:
        return columns[name]
    for other, value in columns.items():
        if name_key(other) == name_key(name):
            return value
    todo = "correct the name in the expression, or land the column"
    raise SpecError(problem(expected=f"a column {short(name)}", found="none of that name", todo=todo))
