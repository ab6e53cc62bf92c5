"""Read everything that a dataset's pointers name, and compare it with its manifests. Restore pointers from what else is recorded."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from resources.catalog.decisions import Decision, list_champions, list_decisions
from resources.catalog.integrity import find_damage, find_manifest, read_manifest
from resources.catalog.ledger import INPUTS, Entry, Ledger, read_ledger
from resources.catalog.names import (
    EVALUATION_REPORT,
    RETENTION_LIST,
    TABLE_ASSETS,
    TUNED_MODEL,
    batch_of_key,
    batches_prefix,
    champion_key,
    ledger_key,
    remedy_for,
    version_prefix,
    versions_prefix,
)
from resources.catalog.pointers import (
    Champion,
    Current,
    parse_pointer,
    read_batch,
    read_champion,
    read_pointer,
    to_bytes,
)
from resources.errors import DamagedError, LakeError
from resources.ports.lake import MANIFEST, Lake

_CURRENT = "/current.json"


@dataclass
class Verification:
    """What was read of a dataset, and what of it is damaged, with what to do."""

    versions: int = 0
    files: int = 0
    size: int = 0  # bytes
    problems: list[str] = field(default_factory=list)


def verify_dataset(lake: Lake, dataset: str) -> Verification:
    """Read every pointer of a dataset, and every file of every version that one names."""
    verification = Verification()
    prefixes: dict[str, None] = {}
    for read in _readers(lake, dataset):
        try:
            prefixes |= dict.fromkeys(read())
        except LakeError as damage:
            verification.problems.append(str(damage))
    for prefix in prefixes:
        verification.versions += 1
        try:
            files = read_manifest(lake, prefix).files
        except DamagedError as damage:
            verification.problems.append(str(damage))
            continue
        verification.files += len(files)
        verification.size += sum(file.size for file in files.values())
        verification.problems += find_damage(lake, prefix, files, tables=True)
    return verification


def list_shown(lake: Lake, dataset: str) -> list[str]:
    """Return the prefixes of all versions that a dataset's pointers name. Raise LakeError if one is damaged."""
    return [prefix for read in _readers(lake, dataset) for prefix in read()]


def _readers(lake: Lake, dataset: str) -> Iterator[Callable[[], Sequence[str]]]:
    """Yield a function for each pointer that returns the prefixes that it names, and raises LakeError if it is damaged."""

    def champion() -> Sequence[str]:
        found = read_champion(lake, dataset)
        return [found.prefix, found.evaluation] if found else []

    def decisions() -> Sequence[str]:
        list_decisions(lake, dataset)
        return []  # what earlier decisions name may have been removed since

    def ledger() -> Sequence[str]:
        data = read_pointer(lake, ledger_key(dataset))
        return [entry.prefix for entry in read_ledger(lake, dataset, data).entries]

    def current(key: str) -> Callable[[], Sequence[str]]:
        todo = remedy_for(key.removesuffix(_CURRENT.removeprefix("/")))
        return lambda: [parse_pointer(lake, key, lake.read(key), Current, todo).prefix]

    def batch(name: str) -> Callable[[], Sequence[str]]:
        def read() -> Sequence[str]:
            record = read_batch(lake, dataset, name)
            shown = (record.rows, record.champion, record.list) if record else ()
            return [each.prefix for each in shown if each]

        return read

    yield champion
    yield decisions
    yield ledger
    for entry in lake.entries(f"{dataset}/"):
        if entry.key.endswith(_CURRENT):
            yield current(entry.key)
    for entry in lake.entries(batches_prefix(dataset)):
        yield batch(batch_of_key(dataset, entry.key))


def repair_dataset(lake: Lake, dataset: str) -> list[str]:
    """Restore the champion's pointer from the recorded decisions, and the ledger from the published lists. Return what was repaired.

    Whole ones are left alone. Nothing is promoted: the champion is the one that the last decision made champion. Shown tables whose content
    is damaged are withdrawn, so that the run that made them makes them again; by their sizes alone it would find them whole.
    """
    restored = []
    data = read_pointer(lake, ledger_key(dataset))
    try:
        read_ledger(lake, dataset, data)
    except DamagedError:
        ledger = collect_lists(lake, dataset)
        lake.swap(ledger_key(dataset), data, ledger.to_json())
        restored.append(f"{lake.uri(ledger_key(dataset))} from {len(ledger.entries)} published lists")
    try:
        read_champion(lake, dataset)
    except DamagedError:
        champion = replay_decisions(dataset, list_champions(lake, dataset))
        if champion:
            key = champion_key(dataset)
            lake.swap(key, read_pointer(lake, key), to_bytes(champion))
            restored.append(f"{lake.uri(key)} from the recorded decisions: the champion is {champion.version}")
    return [f"Restored {each}." for each in restored] + withdraw_damaged_tables(lake, dataset)


def withdraw_damaged_tables(lake: Lake, dataset: str) -> list[str]:
    """Withdraw the shown rows, splits and predictions that are damaged, and return which. What reads them next has them made again.

    Models and lists stay: the champion scores without the tables beside it, and a list that is not published is forgotten by a new ledger.
    """
    withdrawn = []
    for prefix in _list_whole_pointers(lake, dataset):
        manifest = find_manifest(lake, prefix) if prefix.split("/")[1] in TABLE_ASSETS else None
        if manifest and find_damage(lake, prefix, manifest.files, tables=True):
            lake.withdraw(prefix)
            withdrawn.append(f"Withdrew {lake.uri(prefix)}, which is damaged: {remedy_for(prefix)}.")
    return withdrawn


def _list_whole_pointers(lake: Lake, dataset: str) -> Iterator[str]:
    """Yield the prefixes that whole pointers name, each once."""
    seen: set[str] = set()
    for read in _readers(lake, dataset):
        with suppress(LakeError):
            new = set(read()) - seen
            seen |= new
            yield from sorted(new)


def replay_decisions(dataset: str, champions: Sequence[Decision]) -> Champion | None:
    """Return the champion that decisions lead to, in the order in which they were made; None without any."""
    champion: Champion | None = None
    for decision in champions:
        previous, barred = (champion.version, champion.barred) if champion else (None, ())
        if decision.outcome == "rolled_back" and previous:
            barred = tuple(each for each in (*barred, previous) if each != decision.version)
        champion = Champion(
            decision.version,
            version_prefix(dataset, TUNED_MODEL, decision.version),
            version_prefix(dataset, EVALUATION_REPORT, decision.evaluation),
            decision.decided_at,
            decision.outcome,
            decision.reason,
            previous,
            barred,
        )
    return champion


def collect_lists(lake: Lake, dataset: str) -> Ledger:
    """Return a ledger of every published list. One that never entered counts as well: nobody is contacted twice for want of an entry.

    Raise DamagedError if the manifest of one is damaged: without it the ledger would forget a list.
    """
    lists, entries = versions_prefix(dataset, RETENTION_LIST), []
    for key in (entry.key for entry in lake.entries(lists) if entry.key.endswith(f"/{MANIFEST}")):
        prefix = key.removesuffix(MANIFEST)
        manifest = read_manifest(lake, prefix)
        batch = prefix.removeprefix(lists).partition("/")[0]
        entries.append(
            Entry(batch, manifest.version, prefix, manifest.upstream.get(INPUTS, ""), listed_at=manifest.made_at)
        )
    return Ledger(tuple(sorted(entries, key=lambda entry: entry.time)))
