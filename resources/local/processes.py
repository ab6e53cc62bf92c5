"""Which processes work at runs, and which of those are gone: a killed run must never keep the next one waiting."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

PROCESS_TAG = "churn/process"
_ABANDONED_TAG = "churn/abandoned"
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system itself gives back if this process dies."""
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def named(number: int) -> str:
    """A text that names the process of this number and no later one that gets the same."""
    return f"{number}-{_born(number)}"


def is_gone(process: str) -> bool:
    """Whether the process that `named` named has ended."""
    number, _, born = process.partition("-")
    return not number.isdigit() or born == "ended" or _born(int(number)) != born


def process_tags(run_id: str) -> dict[str, str]:
    """What a run carries to say that this process works at it. It names the run too: Dagster copies tags to a re-execution."""
    return {PROCESS_TAG: f"{run_id}/{named(os.getpid())}"}


def fail_abandoned_runs(instance: dg.DagsterInstance, *, unclaimed_after: timedelta | None = None) -> list[str]:
    """Mark unfinished runs whose process is gone as failed, and return their ids.

    With `unclaimed_after` also those that were launched so long ago and that no process ever put its name on. Only for runs of this machine.
    """
    unfinished = instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED))
    gone = [record.dagster_run for record in unfinished if _is_abandoned(record, unclaimed_after)]
    for run in gone:
        instance.add_run_tags(run.run_id, {_ABANDONED_TAG: run.run_id})
        instance.report_run_failed(
            run, "Its process is gone: it was killed, or the machine was. Run it again: what it published is found."
        )
    return [run.run_id for run in gone]


def was_abandoned(run: dg.DagsterRun) -> bool:
    """Whether `fail_abandoned_runs` ended this run."""
    return run.tags.get(_ABANDONED_TAG) == run.run_id


def _is_abandoned(record: dg.RunRecord, unclaimed_after: timedelta | None) -> bool:
    run = record.dagster_run
    run_id, _, process = run.tags.get(PROCESS_TAG, "").partition("/")
    if run_id == run.run_id:
        return is_gone(process)
    launched = run.status is not dg.DagsterRunStatus.NOT_STARTED
    return (
        launched
        and unclaimed_after is not None
        and datetime.now(UTC) - record.update_timestamp.astimezone(UTC) > unclaimed_after
    )


def _born(number: int) -> str:
    """When a process began: the system's ticks on Linux; elsewhere only whether it lives. A process that only waits to be reaped has ended."""
    stat = Path(f"/proc/{number}/stat")
    try:
        # The command's name may hold blanks and parentheses; the fields are counted behind its last one.
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return "ended"
    else:
        return "ended" if fields[0] in "ZX" else fields[19]
    try:
        os.kill(number, 0)
    except OSError:
        return "ended"
    return "alive"
