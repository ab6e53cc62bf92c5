import os
import subprocess
import sys
from datetime import timedelta
from uuid import uuid4

import dagster as dg
import pytest

from resources.local.processes import PROCESS_TAG, fail_abandoned_runs, is_gone, named, process_tags, was_abandoned

S = dg.DagsterRunStatus


def test_a_process_is_known_by_more_than_its_number() -> None:
    assert not is_gone(named(os.getpid()))
    assert is_gone(f"{os.getpid()}-1")
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = named(process.pid)
    assert not is_gone(name)
    process.communicate(b"\n")
    assert is_gone(name)


@pytest.mark.parametrize("text", ["", "nonsense", "12", "-3", "1-ended"])
def test_what_names_no_process_is_gone(text: str) -> None:
    assert is_gone(text)


def kept(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: dict[str, str], run_id: str) -> dg.DagsterRun:
    return instance.add_run(dg.DagsterRun("job", run_id, tags=tags, status=status))


@pytest.mark.parametrize(
    ("status", "process", "fails"),
    [
        (S.STARTED, "0-gone", True),
        (S.STARTING, "0-gone", True),
        (S.NOT_STARTED, "0-gone", True),
        (S.CANCELING, "0-gone", True),
        (S.SUCCESS, "0-gone", False),
        (S.STARTED, named(os.getpid()), False),
    ],
)
def test_a_run_is_failed_when_its_process_is_gone(
    instance: dg.DagsterInstance, status: S, process: str, fails: bool
) -> None:
    run_id = str(uuid4())
    kept(instance, status, {PROCESS_TAG: f"{run_id}/{process}"}, run_id)
    assert fail_abandoned_runs(instance) == ([run_id] if fails else [])
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert (run.status, was_abandoned(run)) == ((S.FAILURE, True) if fails else (status, False))


def test_a_re_execution_is_not_taken_for_the_dead_run_whose_tags_it_copies(instance: dg.DagsterInstance) -> None:
    kept(instance, S.STARTED, {PROCESS_TAG: f"{uuid4()}/0-gone", "churn/abandoned": str(uuid4())}, "again")
    assert fail_abandoned_runs(instance) == []
    run = instance.get_run_by_id("again")
    assert run is not None
    assert not was_abandoned(run)


def test_a_launched_run_that_nobody_put_a_name_on_is_failed_after_a_while(instance: dg.DagsterInstance) -> None:
    kept(instance, S.STARTED, {}, "launched")
    kept(instance, S.NOT_STARTED, {}, "made")
    assert fail_abandoned_runs(instance) == []
    assert fail_abandoned_runs(instance, unclaimed_after=timedelta(hours=1)) == []
    assert fail_abandoned_runs(instance, unclaimed_after=timedelta(seconds=-1)) == ["launched"]


def test_a_run_of_this_process_is_left_alone(instance: dg.DagsterInstance) -> None:
    kept(instance, S.STARTED, process_tags("mine"), "mine")
    assert fail_abandoned_runs(instance, unclaimed_after=timedelta(seconds=-1)) == []
