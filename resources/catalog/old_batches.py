"""Which scored batches today's champion, costs, spec or code would score otherwise.

Dagster asks a partitioned asset for staleness without a partition, and calls it fresh then: so it is asked here, of the lake.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from churn_model.checks import Check, Claim
from churn_model.spec.dataset import Dataset
from churn_model.spec.durations import seconds
from resources.catalog.integrity import find_manifest, read_manifest
from resources.catalog.ledger import INPUTS
from resources.catalog.names import BATCH_PREDICTIONS, RAW_BATCH, batch_of_key, batches_prefix, score_job_name
from resources.catalog.pointers import BatchRecord, Champion, Current, read_batch, read_champion, read_current
from resources.catalog.versions import step_maker, version_of
from resources.errors import DamagedError
from resources.ports.lake import Lake

Libraries = Callable[[frozenset[str]], str]
"""The releases of the libraries that a maker's code imports: `Runner.libraries`."""
MOST_LOOKED_AT = 200
UP_TO_DATE = Claim(
    "recent_batches_are_scored_as_today",
    description="Each batch that landed within `watch.recent` was scored by today's champion, at today's costs, under today's spec and by today's code.",
    blocking=False,
)
"""On `retention_list`: answered by each run, and by the sensor `<dataset>_old_batches` between runs."""
_MOST_NAMED = 10


@dataclass(frozen=True)
class OldBatch:
    """A batch, and why its predictions or its list are not what they would be today."""

    batch: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.batch}: {', '.join(self.reasons)}"


def predictions_upstream(record: BatchRecord) -> dict[str, str]:
    """Return what the predictions of a batch, as it is recorded, are made from."""
    provisional = {"provisional": "yes"} if record.provisional else {}
    return {RAW_BATCH: record.rows.version, "champion": record.champion.version, **provisional}


def predictions_version(libraries: Libraries, dataset: Dataset, record: BatchRecord) -> str:
    """Return the version of the predictions that today's spec and code make of a batch as it is recorded."""
    maker = step_maker("score")
    return version_of(maker, dataset, predictions_upstream(record), libraries=libraries(maker.source().libraries))


def find_old_batches(lake: Lake, libraries: Libraries, dataset: Dataset, now: datetime) -> list[OldBatch]:
    """Return the old ones among the latest MOST_LOOKED_AT batches that landed within `watch.recent`, the latest first."""
    champion = read_champion(lake, dataset.name)
    since = now - timedelta(seconds=seconds(dataset.watch.recent))
    records = sorted(recent_batches(lake, dataset, since), key=lambda record: record.landed_at, reverse=True)
    looked_at = ((record, _explain(lake, libraries, dataset, record, champion)) for record in records)
    return [OldBatch(record.batch, reasons) for record, reasons in looked_at if reasons]


def recent_batches(lake: Lake, dataset: Dataset, since: datetime, most: int = MOST_LOOKED_AT) -> Iterator[BatchRecord]:
    """Yield the records of batches with a list that landed since then, of the `most` that were written last.

    A damaged record is passed over: `churn verify` names it.
    """
    # A record is written when a batch is ingested, and never before.
    recent = (entry for entry in lake.entries(batches_prefix(dataset.name)) if entry.modified.astimezone(UTC) >= since)
    # Each scored batch asks, so that it must not cost more with every batch that there is.
    for entry in heapq.nlargest(most, recent, key=lambda entry: entry.modified):
        try:
            record = read_batch(lake, dataset.name, batch_of_key(dataset.name, entry.key))
        except DamagedError:
            continue
        if record and record.list and datetime.fromisoformat(record.landed_at) >= since:
            yield record


def _explain(
    lake: Lake, libraries: Libraries, dataset: Dataset, record: BatchRecord, champion: Champion | None
) -> tuple[str, ...]:
    try:
        shown = read_current(lake, dataset.name, BATCH_PREDICTIONS, record.batch)
        reasons = [
            "scored by an earlier champion" if champion and champion.version != record.champion.version else "",
            _explain_rows(lake, libraries, dataset, record),
            _explain_predictions(libraries, dataset, record, shown),
            _explain_list(lake, libraries, dataset, record, shown),
        ]
    except DamagedError:
        reasons = [f"damaged, see `churn verify {dataset.name}`"]
    return tuple(reason for reason in reasons if reason)


def _explain_rows(lake: Lake, libraries: Libraries, dataset: Dataset, record: BatchRecord) -> str:
    maker, manifest = step_maker("ingest"), find_manifest(lake, record.rows.prefix)
    if manifest is None:
        return "its rows were removed"
    today = version_of(maker, dataset, manifest.upstream, libraries=libraries(maker.source().libraries))
    return "" if today == record.rows.version else "ingested under another spec or by other code"


def _explain_predictions(libraries: Libraries, dataset: Dataset, record: BatchRecord, shown: Current | None) -> str:
    today = predictions_version(libraries, dataset, record)
    return "" if shown and shown.version == today else "predicted at other costs, under another spec or by other code"


def _explain_list(
    lake: Lake, libraries: Libraries, dataset: Dataset, record: BatchRecord, shown: Current | None
) -> str:
    if record.list is None or shown is None:
        return "without a list"
    maker = step_maker("retention_list")
    upstream = {BATCH_PREDICTIONS: shown.version}
    today = version_of(maker, dataset, upstream, libraries=libraries(maker.source().libraries))
    made_from = read_manifest(lake, record.list.prefix).upstream
    if made_from.get(BATCH_PREDICTIONS) != shown.version:
        return "its list was made of earlier predictions"
    return "" if made_from.get(INPUTS) == today else "its list was made under another spec or by other code"


def check_batches(lake: Lake, libraries: Libraries, dataset: Dataset) -> Check:
    """Return the answer to UP_TO_DATE as of now."""
    old = find_old_batches(lake, libraries, dataset, datetime.now(UTC))
    named = "; ".join(map(str, old[:_MOST_NAMED])) + (
        f"; and {len(old) - _MOST_NAMED} more" if len(old) > _MOST_NAMED else ""
    )
    return UP_TO_DATE.check(
        not old,
        expected="every recent batch as today's champion, costs, spec and code would score it",
        found=named or "no batch that is old",
        todo=f"nothing if the lists have been used already; else run `churn score {dataset.name} BATCH`, or {score_job_name(dataset.name)} for these batches",
    )
