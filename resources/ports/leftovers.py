"""What nothing needs any more, and how it is removed."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Leftover:
    """Something that can be removed: what it is, for a person to read, its size in bytes, and how. Removing it twice does no harm."""

    name: str
    size: int
    remove: Callable[[], object]
