"""Working folders prepared once, to be copied, and the rows that are in them."""

import datetime
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from churn_assets.sample.generator import Generator
from resources.file_locks import hold
from resources.settings import PROJECT
from tests.harness.home import Home


def training_rows(rows: int, seed: int = 1729) -> pa.Table:
    """Return rows to learn from."""
    return pa.concat_tables(piece.landed for piece in Generator(seed=seed).training(rows))


def customers_of_month(number: int = 1, rows: int = 300) -> pa.Table:
    """Return rows to score."""
    return pa.concat_tables(piece.landed for piece in Generator().batch(number, rows))


class Homes:
    """Prepared working folders, each made when it is first asked for, or found as another process made it. Work on copies of them.

    All are of the day on which the first was asked for, however long the proofs go on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)

    @cached_property
    def code(self) -> Path:
        """The project's code, copied once: an edit meanwhile would change every version."""
        copy, partial = self._folder / "code", self._folder / "code.partial"
        with hold(self._folder / "code.lock"):
            if copy.exists():
                return copy
            shutil.rmtree(partial, ignore_errors=True)
            for name in ("churn_assets", "churn_model", "jobs", "resources"):
                shutil.copytree(PROJECT / name, partial / name, ignore=shutil.ignore_patterns("__pycache__"))
            for name in ("requirements.lock", "workspace.yaml", "pyproject.toml"):
                shutil.copy(PROJECT / name, partial / name)
            return partial.rename(copy)

    @cached_property
    def day(self) -> str:
        """The day that their pages show."""
        return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"

    def new(self, root: Path) -> Home:
        """Return a folder in which nothing has landed or run."""
        root.mkdir(parents=True)
        home = Home(root, self.code, day=self.day)
        home.describe()
        home.steps_with()
        return home

    def _prepare(self, name: str, make: Callable[[Path], Home]) -> Home:
        root, done = self._folder / self.day / name, self._folder / self.day / f"{name}.done"
        with hold(self._folder / f"{name}.lock"):
            if done.exists():
                return Home(root, self.code, day=self.day)
            shutil.rmtree(root, ignore_errors=True)  # an earlier process died
            home = make(root)
            done.touch()
            return home

    @property
    def landed(self) -> Home:
        """A folder in which training data landed and nothing was made of it."""

        def make(root: Path) -> Home:
            home = self.new(root)
            home.land(training_rows(4000), "customers.csv")
            home.require(1, "rollback", "shop")  # makes Dagster's databases, which takes seconds
            return home

        return self._prepare("landed", make)

    @property
    def retrained(self) -> Home:
        """The same with its first champion."""
        return self._prepare("retrained", lambda root: _after(self.landed.copy(root), "retrain", "shop"))

    @property
    def batch(self) -> Home:
        """The same with a landed batch, monday."""

        def make(root: Path) -> Home:
            home = self.retrained.copy(root)
            home.land(customers_of_month(), "b.csv", batch="monday")
            return home

        return self._prepare("batch", make)

    @property
    def scored(self) -> Home:
        """With that batch scored."""
        return self._prepare("scored", lambda root: _after(self.batch.copy(root), "score", "shop", "monday"))

    @property
    def twice_retrained(self) -> Home:
        """With a champion and one before it, which did not see two columns."""

        def make(root: Path) -> Home:
            home = self.retrained.copy(root)
            home.stop_ignoring()
            return _after(home, "retrain", "shop")

        return self._prepare("twice", make)

    @property
    def rolled_back(self) -> Home:
        """With the first champion again."""
        return self._prepare("back", lambda root: _after(self.twice_retrained.copy(root), "rollback", "shop"))


def _after(home: Home, *arguments: str) -> Home:
    home.require(0, *arguments)
    return home


@contextmanager
def copied(home: Home, root: Path) -> Iterator[Home]:
    """Yield a copy of a prepared folder. At the end, no process of it is left behind, nor the copy."""
    copy = home.copy(root)
    try:
        yield copy
    finally:
        copy.end_all()
        shutil.rmtree(root, ignore_errors=True)
