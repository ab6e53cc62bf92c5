"""Derived columns: a small expression language over numeric columns, parsed here and never given to Python's own evaluator.

The grammar is in `expression_parser.py`. Functions: min, max (two or more), abs, sqrt, log1p, is_missing, if(condition, then, otherwise).

NaN is a missing value and makes whatever uses it missing; only `is_missing` and the branch that `if` does not take let it go. What is
no finite number (x / 0, an overflow, the root of a negative) is missing too. A batch and a row give the same bits: both follow one tree
in one order, by operations that IEEE 754 fixes (log1p, which it does not fix, is the C library's in both).
"""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from churn_model.errors import SpecError, problem
from churn_model.spec.expression_parser import (
    LARGEST,
    MAX_LENGTH,
    Call,
    Chain,
    Column,
    Comparison,
    Negative,
    Node,
    Number,
    Parser,
    names_in,
    short,
)

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
_Row = Callable[[Mapping[str, float]], float]
_Operation = Callable[[Any, Any], Any]
_Value = TypeVar("_Value")

_NAN = math.nan
_OPERATIONS: dict[str, _Operation] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True)
class Expression:
    """A compiled expression. `columns` are the names it reads, as first written, each once."""

    text: str
    tree: Node = field(repr=False)  # frozen; its nodes are in expression_parser.py
    columns: tuple[str, ...]
    _row: _Row = field(repr=False, compare=False)

    def evaluate(self, columns: Mapping[str, FloatArray]) -> FloatArray:
        """A value for each row, float64 (n,), from columns of float64 (n,). NaN is missing; nothing is infinite.

        Raises SpecError for a missing column.
        """
        with np.errstate(all="ignore"):
            values = _batch(self.tree, columns)
        size = np.shape(_found(columns, self.columns[0]))
        return np.array(np.broadcast_to(values, size), dtype=np.float64)

    def evaluate_row(self, row: Mapping[str, float]) -> float:
        """The value for one row, equal to the bit to what `evaluate` gives for it. Raises SpecError for a missing column."""
        return self._row(row)


def compile_expression(text: str) -> Expression:
    """The expression that `text` says. Raises SpecError with the position, what was expected, what was found and what to do."""
    if len(text) > MAX_LENGTH:
        raise SpecError(
            problem(
                expected=f"at most {MAX_LENGTH} characters",
                found=str(len(text)),
                todo="split it into several derived columns",
            )
        )
    tree = Parser(text).parsed()
    seen: dict[str, str] = {}
    for name in names_in(tree):
        seen.setdefault(name.strip().lower(), name)
    if not seen:
        raise SpecError(
            problem(
                expected="at least one column",
                found=f"only numbers in {short(text)}",
                todo="name a column, in backquotes where it has blanks: `Day Charge`",
            )
        )
    return Expression(text=text, tree=tree, columns=tuple(seen.values()), _row=_row(tree))


def _found(columns: Mapping[str, _Value], name: str) -> _Value:
    """The column of this name; a name that differs only in case is the same, as it is to a catalogue."""
    try:
        return columns[name]
    except KeyError:
        wanted = name.strip().lower()
        for other, value in columns.items():
            if other.strip().lower() == wanted:
                return value
        raise SpecError(
            problem(
                expected=f"a column {short(name)}",
                found="none of that name",
                todo="correct the name in the expression, or land the column",
            )
        ) from None


# --- a batch


def _finite(values: Any) -> Any:
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, np.nan)


def _batch(node: Node, columns: Mapping[str, FloatArray]) -> Any:
    match node:
        case Number(value):
            return np.float64(value)
        case Column(name):
            return _finite(np.asarray(_found(columns, name), dtype=np.float64))
        case Negative(operand):
            return -_batch(operand, columns)
        case Chain(first, rest):
            total = _batch(first, columns)
            for sign, operand in rest:
                total = _finite(_OPERATIONS[sign](total, _batch(operand, columns)))
            return total
        case Comparison(sign, left, right):
            a, b = _batch(left, columns), _batch(right, columns)
            return np.where(np.isnan(a) | np.isnan(b), np.nan, _OPERATIONS[sign](a, b))
        case Call(function, arguments):
            return _BATCH_FUNCTIONS[function](*(_batch(argument, columns) for argument in arguments))


