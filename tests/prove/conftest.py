"""Fixtures of the proofs on real processes: prepared working folders, and copies of them that leave no process behind."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from tests.harness.home import Home
from tests.harness.homes import Homes, customers_of_month, training_rows
from tests.prove.text_batches import SCORED, Batch, as_text, land, predictions


@pytest.fixture(scope="session")
def training() -> Callable[[int], pa.Table]:
    """Rows to learn from."""
    return training_rows


@pytest.fixture(scope="session")
def customers() -> Callable[..., pa.Table]:
    """Rows to score: how many, and of which month."""
    return lambda rows=300, number=1: customers_of_month(number, rows)


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """The prepared working folders, which the workers of a session share."""
    own = tmp_path_factory.getbasetemp()
    return Homes((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "homes")


@pytest.fixture(scope="session")
def landed_home(homes: Homes) -> Home:
    """A folder in which training data landed and nothing was made of it."""
    return homes.landed


@pytest.fixture(scope="session")
def retrained_home(homes: Homes) -> Home:
    """The same, undisturbed, with its first champion."""
    return homes.retrained


@pytest.fixture
def new_home(homes: Homes, tmp_path: Path) -> Iterator[Callable[[], Home]]:
    """Makes folders in which nothing has landed or run, and leaves no process of them behind."""
    made: list[Home] = []

    def make() -> Home:
        made.append(homes.new(tmp_path / f"new{len(made)}"))
        return made[-1]

    yield make
    for home in made:
        home.end_all()


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[Callable[[Home], Home]]:
    """Makes a test's own copy of a prepared folder, and leaves no process of it behind."""
    made: list[Home] = []

    def copy(home: Home) -> Home:
        made.append(home.copy(tmp_path / f"copy{len(made)}"))
        return made[-1]

    yield copy
    for home in made:
        home.end_all()


@pytest.fixture(scope="session")
def batch() -> Batch:
    """Customers of a month as text."""
    return as_text(customers_of_month(1, SCORED))


@pytest.fixture(scope="session")
def clean(retrained_home: Home, batch: Batch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, float]]:
    """What the champion says of the batch as it should be."""
    home = retrained_home.copy(tmp_path_factory.mktemp("clean"))
    land(home, "clean", {"a.csv": batch.text()})
    assert home.churn("score", "shop", "clean").code == 0
    found = predictions(home, "clean")
    assert sorted(found) == sorted(batch.ids)
    yield found
    home.end_all()
