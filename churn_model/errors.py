"""What can go wrong in the model's code, drawn once.

ChurnError              whatever this project says on purpose; anything else is a fault of ours
├── SpecError           a dataset's description cannot be used
├── InputError          landed data cannot be used as it stands
├── TooLittleData       there is too little to fit or to judge
└── BundleError         a bundle cannot be loaded, or no longer computes what it computed when it was made

A message says what was expected, what was found and what to do. Where several things are wrong, all are in it.
"""

from collections.abc import Sequence
from typing import NamedTuple


class ChurnError(Exception):
    """The base of every error that is meant to be read by a user."""


class SpecError(ChurnError):
    """A dataset's description cannot be used."""


class InputError(ChurnError):
    """Landed data cannot be used as it stands."""


class TooLittleData(ChurnError):
    """There is too little data to fit or to judge."""


class BundleError(ChurnError):
    """A bundle cannot be loaded, or no longer computes what it computed when it was made."""


def problem(*, expected: str, found: str, todo: str) -> str:
    """One problem in the order a reader needs it."""
    return f"expected {expected}; found {found}; {todo}"


class Unmet(NamedTuple):
    """A problem in its parts, for what puts several into one sentence."""

    expected: str
    found: str
    todo: str

    def __str__(self) -> str:
        return problem(expected=self.expected, found=self.found, todo=self.todo)


def listed(problems: Sequence[str]) -> str:
    """All problems at once: a line each."""
    return problems[0] if len(problems) == 1 else "\n".join(f"{n}. {text}" for n, text in enumerate(problems, 1))
