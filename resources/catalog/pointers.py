"""Pointers: the small JSON objects that say which version is shown, who is champion, and what became of a batch.

    <dataset>/<asset>/current.json     the version that readers see
    <dataset>/champion.json            the model that scores
    <dataset>/batches/<batch>.json     a landed batch: its fingerprint and the champion that scores it

Everything else in the lake is written once. A pointer moves by compare-and-swap.
"""

import json
from dataclasses import asdict, dataclass, replace

from resources.errors import NotInLake, SwapConflict
from resources.ports.lake import Lake

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
    barred: tuple[str, ...] = ()  # models taken back by hand: the gate does not promote them again


@dataclass(frozen=True)
class BatchRecord:
    """A landed batch as it was last taken up."""

    batch: str
    fingerprint: str  # of its content
    listing: str  # of how it looked in a listing: cheap to compare
    landed_at: str  # ISO time in UTC: when this content was first taken up
    rows: Current  # the ingested rows
    champion: Current  # the model resolved for them
    list: Current | None = None  # the retention list made of them; None until the batch is done


def champion_key(dataset: str) -> str:
    """Where the champion's pointer lies."""
    return f"{dataset}/champion.json"


def current_key(dataset: str, asset: str) -> str:
    """Where an asset's pointer lies."""
    return f"{dataset}/{asset}/current.json"


def batch_key(dataset: str, batch: str) -> str:
    """Where a batch's record lies."""
    return f"{dataset}/batches/{batch}.json"


def read_bytes(lake: Lake, key: str) -> bytes | None:
    """A pointer's bytes, or None where there is no such pointer."""
    try:
        return lake.read(key)
    except NotInLake:
        return None


def read_current(lake: Lake, dataset: str, asset: str) -> Current | None:
    """The version shown for an asset, or None before the first."""
    data = read_bytes(lake, current_key(dataset, asset))
    return Current(**json.loads(data)) if data else None


def read_champion(lake: Lake, dataset: str) -> Champion | None:
    """The champion, or None before the first promotion."""
    data = read_bytes(lake, champion_key(dataset))
    if not data:
        return None
    raw = json.loads(data)
    return Champion(**{**raw, "barred": tuple(raw["barred"])})


def read_batch(lake: Lake, dataset: str, batch: str) -> BatchRecord | None:
    """What is known of a batch, or None where it was never taken up."""
    data = read_bytes(lake, batch_key(dataset, batch))
    if not data:
        return None
    raw = json.loads(data)
    done = Current(**raw["list"]) if raw.get("list") else None
    return BatchRecord(**{**raw, "rows": Current(**raw["rows"]), "champion": Current(**raw["champion"]), "list": done})


def encoded(value: Current | Champion | BatchRecord) -> bytes:
    """A pointer as it stands in the lake."""
    return json.dumps(asdict(value), sort_keys=True, ensure_ascii=False, indent=1).encode()


def show(lake: Lake, key: str, value: Current | BatchRecord) -> None:
    """Let a pointer say `value`, whatever it said before: versions are made from what they are made from, so the later reader is right."""
    for attempt in range(_TRIES):
        found = read_bytes(lake, key)
        if found == encoded(value):
            return
        try:
            lake.swap(key, found, encoded(value))
            return
        except SwapConflict:
            if attempt == _TRIES - 1:
                raise


def record_batch(lake: Lake, dataset: str, record: BatchRecord) -> None:
    """Record a batch as it was taken up. The same content keeps its time, and with the same rows and champion its list: a repeat changes nothing."""
    known = read_batch(lake, dataset, record.batch)
    if known and known.fingerprint == record.fingerprint:
        record = replace(record, landed_at=known.landed_at)
        record = known if replace(known, list=None) == record else record
    show(lake, batch_key(dataset, record.batch), record)
