"""What nobody needs any more is found and removed; what anything names never is."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.catalog.cleaning import find_leftovers, find_unused_versions
from resources.catalog.names import ledger_key
from resources.catalog.verification import verify_dataset
from resources.errors import DamagedError
from resources.file_locks import try_lock
from resources.local.lake import LocalLake
from resources.local.runner import LocalRunner
from resources.local.tables import LocalTables
from tests.resources.catalog.cleaned_lake import SOON, make_lake


def found(lake: LocalLake, before: datetime = SOON) -> set[str]:
    unused = find_unused_versions(lake, "shop", ["shop/raw_batch/b/viewed/rows/"], before)
    return {f"{Path(each.name).relative_to(lake.root)}/" for each in unused}


def test_versions_that_nothing_names_are_found_and_no_others(lake: LocalLake) -> None:
    unused = make_lake(lake)
    lake.put("shop/raw_customers/died/rows/part-0.parquet", b"half")  # of a step that died: no version
    lake.put("shop/own_notes/x/y", b"not ours")
    lake.put("other/raw_customers/old/a", b"another dataset's")
    assert found(lake) == {*unused, "shop/raw_customers/died/"}
    assert found(lake, datetime.now(UTC) - timedelta(days=7)) == set()


@pytest.mark.parametrize("killed_in", [None, "withdraw", "discard"])
def test_after_a_removal_that_was_killed_anywhere_all_that_is_named_is_whole(
    lake: LocalLake, killed_in: str | None
) -> None:
    unused = make_lake(lake)
    removals = find_unused_versions(lake, "shop", ["shop/raw_batch/b/viewed/"], SOON)
    for each in removals[:3]:
        each.remove()
    prefix = f"{Path(removals[3].name).relative_to(lake.root)}/"
    if killed_in:  # between the two things that a removal does, and in the middle of the second
        lake.withdraw(prefix)
    if killed_in == "discard":
        Path(lake.uri(prefix + "a")).unlink()
        lake.put(prefix + "rows/b", b"left")
    assert verify_dataset(lake, "shop").problems == []
    left = find_unused_versions(lake, "shop", ["shop/raw_batch/b/viewed/"], SOON)
    assert len(left) == len(unused) - 3
    for each in [*left, *removals]:  # also those that are gone
        each.remove()
    assert found(lake) == set()
    assert verify_dataset(lake, "shop").problems == []


def test_nothing_is_found_where_a_pointer_is_damaged(lake: LocalLake) -> None:
    make_lake(lake)
    Path(lake.uri(ledger_key("shop"))).write_bytes(b"")
    with pytest.raises(DamagedError, match="the ledger of retention lists"):
        found(lake)


def age(path: Path, days: float) -> None:
    os.utime(path, (time.time() - days * 86_400,) * 2, follow_symlinks=False)


def test_partial_files_and_folders_of_steps_are_found_once_they_are_old(lake: LocalLake, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("shop-train-old", "shop-train-new", "shop-train-running", "other-train-old"):
        (runs / name).mkdir(parents=True)
        (runs / name / "log.txt").write_text("x")
        (runs / name / "link").symlink_to(lake.uri("landing/"))
        for path in (runs / name / "log.txt", runs / name / "link", runs / name):
            age(path, 1 if name.endswith("new") else 8)
    (runs / "locks").mkdir()
    running = (runs / "locks" / "shop-train-running-step").open("w")
    assert try_lock(running)
    for key in ("landing/shop/train/.partial-old", "shop/tuned_model/.partial-new", "landing/other/train/.partial-old"):
        path = Path(lake.uri(key))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
        age(path, 8 if key.endswith("old") else 0)
    lake.put("landing/shop/train/a.csv", b"id\n")
    runner = LocalRunner(lake=lake, runs=str(runs), python="python")
    tables = LocalTables(lake=lake, database=str(tmp_path / "tables.duckdb"))
    week_ago = datetime.now(UTC) - timedelta(days=7)
    leftovers = find_leftovers(lake, tables, runner, "shop", week_ago)
    assert [Path(each.name).name for each in leftovers] == ["shop-train-old", ".partial-old"]
    for each in leftovers:
        each.remove()
    assert [entry.key for entry in lake.entries("landing/shop/")] == ["landing/shop/train/a.csv"]
    assert find_leftovers(lake, tables, runner, "shop", week_ago) == []
    assert sorted(path.name for path in runs.iterdir()) == [
        "locks",
        "other-train-old",
        "shop-train-new",
        "shop-train-running",
    ]
    running.close()
