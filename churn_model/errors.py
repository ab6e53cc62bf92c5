"""The errors of the model's code.

ChurnError              base class for expected, user-facing errors; any other exception is a bug
├── SpecError           a dataset's spec cannot be used
├── InputError          landed data cannot be used as it is
├── TooLittleData       there is too little data to fit or to judge
└── BundleError         a bundle cannot be loaded, or its predictions differ from those recorded when it was written

A message says what was expected, what was found and what to do. Where several things are wrong, all are in it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

_MOST_LISTED = 100


class ChurnError(Exception):
    """Base class for expected, user-facing errors."""


class SpecError(ChurnError):
    """A dataset's spec cannot be used."""


class InputError(ChurnError):
    """Landed data cannot be used as it is."""


class TooLittleData(ChurnError):
    """There is too little data to fit or to judge."""


class BundleError(ChurnError):
    """A bundle cannot be loaded, or its predictions differ from those recorded when it was written."""


def problem(*, expected: str, found: str, todo: str) -> str:
    """Return one problem as prose: what was expected, what was found, what to do."""
    return f"Expected {expected}; found {found}. {sentence(todo)}"


def sentence(text: str) -> str:
    """Return `text` with a capital and a full stop; what ends in a command, a list or a mark of its own is left open."""
    closed = text if text.endswith((".", "!", "?", ":", "`", ")")) else f"{text}."
    return closed[:1].upper() + closed[1:]


class Problem(NamedTuple):
    """A problem in its parts, for callers that join several into one sentence."""

    expected: str
    found: str
    todo: str

    def __str__(self) -> str:
        return problem(expected=self.expected, found=self.found, todo=self.todo)


def listed(problems: Sequence[str]) -> str:
    """Return all problems at once, numbered, one per line: the first hundred of them, and how many more there are."""
    if len(problems) == 1:
        return problems[0]
    lines = [f"{n}. {text}" for n, text in enumerate(problems[:_MOST_LISTED], 1)]
    more = len(problems) - _MOST_LISTED
    return "\n".join([*lines, *([f"And {more:,} more."] if more > 0 else [])])


def describe_causes(error: BaseException) -> str:
    """Return the error and all its causes, the outermost first: `OSError: [Errno 28] No space left on device: '/x'`, one per line."""
    return "\n".join(" ".join(f"{type(each).__name__}: {each}".split()) for each in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and not any(each is other for other in seen):
            seen.append(each)
            yield each
            waiting += [each.__context__, each.__cause__]