def _batch_extreme(better: _Operation, *values: Any) -> Any:
    best = values[0]
    for value in values[1:]:
        best = np.where(np.isnan(best) | np.isnan(value), np.nan, np.where(better(best, value), best, value))
    return best


def _batch_log1p(values: Any) -> Any:
    flat = np.atleast_1d(values)
    out = np.full(flat.shape, np.nan)
    defined = flat > -1
    out[defined] = np.fromiter(map(math.log1p, flat[defined].tolist()), dtype=np.float64)
    return out if np.ndim(values) else out[0]


def _batch_if(condition: Any, then: Any, otherwise: Any) -> Any:
    return np.where(np.isnan(condition), np.nan, np.where(condition != 0, then, otherwise))


_BATCH_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": lambda *values: _batch_extreme(operator.le, *values),
    "max": lambda *values: _batch_extreme(operator.ge, *values),
    "abs": np.abs,
    "sqrt": np.sqrt,
    "log1p": _batch_log1p,
    "is_missing": lambda values: np.isnan(values).astype(np.float64),
    "if": _batch_if,
}


# --- a row: closures made once, no numpy


def _row(node: Node) -> _Row:
    match node:
        case Number(value):
            return lambda row: value
        case Column(name):
            return _row_column(name)
        case Negative(operand):
            inner = _row(operand)
            return lambda row: -inner(row)
        case Chain(first, rest):
            return _row_chain(_row(first), tuple((_OPERATIONS[sign], _row(operand)) for sign, operand in rest))
        case Comparison(sign, left, right):
            return _row_comparison(_OPERATIONS[sign], _row(left), _row(right))
        case Call(function, arguments):
            return _ROW_FUNCTIONS[function](*(_row(argument) for argument in arguments))


def _row_column(name: str) -> _Row:
    def value(row: Mapping[str, float]) -> float:
        found = float(row[name] if name in row else _found(row, name))
        return found if -LARGEST <= found <= LARGEST else _NAN

    return value


def _row_chain(first: _Row, rest: tuple[tuple[_Operation, _Row], ...]) -> _Row:
    def value(row: Mapping[str, float]) -> float:
        total = first(row)
        for operation, operand in rest:
            right = operand(row)
            # Only a division meets a zero that matters, and Python raises where IEEE 754 has an infinity or NaN.
            total = _NAN if right == 0 and operation is operator.truediv else operation(total, right)
            if not -LARGEST <= total <= LARGEST:
                total = _NAN
        return total

    return value


def _row_comparison(operation: _Operation, left: _Row, right: _Row) -> _Row:
    def value(row: Mapping[str, float]) -> float:
        a, b = left(row), right(row)
        return _NAN if math.isnan(a) or math.isnan(b) else float(operation(a, b))

    return value


def _row_extreme(better: _Operation, *parts: _Row) -> _Row:
    def value(row: Mapping[str, float]) -> float:
        best = parts[0](row)
        for part in parts[1:]:
            other = part(row)
            if math.isnan(best) or math.isnan(other):
                best = _NAN
            elif not better(best, other):
                best = other
        return best

    return value


def _row_unary(function: Callable[[float], float], above: float) -> Callable[[_Row], _Row]:
    def made(inner: _Row) -> _Row:
        def value(row: Mapping[str, float]) -> float:
            x = inner(row)
            return function(x) if x > above else _NAN

        return value

    return made


def _row_if(condition: _Row, then: _Row, otherwise: _Row) -> _Row:
    def value(row: Mapping[str, float]) -> float:
        holds = condition(row)
        if math.isnan(holds):
            return _NAN
        return then(row) if holds != 0 else otherwise(row)

    return value


def _row_is_missing(inner: _Row) -> _Row:
    def value(row: Mapping[str, float]) -> float:
        x = inner(row)
        return 1.0 if math.isnan(x) else 0.0

    return value


_ROW_FUNCTIONS: dict[str, Callable[..., _Row]] = {
    "min": lambda *parts: _row_extreme(operator.le, *parts),
    "max": lambda *parts: _row_extreme(operator.ge, *parts),
    "abs": _row_unary(abs, -math.inf),
    # The smallest float below 0: the root of 0 (and of -0) is defined.
    "sqrt": _row_unary(math.sqrt, -5e-324),
    "log1p": _row_unary(math.log1p, -1.0),
    "is_missing": _row_is_missing,
    "if": _row_if,
}
