"""What every adapter of the run locks promises, whether it holds locks itself or leaves that to Dagster's queue."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

from resources.local.run_locks import LocalRunLocks
from resources.ports.run_locks import LOCK_TAG, LockKind, RunLocks, lock_name, locks_of

RUN_LOCKS: dict[str, Callable[[Path], RunLocks]] = {"local": lambda path: LocalRunLocks(folder=str(path / "locks"))}
LONG_AGO = timedelta(seconds=-1)
S = dg.DagsterRunStatus


@pytest.fixture(params=RUN_LOCKS)
def run_locks(request: pytest.FixtureRequest, tmp_path: Path) -> RunLocks:
    return RUN_LOCKS[request.param](tmp_path)


@pytest.mark.parametrize(
    ("tags", "assets", "expected"),
    [
        pytest.param({LOCK_TAG: "shop/score"}, ["shop"], ["shop/score"], id="a job declares its lock"),
        pytest.param({}, ["shop"], ["shop/retrain", "shop/score"], id="assets materialized by hand"),
        pytest.param(
            {}, ["b", "a"], ["a/retrain", "a/score", "b/retrain", "b/score"], id="in the same order everywhere"
        ),
        pytest.param({}, [], [], id="a run of something else"),
    ],
)
def test_a_run_needs_the_locks_that_it_declares_or_all_that_change_what_others_read(
    tags: dict[str, str], assets: list[str], expected: list[str]
) -> None:
    selection = frozenset(dg.AssetKey([dataset, "thing"]) for dataset in assets)
    run = dg.DagsterRun("job", tags=tags, asset_selection=selection or None)
    assert locks_of(run) == expected


def test_a_run_executes_with_its_tags_and_is_not_abandoned(run_locks: RunLocks, instance: dg.DagsterInstance) -> None:
    found: list[object] = []

    @dg.asset
    def thing(context: dg.AssetExecutionContext, run_locks: RunLocks) -> None:
        found.extend(run_locks.fail_abandoned(context.instance, unclaimed_after=LONG_AGO))

    job = dg.Definitions([thing], resources={"run_locks": run_locks}).resolve_implicit_global_asset_job_def()
    run_id = str(uuid4())
    tags = {LOCK_TAG: lock_name("shop", LockKind.RETRAIN), **run_locks.run_tags(run_id)}
    assert job.execute_in_process(instance=instance, run_id=run_id, tags=tags).success
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert (found, run.status, run_locks.was_abandoned(run)) == ([], S.SUCCESS, False)


@pytest.mark.parametrize("status", [S.NOT_STARTED, S.STARTING, S.STARTED, S.CANCELING])
@pytest.mark.parametrize(
    "tags",
    [
        pytest.param({}, id="of another code location"),
        pytest.param({"churn/process": "{run_id}/a-process-of-another-machine"}, id="of another machine"),
        pytest.param({"churn/process": "another-run/gone"}, id="a re-execution with the tags of a dead run"),
    ],
)
def test_a_foreign_run_is_never_marked_failed(
    run_locks: RunLocks, instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: dict[str, str]
) -> None:
    run_id = str(uuid4())
    instance.add_run(
        dg.DagsterRun(
            "job", run_id, status=status, tags={key: text.format(run_id=run_id) for key, text in tags.items()}
        )
    )
    run_locks.run_tags(str(uuid4()))
    assert run_locks.fail_abandoned(instance, unclaimed_after=LONG_AGO) == []
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert (run.status, run_locks.was_abandoned(run)) == (status, False)


def test_outside_a_run_nothing_waits(run_locks: RunLocks) -> None:
    with dg.build_resources({"run_locks": run_locks}) as built:
        assert isinstance(built.run_locks, type(run_locks))
