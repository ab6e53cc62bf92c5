"""What happens at once ends as if it had happened one after the other."""

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from resources.catalog.pointers import read_batch, read_current
from resources.catalog.published_tables import open_published_table
from resources.ports.lake import MANIFEST

if TYPE_CHECKING:
    from tests.harness.home import Home

pytestmark = pytest.mark.prove


@pytest.fixture
def better_home(
    retrained_home: "Home", copied: Callable[["Home"], "Home"], customers: Callable[..., pa.Table]
) -> "Home":
    """A folder with a champion and a landed batch, in which the next retrain promotes another: it sees two more columns."""
    home = copied(retrained_home)
    home.land(customers(), "b.csv", batch="monday")
    home.stop_ignoring()
    return home


def manifests(home: "Home", folder: str) -> list[dict[str, Any]]:
    keys = [entry.key for entry in home.lake.entries(f"shop/{folder}/") if entry.key.endswith(MANIFEST)]
    return [json.loads(home.lake.read(key)) for key in keys]


def contacted(home: "Home", batch: str) -> set[str]:
    current = read_current(home.lake, "shop", f"retention_list/{batch}")
    assert current is not None
    rows = open_published_table(home.lake, current.prefix + "assignments/").read()
    return set(rows.filter(rows["contacted"])["id"].to_pylist())


def test_two_retrains_at_once_take_turns_and_start_each_step_once(
    landed_home: "Home", retrained_home: "Home", copied: Callable[["Home"], "Home"]
) -> None:
    home = copied(landed_home)
    both = [home.start("retrain", "shop") for _ in range(2)]
    ended = [home.end_of(run) for run in both]
    assert [each.code for each in ended] == [0, 0]
    assert home.steps_started() == ["ingest", "preprocess", "train", "evaluate"]
    assert home.contents() == retrained_home.contents()
    assert sum("Waiting for another run to end" in each.said for each in ended) == 1
    assert home.processes() == []


def test_the_first_commands_of_a_new_folder_may_be_several_at_once(new_home: Callable[[], "Home"]) -> None:
    """Dagster's own databases are made once."""
    for _ in range(3):
        home = new_home()
        several = [home.start("retrain", "shop") for _ in range(3)]
        for run in several:
            assert "Land one: `churn land shop FILE`" in home.end_of(run).said


def test_a_batch_is_scored_by_the_champion_on_its_record_though_another_is_promoted_meanwhile(
    better_home: "Home",
) -> None:
    home, mark = better_home, better_home.root / "reached"
    first = home.champion
    require_batch_record = {
        "call": "resources.local.lake:LocalLake.swap",
        "match": "batches/monday.json",
        "moment": "after",
        "then": "wait",
    }
    score = home.start("score", "shop", "monday", plan={**require_batch_record, "mark": str(mark)})
    while not mark.exists():
        assert score.poll() is None, home.end_of(score).said
        time.sleep(0.05)
    assert home.churn("retrain", "shop").code == 0  # a retrain does not wait for a score
    second = home.champion
    mark.with_suffix(".go").touch()
    assert home.end_of(score).code == 0
    assert first is not None
    assert second is not None
    assert second.version != first.version
    record = read_batch(home.lake, "shop", "monday")
    assert record is not None
    assert record.champion.version == first.version
    (predictions,) = manifests(home, "batch_predictions")
    assert predictions["upstream"] == {"raw_batch": record.rows.version, "champion": first.version}
    assert home.problems() == []

    # From then on it is the new one.
    assert home.churn("score", "shop", "monday").code == 0
    record = read_batch(home.lake, "shop", "monday")
    assert record is not None
    assert record.champion.version == second.version
    assert home.problems() == []


def test_two_scores_of_one_batch_deliver_it_once(better_home: "Home") -> None:
    home = better_home
    both = [home.start("score", "shop", "monday") for _ in range(2)]
    assert [home.end_of(run).code for run in both] == [0, 0]
    assert home.steps_started() == ["ingest", "score", "retention_list", "list_layout"]
    assert [len(manifests(home, folder)) for folder in ("raw_batch", "batch_predictions", "retention_list")] == [
        1,
        1,
        1,
    ]
    assert home.problems() == []


def test_two_batches_at_once_list_no_customer_twice(better_home: "Home", customers: Callable[..., pa.Table]) -> None:
    home = better_home
    home.land(customers(), "c.csv", batch="tuesday")  # the same customers, within the cooldown
    both = [home.start("score", "shop", batch) for batch in ("monday", "tuesday")]
    assert [home.end_of(run).code for run in both] == [0, 0]
    lists = contacted(home, "monday"), contacted(home, "tuesday")
    assert [len(each) for each in lists] == [20, 20]
    assert not lists[0] & lists[1]
    assert home.problems() == []
