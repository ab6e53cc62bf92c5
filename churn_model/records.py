"""Convert frozen dataclasses to JSON and back.

    to_plain(value)          dataclasses, arrays, tuples and mappings as what JSON can hold
    from_plain(kind, value)  the value of type `kind` that `to_plain` wrote, read by its type hints

NaN and infinities are written as None, which a float reads as NaN: JSON has neither. A key that is missing reads as the field's default, so a field
added later needs one. A key that is unknown is ignored, so that older code reads newer records; a class whose `__pydantic_config__` forbids
extra keys refuses it. Everything else that does not fit its hint is refused, with the path to it.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NoReturn, TypeVar

import numpy as np

from churn_model.errors import problem

T = TypeVar("T")
_Reader = Callable[[Any, str], Any]


class RecordError(ValueError):
    """A plain value does not fit the type that it is read as."""


def to_plain(value: Any) -> Any:
    """Return `value` as dicts, lists, strings, numbers, booleans and None. Raise TypeError for anything else."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {part.name: to_plain(getattr(value, part.name)) for part in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    if isinstance(value, np.ndarray | np.generic):
        return to_plain(value.tolist())
    if isinstance(value, float):
        return finite(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    raise TypeError(f"cannot write a {type(value).__name__} as JSON")


def finite(number: float | None) -> float | None:
    """Return `number`, or None for NaN and infinities: for metrics, which are numbers and nothing else."""
    return float(number) if number is not None and math.isfinite(number) else None


def from_plain(kind: type[T], value: Any) -> T:
    """Return the `kind` that `value`, read from JSON, describes.

    Types: dataclasses, `tuple[X, ...]` and `tuple[X, Y]`, lists, mappings with text as keys, unions, Literal, numpy arrays, float, int, bool,
    str and Any. Of a union, the first member that fits. Raises RecordError with the path to what does not fit.
    """
    wanted: Any = kind
    read: T = _reader(wanted)(value, "")
    return read


@cache
def _reader(kind: Any) -> _Reader:
    """Return what reads a `kind` from a plain value and its path."""
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    make = _READERS.get(typing.get_origin(kind) or kind)
    if make is None:
        raise TypeError(f"cannot read a {kind} from JSON")
    return make(kind)


def _refuse(path: str, expected: str, value: Any) -> NoReturn:
    shown = repr(value)
    _refuse_found(path, expected, shown if len(shown) <= 60 else f"{shown[:59]}…")


def _refuse_found(path: str, expected: str, found: str) -> NoReturn:
    part = path.removeprefix(".") or "the record"
    raise RecordError(problem(expected=f"{part} to be {expected}", found=found, todo="read what to_plain wrote"))


def _any_reader(kind: Any) -> _Reader:
    return lambda value, path: value


def _float_reader(kind: Any) -> _Reader:
    def read(value: Any, path: str) -> float:
        if value is None:
            return math.nan
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        _refuse(path, "a number", value)

    return read


def _scalar_reader(kind: Any) -> _Reader:
    names = {int: "a whole number", bool: "true or false", str: "text", type(None): "null"}

    def read(value: Any, path: str) -> Any:
        return value if type(value) is kind else _refuse(path, names[kind], value)

    return read


def _array_reader(kind: Any) -> _Reader:
    (dtype,) = typing.get_args(typing.get_args(kind)[1])

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            _refuse(path, "a list of numbers", value)
        try:
            return np.array(value, dtype=dtype)  # None becomes NaN
        except (TypeError, ValueError):
            _refuse(path, "a list of numbers", value)

    return read


def _literal_reader(kind: Any) -> _Reader:
    choices = typing.get_args(kind)

    def read(value: Any, path: str) -> Any:
        fits = [choice for choice in choices if choice == value and type(choice) is type(value)]
        return fits[0] if fits else _refuse(path, f"one of {', '.join(map(str, choices))}", value)

    return read


def _union_reader(kind: Any) -> _Reader:
    # Where a union has None, null is None and not a number that is missing.
    members = sorted(typing.get_args(kind), key=lambda member: member is not type(None))

    def read(value: Any, path: str) -> Any:
        refusals = []
        for member in members:
            try:
                return _reader(member)(value, path)
            except RecordError as error:
                refusals.append(error)
        # The longest path belongs to the member that was meant.
        raise max(refusals, key=lambda error: len(str(error).partition(" to be ")[0]))

    return read


def _sequence_reader(kind: Any) -> _Reader:
    build, arguments = typing.get_origin(kind), typing.get_args(kind)
    is_fixed = build is tuple and arguments[-1] is not Ellipsis

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, list) or (is_fixed and len(value) != len(arguments)):
            _refuse(path, f"a list of {len(arguments)}" if is_fixed else "a list", value)
        kinds = arguments if is_fixed else arguments[:1] * len(value)
        parts = [_reader(each)(part, f"{path}[{n}]") for n, (each, part) in enumerate(zip(kinds, value, strict=True))]
        return parts if build is list else tuple(parts)

    return read


def _mapping_reader(kind: Any) -> _Reader:
    of_part = typing.get_args(kind)[1]

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            _refuse(path, "a mapping", value)
        return {key: _reader(of_part)(part, f"{path}.{key}") for key, part in value.items()}

    return read


def _dataclass_reader(kind: Any) -> _Reader:
    hints = typing.get_type_hints(kind)
    fields = [field for field in dataclasses.fields(kind) if field.init]
    required = {field.name for field in fields if field.default is dataclasses.MISSING is field.default_factory}
    forbids_extra = getattr(kind, "__pydantic_config__", {}).get("extra") == "forbid"

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            _refuse(path, f"a mapping ({kind.__name__})", value)
        missing = sorted(required - value.keys())
        if missing:
            _refuse_found(f"{path}.{missing[0]}", "present", "nothing")
        unknown = sorted(value.keys() - {field.name for field in fields}) if forbids_extra else []
        if unknown:
            _refuse(f"{path}.{unknown[0]}", "absent", value[unknown[0]])
        parts = {
            field.name: _reader(hints[field.name])(value[field.name], f"{path}.{field.name}")
            for field in fields
            if field.name in value
        }
        try:
            return kind(**parts)
        except RecordError:
            raise
        except ValueError as error:
            raise RecordError(f"{path.removeprefix('.') or kind.__name__}: {error}") from error

    return read


_READERS: dict[Any, Callable[[Any], _Reader]] = {
    Any: _any_reader,
    float: _float_reader,
    **dict.fromkeys((int, bool, str, type(None)), _scalar_reader),
    np.ndarray: _array_reader,
    Literal: _literal_reader,
    **dict.fromkeys((types.UnionType, typing.Union), _union_reader),
    **dict.fromkeys((tuple, list, Sequence), _sequence_reader),
    **dict.fromkeys((dict, Mapping), _mapping_reader),
}
