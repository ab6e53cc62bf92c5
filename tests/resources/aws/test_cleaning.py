"""In a bucket too, what nobody needs is removed; what a run on another machine has just named, or makes again, stays."""

import io
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.aws.jobs.kinds import TRAINING
from resources.aws.lake import S3Lake
from resources.aws.tables import AthenaTables
from resources.catalog import cleaning
from resources.catalog.cleaning import find_unused_versions, remove_shared
from resources.catalog.integrity import find_whole
from resources.catalog.layout import require_layout
from resources.catalog.names import current_key
from resources.catalog.pointers import Current, point_to
from resources.catalog.verification import verify_dataset
from tests.aws.sagemaker.running import ROLE, running_jobs
from tests.aws.sagemaker.service import Job
from tests.aws.tables import make_aws_tables
from tests.conftest import Workspace
from tests.resources.catalog.cleaned_lake import SOON, make_lake, publish

SPEC = """\
id: id
label: {column: left, positive: ["1"], means: left}
costs: {false_negative: 5, false_positive: 1, true_positive: 1, true_negative: 0}
"""
Meanwhile = Callable[[Callable[[], object]], None]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Return what takes an act of another machine: it happens while the removal waits."""

    def take(act: Callable[[], object]) -> None:
        def wait(seconds: float) -> None:
            assert seconds == cleaning.HANDOVER_SECONDS
            act()

        monkeypatch.setattr("resources.catalog.cleaning.sleep", wait)

    return take


@pytest.fixture
def tables(aws_lake: S3Lake) -> AthenaTables:
    return make_aws_tables(aws_lake)


def show_in_athena(lake: S3Lake, tables: AthenaTables, prefix: str, batch: str | None = None) -> str:
    rows = io.BytesIO()
    pq.write_table(pa.table({"id": ["a"]}), rows)
    lake.put(f"{prefix}rows/part-00000.parquet", rows.getvalue())
    _, kind, *_, version = prefix.strip("/").split("/")
    tables.publish("shop", kind, version, f"{prefix}rows/", batch)
    return prefix


def test_what_nothing_names_is_removed_and_what_a_table_shows_is_not(
    aws_lake: S3Lake, tables: AthenaTables, meanwhile: Meanwhile
) -> None:
    unused = make_lake(aws_lake)
    shown = {show_in_athena(aws_lake, tables, "shop/raw_batch/b/old/", "b")}
    shown |= {show_in_athena(aws_lake, tables, "shop/raw_batch/gone/old/", "gone")}
    shown |= {show_in_athena(aws_lake, tables, "shop/raw_customers/old/")}
    assert sorted(tables.shown("shop")) == sorted(f"{prefix}rows/" for prefix in shown)
    meanwhile(lambda: None)
    removed = remove_shared(aws_lake, tables, "shop", SOON)
    expected = {*unused, "shop/raw_batch/b/viewed/"} - shown  # no table shows that one here
    assert {each.name for each in removed} == {aws_lake.uri(prefix) for prefix in expected}
    keys = [entry.key for entry in aws_lake.entries("shop/")]
    assert not [key for key in keys if key.startswith(tuple(expected))]
    assert all(find_whole(aws_lake, prefix) for prefix in shown)
    assert verify_dataset(aws_lake, "shop").problems == []
    assert tables.count("shop", "raw_batch") == 2
    assert remove_shared(aws_lake, tables, "shop", SOON) == []


def test_what_a_run_names_or_makes_again_meanwhile_stays(
    aws_lake: S3Lake, tables: AthenaTables, meanwhile: Meanwhile
) -> None:
    copy = publish(aws_lake, "shop/unloaded/then/")
    named = publish(aws_lake, "shop/raw_customers/then/", **{"crm.customers": "then"})
    made, begun, unused = (publish(aws_lake, f"shop/raw_customers/{name}/") for name in ("made", "begun", "unused"))
    before = max(entry.modified for entry in aws_lake.entries("shop/")) + timedelta(seconds=0.5)

    def act() -> None:
        point_to(aws_lake, current_key("shop", "raw_customers"), Current("then", named))
        while datetime.now(before.tzinfo) <= before + timedelta(seconds=1):  # S3 tells whole seconds
            pass
        publish(aws_lake, made)
        aws_lake.put(f"{begun}a", b"1")

    meanwhile(act)
    removed = remove_shared(aws_lake, tables, "shop", before)
    assert [each.name for each in removed] == [aws_lake.uri(unused)]
    assert all(find_whole(aws_lake, prefix) for prefix in (copy, named, made))
    assert find_whole(aws_lake, begun) is None
    assert aws_lake.read(f"{begun}a") == b"1"


def test_the_command_shows_before_it_removes_and_waits_for_running_jobs(aws_lake: S3Lake, tmp_path: Path) -> None:
    stack = "clean"
    make_aws_tables(aws_lake, stack)
    require_layout(aws_lake)
    make_lake(aws_lake)
    before = [entry.key for entry in aws_lake.entries("")]
    workspace = Workspace(tmp_path)
    workspace.settings |= {
        "CHURN_TARGET": "aws",
        "CHURN_LAKE": aws_lake.uri("").rstrip("/"),
        "CHURN_STACK": stack,
        "CHURN_ROLE": ROLE,
    }
    workspace.write_spec("shop", SPEC)
    assert workspace.churn("clean", "shop", "--older-than", "0.5", "--yes") == 2
    assert "--older-than of at least 1 day for a lake on S3; found less" in workspace.output
    assert workspace.churn("clean", "shop") == 0
    assert "Nothing was removed. To remove what is listed, add --yes." in workspace.output
    with running_jobs(aws_lake, tmp_path / "jobs") as sagemaker:
        job = Job(TRAINING, {"TrainingJobName": f"{stack}-shop-train-v1-0"})
        job.to("InProgress", CreationTime=0.0)
        sagemaker.jobs["TrainingJob", job.name] = job
        assert workspace.churn("clean", "shop", "--yes") == 2
        assert "no job of shop to be running; found clean-shop-train-v1-0. Wait until it has ended" in workspace.output
        job.to("Completed")
        assert workspace.churn("clean", "shop", "--yes") == 0
        assert "shop: 0 unused versions" in workspace.output
    assert [entry.key for entry in aws_lake.entries("")] == before


def test_what_ends_the_removal_before_its_time_leaves_every_version_whole(
    aws_lake: S3Lake, tables: AthenaTables, meanwhile: Meanwhile
) -> None:
    make_lake(aws_lake)
    meanwhile(lambda: None)
    unused = [each.name for each in find_unused_versions(aws_lake, "shop", tables.shown("shop"), SOON)]
    whole = [entry.key for entry in aws_lake.entries("shop/")]

    def interrupt() -> None:
        assert [entry.key for entry in aws_lake.entries("shop/")] != whole
        raise KeyboardInterrupt

    meanwhile(interrupt)
    with pytest.raises(KeyboardInterrupt):
        remove_shared(aws_lake, tables, "shop", SOON)
    assert [entry.key for entry in aws_lake.entries("shop/")] == whole
    assert [each.name for each in find_unused_versions(aws_lake, "shop", tables.shown("shop"), SOON)] == unused


def test_the_list_is_that_of_what_is_removed(aws_lake: S3Lake, tables: AthenaTables, meanwhile: Meanwhile) -> None:
    make_lake(aws_lake)
    meanwhile(lambda: None)
    would = find_unused_versions(aws_lake, "shop", tables.shown("shop"), SOON)
    assert [(each.name, each.size) for each in remove_shared(aws_lake, tables, "shop", SOON)] == [
        (each.name, each.size) for each in would
    ]
