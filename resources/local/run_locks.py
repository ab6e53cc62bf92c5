"""Run locks as files.

A process that executes runs holds a file of its own as long as it lives, and puts that file's name on its runs. So whether a process is gone is
asked of the operating system: no process number that another process may get, no clock.
"""

import fcntl
import functools
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import dagster as dg

from resources.file_locks import is_held, open_lock, try_lock
from resources.ports.run_locks import LockKind, RunLocks, lock_name, locks_of

PROCESS_TAG = "churn/process"
HOME_TAG = "churn/home"
_ANOTHER_PROCESS = "another"  # stands for a process that is not known here
_ABANDONED_TAG = "churn/abandoned"
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class LocalRunLocks(RunLocks):
    """`<folder>/<dataset>%2F<kind>.lock` for each lock, `<folder>/processes/` for the processes that execute runs."""

    folder: str

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["LocalRunLocks"]:
        """Claim the run for this process, and hold its locks until the run ends. Outside a run do nothing."""
        run, instance = context.run, context.instance
        if run is None or instance is None:
            yield self
            return
        if _is_executed_here(instance, run.run_id):
            instance.add_run_tags(run.run_id, self.run_tags(run.run_id))
        else:  # this process executes one step of the run, and its end says nothing about the run
            instance.add_run_tags(run.run_id, {PROCESS_TAG: f"{run.run_id}/{_ANOTHER_PROCESS}"})
        with ExitStack() as locks:
            for name in locks_of(run):
                locks.enter_context(self._hold(name, context.log.warning if context.log else print))
            yield self

    @contextmanager
    def hold_all(self, dataset: str, warn: Callable[[str], object]) -> Iterator[None]:
        with ExitStack() as locks:
            for kind in LockKind:  # in the order in which runs take several
                locks.enter_context(self._hold(lock_name(dataset, kind), warn))
            yield

    def job_tags(self) -> Mapping[str, str]:
        return {HOME_TAG: f"{platform.node()}:{Path(self.folder).absolute()}"}

    def run_tags(self, run_id: str) -> Mapping[str, str]:
        # The run's id is in the value, because Dagster copies tags to a re-execution.
        return {PROCESS_TAG: f"{run_id}/{_own_process(self._processes, os.getpid())}"}

    def fail_abandoned(
        self, instance: dg.DagsterInstance, *, unclaimed_after: timedelta | None = None
    ) -> Sequence[str]:
        # First the processes, then their runs: a run whose process had ended by then has its final status.
        gone = {path.name: path for path in self._processes.glob("[!.]*") if not is_held(path)}
        records = instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED))
        abandoned = [
            record.dagster_run
            for record in records
            if _process_of(record.dagster_run) in gone or self._is_unclaimed(record, unclaimed_after)
        ]
        for run in abandoned:
            instance.add_run_tags(run.run_id, {_ABANDONED_TAG: run.run_id})
            instance.report_run_failed(
                run,
                "The process that executed this run is gone: it was killed, or the machine stopped. Run it again; published results are reused.",
            )
        for path in gone.values():
            path.unlink(missing_ok=True)
        return [run.run_id for run in abandoned]

    def was_abandoned(self, run: dg.DagsterRun) -> bool:
        return run.tags.get(_ABANDONED_TAG) == run.run_id

    def _is_unclaimed(self, record: dg.RunRecord, after: timedelta | None) -> bool:
        """Return whether a run of this home was launched that long ago without any process claiming it, which takes seconds."""
        run = record.dagster_run
        return (
            after is not None
            and self.job_tags().items() <= run.tags.items()
            and _process_of(run) is None
            and run.status is not dg.DagsterRunStatus.NOT_STARTED
            and datetime.now(UTC) - record.update_timestamp.astimezone(UTC) > after
        )

    @property
    def _processes(self) -> Path:
        return Path(self.folder) / "processes"

    @contextmanager
    def _hold(self, name: str, warn: Callable[[str], object]) -> Iterator[None]:
        path = Path(self.folder) / f"{quote(name, safe='')}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_lock(path) as lock:
            waits = False
            while not try_lock(lock):
                if not waits:
                    lock.seek(0)
                    holder = lock.read(40) or "unknown"
                    warn(f"Waiting for another run to end: process {holder} holds the lock {name}.")
                waits = True
                time.sleep(0.2)
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield


@functools.cache
def _own_process(folder: Path, pid: int) -> str:  # a forked process needs a name of its own
    """Return the name of the file that this process holds in `folder` until it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid4().hex
    hidden = folder / f".{name}"
    handle = os.open(
        hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )  # never closed: the end of the process does that
    fcntl.flock(handle, fcntl.LOCK_EX)
    hidden.rename(folder / name)  # visible only once it is held
    return name


def _is_executed_here(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Return whether this is the process of the run itself. With the multiprocess executor each step has another one."""
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records
    events = [record.event_log_entry.dagster_event for record in records]
    # Dagster's executors write the number of the run's process before any resource is set up.
    processes = {
        event.engine_event_data.metadata["pid"].value
        for event in events
        if event and "pid" in event.engine_event_data.metadata
    }
    return not processes or str(os.getpid()) in processes


def _process_of(run: dg.DagsterRun) -> str | None:
    """Return the name of the process that claimed a run, or None."""
    run_id, _, process = run.tags.get(PROCESS_TAG, "").partition("/")
    return process if run_id == run.run_id else None
