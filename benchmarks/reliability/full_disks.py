"""Full disks: a command is told how little room is left, and works once there is some."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path

from benchmarks.reliability.disks import fill, mounted
from benchmarks.reliability.home import Homes
from benchmarks.reliability.kills import bad_words, before_and_after, command_of, problems_after
from benchmarks.reliability.trial import Kind, Trial

_SIZE = "160m"
_LEAST, _GROWTH = 4096, 1.17  # bytes left: none three times, then a little more each time


def try_full_disk(verb: str, left: int) -> Callable[[Homes, Path], list[str]]:
    """Return a trial: a command with so many bytes left on its disk."""

    def run(homes: Homes, folder: Path) -> list[str]:
        before, after = before_and_after(homes, verb)
        disk = folder / "disk"
        with mounted(disk, "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs"):
            home = replace(before.copy(disk / "root"), output=folder)
            try:
                taken = fill(disk, left)
                ended = home.churn(*command_of(verb))
                problems = bad_words(ended)
                if ended.code == 1 and "free some" not in ended.said.lower():
                    problems.append(f"nothing about room: {ended.said[-1000:]}")
                taken.unlink()
                return problems + problems_after(home, command_of(verb), after)
            finally:
                home.end_all()

    return run


def _trials(count: int) -> Iterator[Trial]:
    verbs = cycle(("score", "retrain", "rollback"))
    for number in range(count):
        verb, left = next(verbs), 0 if number < 3 else int(_LEAST * _GROWTH**number)
        yield Trial(f"{verb}: {left:,} bytes left", try_full_disk(verb, left))


FULL_DISKS = Kind(
    name="full disks",
    what="from none to 9 MB are left: the command says so in words, and ends as if nothing had happened once there is room",
    count=50,
    trials=_trials,
)
