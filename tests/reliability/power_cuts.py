"""Power cuts: what had reached the disk at one moment of a command is all there is, and the same command ends as if nothing had happened."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyarrow import csv

from tests.harness.disks import Disk
from tests.harness.home import Home
from tests.harness.homes import Homes, customers_of_month
from tests.reliability.kills import (
    FROM_THE_MODEL,
    FROM_THE_START,
    ROLLBACKS,
    SCORES,
    Point,
    before_and_after,
    command_of,
    problems_after,
)
from tests.reliability.trial import Kind, Trial


@dataclass(frozen=True)
class Cut:
    """A moment: at a call of a command, or some seconds after it began, or after it ended."""

    verb: str
    point: Point | None = None
    begun: float | None = None
    ended: float | None = None

    @property
    def name(self) -> str:
        if self.point:
            return self.point.name
        when = f"{self.begun} s after it began" if self.begun is not None else f"{self.ended} s after it ended"
        return f"{self.verb}: {when}"

    def run(self, homes: Homes, folder: Path) -> list[str]:
        """Cut the power, start again, and return what is wrong then."""
        before, after = (homes.retrained, homes.batch) if self.verb == "land" else before_and_after(homes, self.verb)
        command = command_of(self.verb)
        if self.verb == "land":
            csv.write_csv(customers_of_month(), folder / "b.csv")
            command = ("land", "shop", str(folder / "b.csv"), "--batch", "monday")
        disk = Disk(folder)
        home = before.copy(disk.path / "root")
        try:
            disk.flush()
            self._reach(home, command)
            copy = disk.copy()
            home.end_all()
            disk.cut(copy)
            home = Home(home.root, home.code, day=home.day)
            home.steps_with()
            return problems_after(home, command, after)
        finally:
            home.end_all()
            disk.detach()

    def _reach(self, home: Home, command: tuple[str, ...]) -> None:
        """Run the command to the moment of the cut."""
        plan = {**self.point.plan(home.root), "then": "wait"} if self.point else None
        run = home.start(*command, plan=plan)
        if self.begun is not None:
            time.sleep(self.begun)
        elif plan is None:
            home.end_of(run)
            time.sleep(self.ended or 0)
        else:
            while not Path(plan["mark"]).exists():
                if run.poll() is not None:
                    raise RuntimeError(f"{self.name}: not reached:\n{home.end_of(run).said}")
                time.sleep(0.05)


def _points() -> Iterator[Cut]:
    """Yield the moments at which most is written and least may have reached the disk."""
    names = (
        "score: after the list entered the ledger",
        "retrain: after the champion's pointer moved, before the decision is recorded",
        "rollback: after the champion's pointer moved, before the decision is recorded",
        "retrain: before the table of raw_customers",
        "score: after the batch's record",
        "score: after the pointer of retention_list",
        "retrain: after the model's pointer, before the evaluation starts",
        "retrain: after the decision is recorded, before the run ends",
        "score: before the pointer of batch_predictions",
        "rollback: after its last write, before the run ends",
    )
    points = {point.name: point for point in (*FROM_THE_START, *FROM_THE_MODEL, *SCORES, *ROLLBACKS)}
    for name in names:
        yield Cut(name.partition(":")[0], points[name])


CUTS = (
    Cut("retrain", ended=0),
    Cut("score", ended=0),
    *_points(),
    Cut("land", ended=0),
    Cut("rollback", ended=0),
    Cut("retrain", ended=3),
    Cut("score", ended=3),
    Cut("retrain", begun=5),
    Cut("score", begun=4),
    Cut("land", begun=1),
    Cut("land", ended=3),
)


def _trials(_: int) -> Iterator[Trial]:
    for cut in CUTS:
        yield Trial(cut.name, cut.run)


POWER_CUTS = Kind(
    name="power cuts",
    what="the image of an ext4 file system is copied while a command runs, or after it, and mounted: its journal is replayed, and the same "
    "command ends as if nothing had happened",
    count=len(CUTS),
    trials=_trials,
)
