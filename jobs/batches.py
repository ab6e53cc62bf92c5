"""What becomes of the batches that landed: a sweep over score/, and for each batch whether it is scored, waits, or is to be asked for.

A sweep reads the listing in key order, a bounded number of objects at a time, and carries on where it stopped: also in the middle of a batch,
whose listing is known only once its last object was read.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from churn_model.spec.dataset import Dataset
from churn_model.spec.durations import seconds
from resources.catalog.landing import batch_name_problem, batch_of, is_data, is_settled, listing_of
from resources.catalog.names import score_job_name, score_prefix
from resources.catalog.pointers import read_batch
from resources.errors import DamagedError, StepKilled
from resources.ports.lake import Entry, Lake, Unreadable
from resources.ports.run_locks import RunLocks

LISTING_TAG = "churn/listing"
"""The tag of a run that names the content, as a listing shows it, for which the sensor asked."""
MOST_REPEATS = 3
"""How often a batch is asked for again after its run was cut short. One that is too large for the machine is not tried for ever."""
_PARTITION_TAG = "dagster/partition"
_OBJECTS_A_GLANCE = 1000  # at the clock
_NEVER_LAUNCHED = (dg.DagsterRunStatus.NOT_STARTED,)  # the same request launches such a run
_INTERRUPTIONS = frozenset(
    {dg.DagsterExecutionInterruptedError.__name__, KeyboardInterrupt.__name__, StepKilled.__name__}
)


@dataclass
class Sweep:
    """How far a sweep has come: the last key read, and the batch that it is in. This is the sensor's cursor."""

    after: str = ""
    batch: str = ""
    listing: str = ""
    newest: float = 0.0
    number: int = 0
    lacks: bool = False  # something in the batch cannot be read that may hold data

    def read(self, found: Entry | Unreadable, batch: str) -> None:
        """Take in one more object of the listing, or something that is none."""
        if batch != self.batch:
            self._begin(batch)
        self.after = found.key
        if not is_data(found.key):
            return
        if isinstance(found, Unreadable):
            self.lacks = self.lacks or found.may_hold_data
        else:
            self.listing = listing_of([found], self.listing)
            self.newest = max(self.newest, found.modified.timestamp())

    def end_batch(self) -> "SeenBatch | None":
        """Return the batch that the sweep is in, if it has data, and leave it."""
        seen = SeenBatch(self.batch, self.listing, self.newest, self.lacks) if self.listing else None
        self._begin("")
        return seen

    def _begin(self, batch: str) -> None:
        self.batch, self.listing, self.newest, self.lacks = batch, "", 0.0, False


@dataclass(frozen=True)
class SeenBatch:
    """A batch whose whole listing was read."""

    name: str
    listing: str
    newest: float  # seconds since 1970: when its youngest object was written
    lacks: bool = False  # something in it cannot be read that may hold data: it is not asked for


@dataclass(frozen=True)
class Request:
    """A batch to be scored, and how many runs it has had with this content."""

    batch: SeenBatch
    attempt: int = 0

    @property
    def run_key(self) -> str:
        """What Dagster knows the request by, for ever."""
        return f"{self.batch.name}:{self.batch.listing}" + (f":{self.attempt}" if self.attempt else "")


def sweep_batches(
    lake: Lake,
    dataset: str,
    sweep: Sweep,
    *,
    objects: int,
    until: float,
    note: Callable[[Unreadable], object] = lambda _: None,
) -> Iterator[SeenBatch]:
    """Yield the batches whose listing ends within the budget, and move `sweep` along. At the end of the prefix it begins anew.

    `note` is called with what cannot be read on the way.
    """
    for number, found in enumerate(lake.scan(score_prefix(dataset), sweep.after)):
        if number == objects or (number and number % _OBJECTS_A_GLANCE == 0 and time.monotonic() > until):
            return
        batch = batch_of(dataset, found.key)
        if batch != sweep.batch and (seen := sweep.end_batch()):
            yield seen
        sweep.read(found, batch)
        if isinstance(found, Unreadable) and is_data(found.key):
            note(found)
    sweep.after, sweep.number = "", sweep.number + 1
    if seen := sweep.end_batch():
        yield seen


def assess_batch(
    lake: Lake, instance: dg.DagsterInstance, run_locks: RunLocks, dataset: Dataset, batch: SeenBatch
) -> Request | str | None:
    """Return the request for a batch, or why there is none yet; None if it is scored as it is now."""
    if name_problem := batch_name_problem(batch.name):
        return name_problem
    if _is_scored(lake, dataset.name, batch):
        return None
    now = datetime.now(UTC).timestamp()
    if not is_settled(batch.newest, now, seconds(dataset.watch.settle)):
        return f"changed {max(now - batch.newest, 0):.0f} s ago; waits until nothing in it has changed for {dataset.watch.settle}"
    return _assess_runs(instance, run_locks, dataset, batch)


def _assess_runs(
    instance: dg.DagsterInstance, run_locks: RunLocks, dataset: Dataset, batch: SeenBatch
) -> Request | str:
    """Return the request for a settled batch without a list, or what its runs say against one."""
    runs = _runs_of(instance, dataset.name, batch.name)
    unfinished = [run for run in runs if not run.is_finished and run.status not in _NEVER_LAUNCHED]
    if unfinished:
        return f"run {unfinished[0].run_id[:8]} has it ({unfinished[0].status.value.lower()})"
    ended = [run for run in runs if run.is_finished and run.tags.get(LISTING_TAG) == batch.listing]
    command = f"run `churn score {dataset.name} {batch.name}`"
    failed = next((run for run in ended if _failed_by_itself(instance, run_locks, run)), None)
    if failed:
        return f"run {failed.run_id[:8]} failed; see why in the UI, correct it and land the batch again, or {command}"
    if len(ended) > MOST_REPEATS:
        return f"{len(ended)} runs of it were cut short or left no list, so it is not asked for again; {command} to see why"
    return Request(batch, len(ended))


def _is_scored(lake: Lake, dataset: str, batch: SeenBatch) -> bool:
    """Return whether a batch has its list as it is now. One whose record is damaged has none: scoring writes the record again."""
    try:
        known = read_batch(lake, dataset, batch.name)
    except DamagedError:
        return False
    return known is not None and known.listing == batch.listing and known.list is not None


def _runs_of(instance: dg.DagsterInstance, dataset: str, batch: str) -> list[dg.DagsterRun]:
    """Return the score runs of a batch, newest first."""
    wanted = dg.RunsFilter(job_name=score_job_name(dataset), tags={_PARTITION_TAG: batch})
    return list(instance.get_runs(wanted))


def _failed_by_itself(instance: dg.DagsterInstance, run_locks: RunLocks, run: dg.DagsterRun) -> bool:
    """Return whether a run failed for a reason of its own, and was not cut short: cancelled, or its process or its step's killed."""
    if run.status is not dg.DagsterRunStatus.FAILURE or run_locks.was_abandoned(run):
        return False
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    events = [record.event_log_entry.dagster_event for record in records]
    # Dagster reports the failure of a process that is gone, too: then no step of it has failed.
    return any(event is not None and not _is_interruption(event) for event in events)


def _is_interruption(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    while error:
        if error.cls_name in _INTERRUPTIONS:
            return True
        error = error.cause or error.context
    return False
