"""The working folder: closed to other users, whatever the umask, and whoever made it before."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from churn_assets.cli.workspace import keep_event_log_open
from tests.conftest import Workspace

SPEC = "id: id\nlabel: {column: left, positive: ['yes']}\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    before = os.umask(0)
    try:
        made = Workspace(tmp_path)
        made.write_spec("shop", SPEC)
        (tmp_path / "a.csv").write_text("id,left\n1,yes\n")
        yield made
    finally:
        os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    paths = [folder, *folder.rglob("*")]
    return [
        str(path) for path in paths if not path.is_symlink() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]


def test_what_lands_and_its_folders_are_for_their_owner_alone(workspace: Workspace) -> None:
    assert workspace.churn("land", "shop", workspace.root / "a.csv") == 0
    assert (workspace.root / "home/lake/landing/shop/train/a.csv").exists()
    assert open_to_others(workspace.root / "home") == []


def test_a_working_folder_from_before_is_closed_and_stays_usable(workspace: Workspace) -> None:
    home = workspace.root / "home"
    home.mkdir(0o755)
    assert workspace.churn("land", "shop", workspace.root / "a.csv") == 0
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_spec_that_a_command_writes_can_be_read_by_others(workspace: Workspace) -> None:
    rows = "".join(f"{n},{n % 7},{'yes' if n % 3 else 'no'}\n" for n in range(60))
    (workspace.root / "b.csv").write_text("id,calls,left\n" + rows)
    workspace.churn("new", "other", workspace.root / "b.csv")
    assert stat.S_IMODE((workspace.root / "datasets/other.yaml").stat().st_mode) == 0o644


@pytest.mark.parametrize("text", ["{{{", "storage: 3"])
def test_settings_of_dagster_that_cannot_be_used_are_said_in_words(workspace: Workspace, text: str) -> None:
    dagster = workspace.root / "home/dagster"
    dagster.mkdir(parents=True)
    (dagster / "dagster.yaml").write_text(text)
    assert workspace.churn("status") == 2
    assert f"Expected settings of Dagster in {dagster / 'dagster.yaml'}; found " in workspace.output


def test_the_journals_of_a_runs_events_stay_open_until_it_ends(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run = dg.DagsterRun(job_name="any")
        journals = [tmp_path / "history" / "runs" / f"{name}.db-wal" for name in ("index", run.run_id)]
        with keep_event_log_open(instance, run.run_id):
            instance.report_engine_event("the first event", run)
            assert [journal.exists() for journal in journals] == [True, True]
        assert [journal.exists() for journal in journals] == [False, False]
        (event,) = instance.all_logs(run.run_id)
        assert event.message == "the first event"


def test_a_runs_events_are_left_to_the_journal_until_it_ends_and_no_others(tmp_path: Path) -> None:
    def level(instance: dg.DagsterInstance) -> int:
        storage = instance.event_log_storage
        assert isinstance(storage, SqliteEventLogStorage)
        with storage.index_connection() as connection:
            return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())

    full, normal = 2, 1  # SQLite's numbers
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        with keep_event_log_open(instance, dg.DagsterRun(job_name="any").run_id):
            during = level(instance)
        assert (during, level(instance)) == (normal, full)
