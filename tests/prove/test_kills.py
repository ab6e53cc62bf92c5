"""A run that is killed anywhere can be run again, and ends as if nothing had happened."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from resources.catalog.pointers import read_current
from tests.harness.home import Home
from tests.harness.homes import Homes
from tests.reliability.kills import (
    FROM_THE_MODEL,
    FROM_THE_START,
    ROLLBACKS,
    SCORES,
    Point,
    kill,
    problems_of_point,
)

pytestmark = pytest.mark.prove

Copied = Callable[[Home], Home]


def named(points: tuple[Point, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("point", points, ids=lambda point: point.name)


@pytest.fixture(scope="module")
def trained_home(homes: Homes, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A folder whose retrain was cut before the evaluation."""
    home = homes.landed.copy(tmp_path_factory.mktemp("trained"))
    kill(home, FROM_THE_MODEL[0])
    return home


@pytest.fixture(scope="module")
def batch_home(homes: Homes) -> Home:
    return homes.batch


@pytest.fixture(scope="module")
def scored_home(homes: Homes) -> Home:
    return homes.scored


@named(FROM_THE_START)
def test_a_killed_retrain_goes_on_from_what_landed(
    landed_home: Home, retrained_home: Home, copied: Copied, point: Point
) -> None:
    ends_as_undisturbed(copied(landed_home), point, retrained_home)


@named(FROM_THE_MODEL)
def test_a_killed_retrain_goes_on_from_the_model(
    trained_home: Home, retrained_home: Home, copied: Copied, point: Point
) -> None:
    ends_as_undisturbed(copied(trained_home), point, retrained_home)


@named(SCORES)
def test_a_killed_score_is_completed(batch_home: Home, scored_home: Home, copied: Copied, point: Point) -> None:
    ends_as_undisturbed(copied(batch_home), point, scored_home)


@named(ROLLBACKS)
def test_a_killed_rollback_is_completed_and_not_undone(homes: Homes, copied: Copied, point: Point) -> None:
    ends_as_undisturbed(copied(homes.twice_retrained), point, homes.rolled_back)


def ends_as_undisturbed(home: Home, point: Point, undisturbed: Home) -> None:
    assert problems_of_point(home, point, undisturbed) == []


def test_a_champion_whose_promotion_was_cut_is_known_to_a_later_rollback(trained_home: Home, copied: Copied) -> None:
    """The decision is recorded by whatever run comes next, also by one that promotes another model."""
    home = copied(trained_home)
    (cut,) = (point for point in FROM_THE_MODEL if point.name.endswith("before the decision is recorded"))
    kill(home, cut)
    first = home.champion
    assert first is not None
    home.stop_ignoring()
    assert home.churn("retrain", "shop").code == 0
    assert home.champion is not None
    assert home.champion.version != first.version
    assert home.churn("rollback", "shop").code == 0
    assert home.champion.version == first.version


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_run_ends_its_step_says_so_and_goes_on_the_next_time(
    landed_home: Home, retrained_home: Home, copied: Copied, number: signal.Signals
) -> None:
    home = copied(landed_home)
    (point,) = (point for point in FROM_THE_START if point.name == "retrain: while the step fits")
    plan = point.plan(home.root)
    home.steps_with(plan)
    run = home.start("retrain", "shop")
    while not Path(plan["mark"]).exists():
        assert run.poll() is None
        time.sleep(0.05)
    os.kill(run.pid, number)
    ended = home.end_of(run)
    assert ended.code == 130
    assert "Interrupted. What was published stays" in ended.said
    assert "Traceback" not in ended.said
    assert home.processes() == []
    assert read_current(home.lake, "shop", "tuned_model") is None
    assert home.churn("retrain", "shop").code == 0
    assert home.contents() == retrained_home.contents()


def test_a_table_file_held_by_another_program_is_said_and_the_run_can_be_repeated(
    batch_home: Home, scored_home: Home, copied: Copied
) -> None:
    import duckdb

    home = copied(batch_home)
    with duckdb.connect(str(home.path / "tables.duckdb")):
        ended = home.churn("score", "shop", "monday", plan={"set": {"resources.local.tables:_PATIENCE_SECONDS": 1}})
    assert ended.code == 1
    assert "found it held by another process" in ended.said
    assert "Close that process, or read the database with `duckdb -readonly`" in ended.said
    assert "Traceback" not in ended.said
    assert home.problems() == []
    assert home.churn("score", "shop", "monday").code == 0
    assert home.contents() == scored_home.contents()
