"""What the functions of an expression do: to arrays, and to floats without numpy, with the same bits."""

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LARGEST = 1.7976931348623157e308

Operation = Callable[..., Any]


class Function(NamedTuple):
    """What a function does to arrays, and to floats."""

    of_batch: Operation
    of_row: Operation


def finite(values: Any) -> Any:
    """Return the values with NaN for what is infinite."""
    mask = np.isfinite(values)
    return values if mask.all() else np.where(mask, values, np.nan)


def finite_float(value: float) -> float:
    """Return the value, or NaN if it is infinite."""
    return value if -LARGEST <= value <= LARGEST else math.nan


def _arithmetic(operation: Operation) -> Function:
    def of_row(a: float, b: float) -> float:
        # Only a division by zero matters: Python raises, where IEEE 754 has an infinity or NaN.
        return math.nan if b == 0 and operation is operator.truediv else finite_float(operation(a, b))

    return Function(lambda a, b: finite(operation(a, b)), of_row)


def _comparison(operation: Operation) -> Function:
    return Function(
        lambda a, b: np.where(np.isnan(a) | np.isnan(b), np.nan, operation(a, b)),
        lambda a, b: math.nan if math.isnan(a) or math.isnan(b) else float(operation(a, b)),
    )


def _extreme(better: Operation) -> Function:
    def of_batch(best: Any, *values: Any) -> Any:
        for value in values:
            best = np.where(np.isnan(best) | np.isnan(value), np.nan, np.where(better(best, value), best, value))
        return best

    def of_row(best: float, *values: float) -> float:
        for value in values:
            best = math.nan if math.isnan(best) or math.isnan(value) else best if better(best, value) else value
        return best

    return Function(of_batch, of_row)


def _unary(of_batch: Operation, of_float: Callable[[float], float], above: float = -math.inf) -> Function:
    return Function(of_batch, lambda x: of_float(x) if x > above else math.nan)


def _log1p_batch(values: Any) -> Any:
    flat = np.atleast_1d(values)
    out = np.full(flat.shape, np.nan)
    defined = flat > -1
    out[defined] = np.fromiter(map(math.log1p, flat[defined].tolist()), dtype=np.float64)
    return out if np.ndim(values) else out[0]


def _if_batch(condition: Any, then: Any, otherwise: Any) -> Any:
    return np.where(np.isnan(condition), np.nan, np.where(condition != 0, then, otherwise))


def _if_row(condition: float, then: float, otherwise: float) -> float:
    return math.nan if math.isnan(condition) else then if condition != 0 else otherwise


OPERATIONS: dict[str, Function] = {
    "min": _extreme(operator.le),
    "max": _extreme(operator.ge),
    "abs": _unary(np.abs, abs),
    "sqrt": _unary(
        np.sqrt, math.sqrt, above=-5e-324
    ),  # the smallest float below 0: the root of 0 (and of -0) is defined
    "log1p": _unary(_log1p_batch, math.log1p, above=-1.0),
    "is_missing": Function(lambda x: np.isnan(x).astype(np.float64), lambda x: 1.0 if math.isnan(x) else 0.0),
    "if": Function(_if_batch, _if_row),
    "negative": Function(operator.neg, operator.neg),
    **{
        sign: _arithmetic(by)
        for sign, by in zip("+-*/", (operator.add, operator.sub, operator.mul, operator.truediv), strict=True)
    },
    ">=": _comparison(operator.ge),
    "<=": _comparison(operator.le),
    ">": _comparison(operator.gt),
    "<": _comparison(operator.lt),
    "==": _comparison(operator.eq),
    "!=": _comparison(operator.ne),
}
