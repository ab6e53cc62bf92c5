"""What wakes the jobs: `<dataset>_new_batches` looks at what landed in score/ and asks for one run for each settled batch.

Whether a batch is new is asked of the lake and of Dagster's runs, not of the sensor's memory: a cursor that is lost repeats no work and loses
none. A batch that failed for a reason of its own is not asked for again; one whose run was cut short is, a few times.
"""

import json
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import TYPE_CHECKING

import dagster as dg

from churn_model.spec.dataset import Dataset
from churn_model.spec.durations import seconds
from jobs.batches import LISTING_TAG, Request, SeenBatch, Sweep, assess_batch, sweep_batches
from jobs.hinted_batches import Hints
from resources.catalog.landing import describe_unreadable
from resources.catalog.names import (
    batch_partitions,
    new_batches_sensor_name,
    retrain_job_name,
    score_prefix,
)
from resources.catalog.pointers import read_champion
from resources.ports.lake import Lake, Unreadable
from resources.ports.landing_events import LandingEvents
from resources.ports.run_locks import RunLocks

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

OBJECTS_A_TICK = 50_000
SECONDS_A_TICK = 30
REQUESTS_A_TICK = 20
_SWEEPS_BETWEEN_FULL_ONES = 20  # every so many sweeps, batches older than `watch.recent` are looked at as well
_MOST_NAMED = 10  # batches in a skip message


@dataclass
class Tick:
    """What one look at the landing area gave."""

    requests: list[Request] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)  # each batch that is not asked for, and why

    def describe_waiting(self) -> str:
        """Return what waits and why, or that nothing is new."""
        if not self.waiting:
            return "Nothing new has landed and settled."
        more = len(self.waiting) - _MOST_NAMED
        return "\n".join([*self.waiting[:_MOST_NAMED], *([f"And {more:,} more."] if more > 0 else [])])


def new_batches_sensor(dataset: Dataset, job: "UnresolvedAssetJobDefinition") -> dg.SensorDefinition:
    """Return the sensor that scores what lands."""
    partitions = batch_partitions(dataset.name)

    @dg.sensor(
        name=new_batches_sensor_name(dataset.name),
        job=job,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Scores each batch below {score_prefix(dataset.name)} once nothing in it has changed for {dataset.watch.settle}. "
        "A changed batch is scored again; the same file twice is one batch.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, lake: Lake, landing_events: LandingEvents, run_locks: RunLocks
    ) -> dg.SensorResult | dg.SkipReason:
        run_locks.fail_abandoned(context.instance)
        if read_champion(lake, dataset.name) is None:
            return dg.SkipReason(f"No champion of {dataset.name} yet: run {retrain_job_name(dataset.name)}.")
        sweep = Sweep(**json.loads(context.cursor)) if context.cursor else Sweep()
        tick = _look(context, lake, run_locks, dataset, sweep, Hints(landing_events, dataset, context.log.warning))
        names = [request.batch.name for request in tick.requests]
        return dg.SensorResult(
            run_requests=[_run_request(dataset, request) for request in tick.requests],
            dynamic_partitions_requests=[partitions.build_add_request(names)] if names else [],
            cursor=json.dumps(asdict(sweep)),
            skip_reason=None if names else tick.describe_waiting(),
        )

    return sensor


def _look(
    context: dg.SensorEvaluationContext, lake: Lake, run_locks: RunLocks, dataset: Dataset, sweep: Sweep, hints: Hints
) -> Tick:
    """Return the settled batches that are not scored as they are now, and what is to be said of the others. Move `sweep` along.

    Batches that events name come first. At most REQUESTS_A_TICK, within SECONDS_A_TICK; the sweep stops there and goes on at the next tick.
    """
    until = time.monotonic() + SECONDS_A_TICK
    full = sweep.number % _SWEEPS_BETWEEN_FULL_ONES == 0
    tick = Tick()
    unreadable: list[Unreadable] = []
    hinted: dict[str, bool] = {}  # by name of a batch that was looked at: whether there is nothing to wait for
    swept = sweep_batches(lake, dataset.name, sweep, objects=OBJECTS_A_TICK, until=until, note=unreadable.append)
    for batch, is_hint in chain(zip(hints.batches(lake, OBJECTS_A_TICK), repeat(True)), zip(swept, repeat(False))):
        if batch.name not in hinted and not batch.lacks and (full or is_hint or _is_recent(dataset, batch)):
            found = assess_batch(lake, context.instance, run_locks, dataset, batch)
            if is_hint:
                hinted[batch.name] = not isinstance(found, str)
            if isinstance(found, Request):
                tick.requests.append(found)
            elif found:
                tick.waiting.append(f"Batch {batch.name[:80]!r}: {found}")
        # Each batch may cost a question to the lake and to Dagster, and there may be thousands.
        if len(tick.requests) == REQUESTS_A_TICK or time.monotonic() > until:
            break
    hints.finish(name for name, is_done in hinted.items() if is_done)
    if unreadable:
        tick.waiting.insert(0, f"Not read: {describe_unreadable(lake, unreadable)}.")
        context.log.warning(tick.waiting[0])
    if tick.requests:  # Dagster shows a skip message only if nothing is asked for
        for line in tick.waiting[:_MOST_NAMED]:
            context.log.info(line)
    return tick


def _is_recent(dataset: Dataset, batch: SeenBatch) -> bool:
    """Return whether a batch is looked at in every sweep, not in a full one alone."""
    return datetime.now(UTC).timestamp() - batch.newest <= seconds(dataset.watch.recent)


def _run_request(dataset: Dataset, request: Request) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=request.run_key,
        partition_key=request.batch.name,
        tags={"dataset": dataset.name, "batch": request.batch.name, LISTING_TAG: request.batch.listing},
    )
