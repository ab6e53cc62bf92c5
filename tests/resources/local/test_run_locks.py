import fcntl
import threading
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from resources.local.lake import LocalLake
from resources.local.processes import PROCESS_TAG
from resources.local.tables import LocalTables
from resources.ports.lake import Lake
from resources.ports.tables import Tables


def is_held(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def run(
    lake: LocalLake,
    work: Callable[[], None],
    instance: dg.DagsterInstance,
    *,
    partition: str | None = None,
    tags: dict[str, str] | None = None,
    selection: list[dg.AssetKey] | None = None,
) -> dg.ExecuteInProcessResult:
    @dg.asset(key=["shop", "thing"], partitions_def=dg.StaticPartitionsDefinition([partition]) if partition else None)
    def thing(lake: Lake, tables: Tables) -> None:
        work()

    # The tables hold the lake as well: it is set up twice in one run, and takes its turn once.
    resources = {"lake": lake, "tables": LocalTables(lake=lake, database=lake.root + ".duckdb")}
    job = dg.Definitions([thing], resources=resources).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, partition_key=partition, tags=tags, asset_selection=selection)


@pytest.mark.parametrize(
    ("partition", "tags", "selection", "mine", "other"),
    [
        pytest.param(None, {"dataset": "shop"}, None, "retrain", "score", id="a job's retrain"),
        pytest.param("monday", {"dataset": "shop"}, None, "score", "retrain", id="a job's score"),
        pytest.param(
            None, None, [dg.AssetKey(["shop", "thing"])], "retrain", "score", id="an asset materialised by hand"
        ),
    ],
)
def test_a_run_holds_its_turn_and_no_other_as_long_as_it_works(
    lake: LocalLake,
    instance: dg.DagsterInstance,
    partition: str | None,
    tags: dict[str, str] | None,
    selection: list[dg.AssetKey] | None,
    mine: str,
    other: str,
) -> None:
    seen: list[bool] = []
    root = Path(lake.root)
    result = run(
        lake,
        lambda: seen.extend(is_held(root / f".{kind}-shop.lock") for kind in (mine, other)),
        instance,
        partition=partition,
        tags=tags,
        selection=selection,
    )
    assert seen == [True, False]
    assert not is_held(root / f".{mine}-shop.lock")
    assert list(lake.entries("")) == []  # a lock is no object of the lake
    kept = instance.get_run_by_id(result.run_id)
    assert kept is not None
    assert kept.tags[PROCESS_TAG].startswith(f"{result.run_id}/")


def test_who_waits_says_so_and_begins_when_the_other_has_ended(
    lake: LocalLake, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    held = Path(lake.root) / ".retrain-shop.lock"
    held.parent.mkdir(parents=True)
    order = []
    lock = held.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    lock.write("4711")
    lock.flush()

    def ends() -> None:
        order.append("the other ended")
        lock.close()

    threading.Timer(1.0, ends).start()
    run(lake, lambda: order.append("this one worked"), instance, tags={"dataset": "shop"})
    assert order == ["the other ended", "this one worked"]
    assert (
        "Another run of shop is at work (process 4711); this one begins when that has ended." in capfd.readouterr().err
    )


def test_outside_of_a_run_a_lake_waits_for_nobody(lake: LocalLake) -> None:
    with dg.build_resources({"lake": lake}) as built:
        assert built.lake.root == lake.root
    assert not Path(lake.root).exists()
