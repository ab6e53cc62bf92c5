"""Pointers: the small JSON objects that name the version that is shown, the champion, and what became of a batch.

    <dataset>/<asset>/current.json     the version that readers see
    <dataset>/champion.json            the model that scores
    <dataset>/batches/<batch>.json     a landed batch: its fingerprint and the champion that scores it

Everything else in the lake is written once. A pointer moves by compare-and-swap.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

import dagster as dg

from churn_model.errors import ChurnError, problem
from churn_model.records import from_plain
from resources.catalog.decisions import list_champions
from resources.catalog.integrity import describe_content
from resources.catalog.names import batch_key, champion_key, current_key, remedy_for, versions_prefix
from resources.errors import DamagedError, NotInLake, SwapConflict
from resources.ports.lake import Lake

T = TypeVar("T")
_TRIES = 5


@dataclass(frozen=True)
class Current:
    """The version of an asset that readers see."""

    version: str
    prefix: str


@dataclass(frozen=True)
class Champion:
    """The model that scores, and the one before it for the way back."""

    version: str
    prefix: str
    evaluation: str  # prefix of the evaluation that promoted it
    since: str  # ISO time in UTC
    outcome: str
    reason: str
    previous: str | None = None
    barred: tuple[str, ...] = ()  # models rolled back by hand: the gate does not promote them again


@dataclass(frozen=True)
class BatchRecord:
    """A landed batch as it was last ingested."""

    batch: str
    fingerprint: str  # of its content
    listing: str  # digest of its listing: cheap to compare
    landed_at: str  # ISO time in UTC: when this content was first ingested
    rows: Current  # the ingested rows
    champion: Current  # the model resolved for them
    list: Current | None = None  # the retention list made of them; None until the batch is done
    accepted: str | None = None  # the predictions that a person accepted although the batch does not look like training
    provisional: str | None = None  # why the gate refused the model, if it is no champion


def utc_now() -> str:
    """Return the time as pointers and manifests write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_pointer(lake: Lake, key: str) -> bytes | None:
    """Return a pointer's bytes, or None if there is no such pointer."""
    try:
        return lake.read(key)
    except NotInLake:
        return None


def parse_pointer(lake: Lake, key: str, data: bytes, kind: type[T], todo: str) -> T:
    """Return a pointer's bytes as `kind`. Raise DamagedError, with what to do, if they are not what was written."""
    try:
        return from_plain(kind, json.loads(data))
    except (ValueError, RecursionError) as error:
        raise DamagedError(
            problem(expected=f"a pointer in {lake.uri(key)}", found=describe_content(data, error), todo=todo)
        ) from error


def read_current(lake: Lake, dataset: str, asset: str, batch: str | None = None) -> Current | None:
    """Return the version shown for an asset, or for one batch of it; None before the first. Raise DamagedError."""
    key = current_key(dataset, asset, batch)
    data = read_pointer(lake, key)
    if data is None:
        return None
    return parse_pointer(lake, key, data, Current, remedy_for(versions_prefix(dataset, asset, batch)))


def require_current(lake: Lake, dataset: str, asset: str, batch: str | None = None) -> Current:
    """Return the version shown for an upstream asset. Raise ChurnError if there is none yet."""
    current = read_current(lake, dataset, asset, batch)
    if current is None:
        command = f"churn retrain {dataset}" if batch is None else f"churn score {dataset} {batch}"
        raise ChurnError(
            problem(expected=f"a published {dataset}/{asset}", found="none", todo=f"run `{command}` first")
        )
    return current


def read_champion(lake: Lake, dataset: str) -> Champion | None:
    """Return the champion, or None before the first promotion.

    Raise DamagedError if the pointer cannot be read, or if there is none although a decision made a model the champion.
    """
    return parse_champion(lake, dataset, read_pointer(lake, champion_key(dataset)))


def parse_champion(lake: Lake, dataset: str, data: bytes | None) -> Champion | None:
    """Return the champion that a pointer's bytes name. Raises what `read_champion` raises."""
    key, todo = champion_key(dataset), f"run `churn verify {dataset} --repair`, or restore it from a copy"
    if data is not None:
        return parse_pointer(lake, key, data, Champion, todo)
    if list_champions(lake, dataset):
        raise DamagedError(problem(expected=f"a pointer at the champion in {lake.uri(key)}", found="none", todo=todo))
    return None


def require_champion(lake: Lake, name: str) -> Champion:
    """Return the champion of a dataset. Raise ChurnError if there is none."""
    champion = read_champion(lake, name)
    if champion is None:
        todo = f"run `churn retrain {name}` and see what its gate says"
        raise ChurnError(problem(expected=f"a champion of {name} to answer with", found="none", todo=todo))
    return champion


def read_batch(lake: Lake, dataset: str, batch: str) -> BatchRecord | None:
    """Return the record of a batch, or None if it was never ingested. Raise DamagedError if it cannot be read."""
    key = batch_key(dataset, batch)
    data = read_pointer(lake, key)
    todo = f"run `churn score {dataset} {batch}`, which writes it again"
    return None if data is None else parse_pointer(lake, key, data, BatchRecord, todo)


def to_bytes(value: Current | Champion | BatchRecord) -> bytes:
    """Return a pointer as the lake holds it."""
    return json.dumps(asdict(value), sort_keys=True, ensure_ascii=False, indent=1).encode()


def point_to(lake: Lake, key: str, value: Current | BatchRecord) -> None:
    """Point `key` at `value`, retrying on conflict. The last writer wins, which is safe because versions are content-addressed."""
    for attempt in range(_TRIES):
        found = read_pointer(lake, key)
        if found == to_bytes(value):
            return
        try:
            lake.swap(key, found, to_bytes(value))
            return
        except SwapConflict:
            if attempt == _TRIES - 1:
                raise


def record_batch(lake: Lake, dataset: str, record: BatchRecord) -> None:
    """Record a batch as it was ingested. The same content keeps its time, and with the same rows and champion its list: a repeat changes nothing."""
    try:
        known = read_batch(lake, dataset, record.batch)
    except DamagedError as damage:
        dg.get_dagster_logger().warning(f"The record of a batch is damaged and is written again. {damage}")
        known = None
    if known and known.fingerprint == record.fingerprint:
        record = replace(record, landed_at=known.landed_at)
        record = known if replace(known, list=None, accepted=None) == record else record
    point_to(lake, batch_key(dataset, record.batch), record)
