"""Remember what was computed for a value: most values of a table occur in many rows."""

from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MOST_VALUES = 1024
LONGEST = 64
"""Characters of a text that is remembered, so that whoever sends texts cannot fill the memory with them."""


def remember(compute: Callable[P, T]) -> Callable[P, T]:
    """Return `compute`, which is pure, with its latest results kept, but for long texts."""
    remembered = lru_cache(maxsize=MOST_VALUES)(compute)

    def recall(*arguments: P.args, **named: P.kwargs) -> T:
        first = arguments[0]
        if isinstance(first, str) and len(first) > LONGEST:
            return compute(*arguments, **named)
        return remembered(*arguments, **named)  # type: ignore[arg-type]  # texts and days are hashable

    return recall
