"""Runs of one dataset take turns: retrains and rollbacks after one another, scores after one another, a score beside a retrain.

Two retrains would move each other's pointers; two scores would list a customer twice within his cooldown. The turn is a lock that the system
gives back when the process dies, so nobody waits for a run that is gone. On AWS Dagster's pools do this.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg

from resources.local.processes import process_tags

_held: set[tuple[str, Path]] = set()  # a resource that another one holds is set up twice in one run


@contextmanager
def taking_turns(folder: Path, context: dg.InitResourceContext) -> Iterator[None]:
    """Put this process's name on the run, and hold the turns of the run's datasets while it works. Outside of a run: nothing."""
    run, instance = context.run, context.instance
    if run is None or instance is None:
        yield
        return
    instance.add_run_tags(run.run_id, process_tags(run.run_id))
    with ExitStack() as turns:
        for dataset in _datasets(run):
            turns.enter_context(_turn(folder / f".{_kind(run, dataset)}-{dataset}.lock", dataset, run.run_id, context))
        yield


def _kind(run: dg.DagsterRun, dataset: str) -> str:
    """Whose turn a run waits for. Looking at the table or at two models moves nothing that the others read."""
    verb = run.job_name.removeprefix(f"{dataset}_")
    if verb in ("explore", "compare"):
        return verb
    return "score" if "dagster/partition" in run.tags else "retrain"


def _datasets(run: dg.DagsterRun) -> list[str]:
    chosen = {key.path[0] for key in run.asset_selection or ()} | {run.tags.get("dataset", "")}
    return sorted(chosen - {""})


@contextmanager
def _turn(path: Path, dataset: str, run_id: str, context: dg.InitResourceContext) -> Iterator[None]:
    if (run_id, path) in _held:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        waits = False
        while not _taken(lock.fileno()):
            if not waits and context.log:
                lock.seek(0)
                context.log.warning(
                    f"Another run of {dataset} is at work (process {lock.read(40) or 'unknown'}); this one begins when that has ended."
                )
            waits = True
            time.sleep(0.2)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        _held.add((run_id, path))
        try:
            yield
        finally:
            _held.discard((run_id, path))


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
