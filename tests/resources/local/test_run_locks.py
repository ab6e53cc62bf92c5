import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableJob

from resources.file_locks import is_held
from resources.local.run_locks import PROCESS_TAG, LocalRunLocks
from resources.ports.run_locks import LOCK_TAG, RunLocks

PROJECT = Path(__file__).resolve().parents[3]
S = dg.DagsterRunStatus
CLAIM = """
import sys
from resources.local.run_locks import PROCESS_TAG, LocalRunLocks
print(LocalRunLocks(folder=sys.argv[1]).run_tags("killed")[PROCESS_TAG], flush=True)
input()
"""


@pytest.fixture
def dead_process(run_locks: LocalRunLocks) -> str:
    """The tag's value of a dead process that had claimed the run `killed`: its file is left, and nobody holds it."""
    processes = Path(run_locks.folder, "processes")
    processes.mkdir(parents=True)
    (processes / "dead").touch()
    return "killed/dead"


def test_a_process_holds_its_file_until_it_is_killed(run_locks: LocalRunLocks, instance: dg.DagsterInstance) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIM, run_locks.folder], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    tag = process.stdout.readline().decode().strip()
    instance.add_run(dg.DagsterRun("job", "killed", tags={PROCESS_TAG: tag}, status=S.STARTED))
    assert run_locks.fail_abandoned(instance) == []
    process.kill()
    process.communicate()
    assert run_locks.fail_abandoned(instance) == ["killed"]
    assert list(Path(run_locks.folder, "processes").iterdir()) == []


def execute(
    run_locks: LocalRunLocks,
    work: Callable[[], object],
    instance: dg.DagsterInstance,
    tags: dict[str, str] | None = None,
) -> dg.DagsterRun:
    @dg.asset(key=["shop", "thing"])
    def thing(run_locks: RunLocks) -> None:
        work()

    job = dg.Definitions([thing], resources={"run_locks": run_locks}).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, tags=tags, asset_selection=[dg.AssetKey(["shop", "thing"])])
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    return run


@pytest.mark.parametrize(
    ("tags", "held"),
    [
        ({LOCK_TAG: "shop/retrain"}, {"shop%2Fretrain.lock"}),
        ({LOCK_TAG: "shop/score"}, {"shop%2Fscore.lock"}),
        ({LOCK_TAG: "../../x"}, {"..%2F..%2Fx.lock"}),
        (None, {"shop%2Fretrain.lock", "shop%2Fscore.lock"}),
    ],
)
def test_a_run_holds_its_locks_and_no_other_until_it_ends(
    run_locks: LocalRunLocks, instance: dg.DagsterInstance, tags: dict[str, str] | None, held: set[str]
) -> None:
    def held_now() -> set[str]:
        return {path.name for path in Path(run_locks.folder).rglob("*.lock") if is_held(path)}

    seen: list[set[str]] = []
    run = execute(run_locks, lambda: seen.append(held_now()), instance, tags)
    assert seen == [held]
    assert held_now() == set()
    assert run.tags[PROCESS_TAG].startswith(f"{run.run_id}/")


def test_a_run_that_waits_says_for_what_and_begins_when_the_other_has_ended(
    run_locks: LocalRunLocks,
    instance: dg.DagsterInstance,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = Path(run_locks.folder) / "shop%2Fretrain.lock"
    held.parent.mkdir(parents=True)
    order = []
    lock = held.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    lock.write("4711")
    lock.flush()

    def end(_seconds: float) -> None:
        order.append("the other ended")
        lock.close()

    monkeypatch.setattr("resources.local.run_locks.time", SimpleNamespace(sleep=end))  # once it waits
    execute(run_locks, lambda: order.append("this one worked"), instance, {LOCK_TAG: "shop/retrain"})
    assert order == ["the other ended", "this one worked"]
    assert "Waiting for another run to end: process 4711 holds the lock shop/retrain." in capfd.readouterr().err


@pytest.mark.parametrize("status", [S.NOT_STARTED, S.STARTING, S.STARTED, S.CANCELING, S.SUCCESS])
def test_an_unfinished_run_is_failed_once_its_process_is_gone(
    run_locks: LocalRunLocks, instance: dg.DagsterInstance, dead_process: str, status: dg.DagsterRunStatus
) -> None:
    instance.add_run(dg.DagsterRun("job", "killed", tags={PROCESS_TAG: dead_process}, status=status))
    instance.add_run(dg.DagsterRun("job", "alive", tags=dict(run_locks.run_tags("alive")), status=status))
    expected = [] if status is S.SUCCESS else ["killed"]
    assert run_locks.fail_abandoned(instance) == expected
    ended = {run.run_id: (run.status, run_locks.was_abandoned(run)) for run in instance.get_runs()}
    assert ended == {"killed": (S.FAILURE, True) if expected else (status, False), "alive": (status, False)}
    assert run_locks.fail_abandoned(instance) == []


def test_a_re_execution_is_not_taken_for_the_dead_run_whose_tags_it_copies(
    run_locks: LocalRunLocks, instance: dg.DagsterInstance, dead_process: str
) -> None:
    instance.add_run(
        dg.DagsterRun("job", "again", tags={PROCESS_TAG: dead_process, "churn/abandoned": "killed"}, status=S.STARTED)
    )
    assert run_locks.fail_abandoned(instance) == []
    run = instance.get_run_by_id("again")
    assert run is not None
    assert not run_locks.was_abandoned(run)


def test_a_run_of_this_home_that_was_launched_and_never_claimed_is_failed_after_a_while(
    run_locks: LocalRunLocks, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    ours = {LOCK_TAG: "shop/score", **run_locks.job_tags()}
    elsewhere = LocalRunLocks(folder=str(tmp_path / "another copy of the project" / "locks"))
    for run_id, status, tags in [
        ("launched", S.STARTING, ours),
        ("created", S.NOT_STARTED, ours),
        ("executed by another process", S.STARTED, {**ours, PROCESS_TAG: "executed by another process/another"}),
        ("foreign", S.STARTING, {}),
        ("of another copy", S.STARTED, {LOCK_TAG: "shop/score", **elsewhere.job_tags()}),
        ("with a process per step, none begun", S.STARTED, {LOCK_TAG: "shop/score"}),
    ]:
        instance.add_run(dg.DagsterRun("job", run_id, tags=tags, status=status))
    assert run_locks.fail_abandoned(instance) == []
    assert run_locks.fail_abandoned(instance, unclaimed_after=timedelta(hours=1)) == []
    assert run_locks.fail_abandoned(instance, unclaimed_after=timedelta(seconds=-1)) == ["launched"]


@dg.asset(key=["shop", "thing"])
def thing(run_locks: RunLocks) -> None:
    """Executed by a process of its own, which ends before the run does."""


def job_in_processes() -> dg.JobDefinition:
    run_locks = LocalRunLocks(folder=os.environ["LOCKS"])
    job = dg.define_asset_job("thing", executor_def=dg.multiprocess_executor, tags={LOCK_TAG: "shop/retrain"})
    return dg.Definitions([thing], jobs=[job], resources={"run_locks": run_locks}).resolve_job_def("thing")


def test_the_end_of_a_step_s_own_process_is_not_the_end_of_its_run(
    run_locks: LocalRunLocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKS", run_locks.folder)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        # By its file: a library may bring a package named `tests`, which its own processes would find first.
        job = ReconstructableJob.for_file(__file__, job_in_processes.__name__)
        run_id = dg.execute_job(job, instance=instance).run_id
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert (run.status, run.tags[PROCESS_TAG]) == (S.SUCCESS, f"{run_id}/another")
