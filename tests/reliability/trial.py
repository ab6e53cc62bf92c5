"""What one kind of trouble is: trials that each do harm to a working folder, and say what did not survive it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.harness.homes import Homes


@dataclass(frozen=True)
class Trial:
    """One harm. `run` works in an empty folder and returns what is wrong afterwards: nothing if the harm was survived."""

    name: str
    run: Callable[[Homes, Path], list[str]]
    harms: int = 1  # such as kills in a row


@dataclass(frozen=True)
class Kind:
    """A kind of harm. `trials` returns trials of so many harms, the most telling first, the same ones every time."""

    name: str
    what: str  # what is done, and what has to hold afterwards
    count: int  # of harms in a whole soak
    trials: Callable[[int], Iterable[Trial]]
