"""What wakes the jobs: `<dataset>_new_batches` looks at what landed in score/ and asks for one run a settled batch.

A sweep reads the listing in key order, a bounded number of pages a tick, and carries on where it stopped: also in the middle of a batch, whose
listing is then known only when its last page was read. Whether a batch is new is asked of the lake, not of the sensor's memory: a cursor that
is lost repeats no work and loses none.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from churn_model.spec.dataset import Dataset
from churn_model.spec.durations import seconds
from resources.catalog.landing import BATCH_NAME, batch_of, is_data, listing_of
from resources.catalog.names import batch_partitions, new_batches_sensor_name, retrain_job_name, score_prefix
from resources.catalog.pointers import read_batch, read_champion
from resources.ports.lake import Entry, Lake
from resources.ports.run_locks import RunLocks

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

PAGES_A_TICK = 50
SECONDS_A_TICK = 30
REQUESTS_A_TICK = 20
REPEATS_AFTER_KILLS = 3  # a batch that is too large for the machine is not tried for ever
_SWEEPS_BETWEEN_FULL_ONES = 20  # every so many sweeps, batches older than `watch.recent` are looked at as well


@dataclass
class Sweep:
    """How far a sweep has come: the last key read, and the batch that it stands in. This is the sensor's cursor."""

    after: str = ""
    batch: str = ""
    listing: str = ""
    newest: float = 0.0
    number: int = 0

    def reads(self, entry: Entry, batch: str) -> None:
        """Take one more object of the listing in."""
        if batch != self.batch:
            self.batch, self.listing, self.newest = batch, "", 0.0
        self.after = entry.key
        if is_data(entry.key):
            self.listing = listing_of([entry], self.listing)
            self.newest = max(self.newest, entry.modified.timestamp())

    def ends_batch(self) -> "SeenBatch | None":
        """The batch that the sweep stands in, if it has data; the sweep then stands in none."""
        seen = SeenBatch(self.batch, self.listing, self.newest) if self.listing else None
        self.batch, self.listing, self.newest = "", "", 0.0
        return seen


@dataclass(frozen=True)
class SeenBatch:
    """A batch whose whole listing was read."""

    name: str
    listing: str
    newest: float  # seconds since 1970: when its youngest object was written


def sweep_batches(
    lake: Lake, dataset: str, sweep: Sweep, *, pages: int, until: float, page_size: int = 1000
) -> Iterator[SeenBatch]:
    """The batches whose listing ends within the budget, `sweep` moved along; at the end of the prefix it begins anew."""
    prefix = score_prefix(dataset)
    for _ in range(pages):
        page = lake.list(prefix, sweep.after, page_size)
        for entry in page:
            batch = batch_of(dataset, entry.key)
            if batch != sweep.batch and (seen := sweep.ends_batch()):
                yield seen
            sweep.reads(entry, batch)
        if len(page) < page_size:
            sweep.after, sweep.number = "", sweep.number + 1
            if seen := sweep.ends_batch():
                yield seen
            return
        if time.monotonic() > until:
            return


def new_batches_sensor(dataset: Dataset, job: "UnresolvedAssetJobDefinition") -> dg.SensorDefinition:
    """The sensor that scores what lands."""
    partitions = batch_partitions(dataset.name)

    @dg.sensor(
        name=new_batches_sensor_name(dataset.name),
        job=job,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Scores each batch below {score_prefix(dataset.name)} once nothing in it has changed for {dataset.watch.settle}. "
        "A changed batch is scored again; the same file twice is one batch.",
    )
    def sensor(context: dg.SensorEvaluationContext, lake: Lake, run_locks: RunLocks) -> dg.SensorResult | dg.SkipReason:
        run_locks.fail_abandoned(context.instance)
        if read_champion(lake, dataset.name) is None:
            return dg.SkipReason(f"No champion of {dataset.name} yet: run {retrain_job_name(dataset.name)}.")
        sweep = Sweep(**json.loads(context.cursor)) if context.cursor else Sweep()
        wanted, refused = _find_batches_to_score(context, lake, dataset, sweep)
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=_run_key(context.instance, run_locks, job.name, batch),
                    partition_key=batch.name,
                    tags=_tags(dataset, batch),
                )
                for batch in wanted
            ],
            dynamic_partitions_requests=[partitions.build_add_request([batch.name for batch in wanted])]
            if wanted
            else [],
            cursor=json.dumps(asdict(sweep)),
            skip_reason=None if wanted else "Nothing new has landed and settled." + (f" {refused}" if refused else ""),
        )

    return sensor


def _find_batches_to_score(
    context: dg.SensorEvaluationContext, lake: Lake, dataset: Dataset, sweep: Sweep
) -> tuple[list[SeenBatch], str]:
    """The settled batches that are not scored as they are now, and what is to be said of names that are refused.

    At most REQUESTS_A_TICK, within SECONDS_A_TICK; the sweep stops there and goes on at the next tick.
    """
    until = time.monotonic() + SECONDS_A_TICK
    full = sweep.number % _SWEEPS_BETWEEN_FULL_ONES == 0
    wanted: list[SeenBatch] = []
    refused = ""
    for batch in sweep_batches(lake, dataset.name, sweep, pages=PAGES_A_TICK, until=until):
        if not BATCH_NAME.fullmatch(batch.name):
            refused = (
                f"A batch name was refused below {score_prefix(dataset.name)}: Expected letters, digits and . _ = - (at most 64, "
                f"the first a letter or digit); found {batch.name[:80]!r}. Rename it."
            )
            context.log.warning(refused)
        elif _needs_scoring(lake, dataset, batch, full=full):
            wanted.append(batch)
        # Each batch may cost a question to the lake, and a page may hold a thousand of them.
        if len(wanted) == REQUESTS_A_TICK or time.monotonic() > until:
            break
    return wanted, refused


def _needs_scoring(lake: Lake, dataset: Dataset, batch: SeenBatch, *, full: bool) -> bool:
    """Whether a batch has settled and is not scored as it is now. One that is no longer recent is asked about in a full sweep alone."""
    age = datetime.now(UTC).timestamp() - batch.newest
    if age < seconds(dataset.watch.settle) or (age > seconds(dataset.watch.recent) and not full):
        return False
    known = read_batch(lake, dataset.name, batch.name)
    return known is None or known.listing != batch.listing or known.list is None


def _run_key(instance: dg.DagsterInstance, run_locks: RunLocks, job: str, batch: SeenBatch) -> str:
    """What Dagster knows a request by, for ever: a batch that failed for a reason is not asked for again, one whose run was killed is."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job, tags={"batch": batch.name}))
    killed = min(sum(run_locks.was_abandoned(run) for run in runs), REPEATS_AFTER_KILLS)
    return f"{batch.name}:{batch.listing}" + (f":{killed}" if killed else "")


def _tags(dataset: Dataset, batch: SeenBatch) -> Mapping[str, Any]:
    return {"dataset": dataset.name, "batch": batch.name}
