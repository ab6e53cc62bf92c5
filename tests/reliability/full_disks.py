"""Full disks: a command is told how little room is left, and works once there is some."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path

from tests.harness.disks import fill, mounted
from tests.harness.home import Home
from tests.harness.homes import Homes
from tests.reliability.kills import bad_words, before_and_after, command_of, problems_after
from tests.reliability.trial import Kind, Trial

_SIZE = "160m"
_LEAST, _GROWTH, _NONE = 4096, 1.17, 3  # bytes left: none three times, then a little more each time
_IN_A_ROW = 5


def try_full_disks(verb: str, rooms: Sequence[int]) -> Callable[[Homes, Path], list[str]]:
    """Return a trial: a command with so many bytes left on its disk, and again with a little more, until it is done; then a new folder begins."""

    def run(homes: Homes, folder: Path) -> list[str]:
        before, after = before_and_after(homes, verb)
        problems: list[str] = []
        left = list(rooms)
        while left and not problems:
            disk = folder / f"disk-{len(left)}"
            with mounted(disk, "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs"):
                home = replace(before.copy(disk / "root"), output=folder)
                try:
                    done = False
                    while left and not done:
                        done, found = _run_full(home, verb, disk, left.pop(0))
                        problems += found
                    problems += problems_after(home, command_of(verb), after)
                finally:
                    home.end_all()
        return problems

    return run


def _run_full(home: Home, verb: str, disk: Path, room: int) -> tuple[bool, list[str]]:
    """Run the command with so much room. Return whether it could do its work, and what is wrong with what it said."""
    taken = fill(disk, room)
    ended = home.churn(*command_of(verb))
    taken.unlink()
    problems = bad_words(ended)
    if ended.code == 1 and "free some" not in ended.said.lower():
        problems.append(f"nothing about room: {ended.said[-1000:]}")
    return ended.code == 0, [f"{room:,} bytes left: {each}" for each in problems]


def _trials(count: int) -> Iterator[Trial]:
    verbs = cycle(("score", "retrain", "rollback"))
    for number, first in enumerate(range(0, count, _IN_A_ROW)):
        # Each trial has rooms over the whole range, the least first.
        every = range(number, count, -(-count // _IN_A_ROW))
        rooms = [0 if step < _NONE else int(_LEAST * _GROWTH**step) for step in every]
        verb = next(verbs)
        yield Trial(
            f"{verb}: {rooms[0]:,} to {rooms[-1]:,} bytes left, {len(rooms)} times",
            try_full_disks(verb, rooms),
            min(_IN_A_ROW, count - first),
        )


FULL_DISKS = Kind(
    name="full disks",
    what="from none to 9 MB are left: the command says so in words, and ends as if nothing had happened once there is room",
    count=50,
    trials=_trials,
)
