"""What a dataset no longer needs: versions that nothing names, and the remains of steps that died.

Never removed, whatever their age: what a pointer, a batch's record, the ledger or a view names; every model that a decision was about; every
evaluation and comparison, which count how often the test rows were looked at. Files that this code does not know are left alone.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import sleep

from resources.catalog.decisions import list_decisions
from resources.catalog.integrity import find_manifest
from resources.catalog.names import (
    BATCH_PAGE,
    BATCH_PREDICTIONS,
    EVALUATION_PAGE,
    EXPLORATION_REPORT,
    LIST_LAYOUT,
    PREPROCESSED_SPLITS,
    RAW_BATCH,
    RAW_CUSTOMERS,
    RETENTION_LIST,
    SHADOW,
    TUNED_MODEL,
    UNLOADED,
    unload_prefix,
    version_prefix,
)
from resources.catalog.pointers import read_pointer
from resources.catalog.verification import list_shown
from resources.errors import DamagedError, SwapConflict
from resources.ports.lake import MANIFEST, Lake
from resources.ports.leftovers import Leftover
from resources.ports.runner import Runner
from resources.ports.tables import Tables

HANDOVER_SECONDS = 60.0
"""How long a run on another machine may need from finding a version to naming it by a pointer."""

# How many parts the key of a version has, of assets whose versions may be removed.
_LEVELS = dict.fromkeys(
    (RAW_BATCH, BATCH_PREDICTIONS, RETENTION_LIST, LIST_LAYOUT, BATCH_PAGE, SHADOW), 4
) | dict.fromkeys((RAW_CUSTOMERS, PREPROCESSED_SPLITS, TUNED_MODEL, EVALUATION_PAGE, EXPLORATION_REPORT, UNLOADED), 3)


@dataclass
class _Found:
    """The files below one version's prefix."""

    size: int = 0
    newest: datetime = field(default=datetime.min.replace(tzinfo=UTC))


def find_leftovers(lake: Lake, tables: Tables, runner: Runner, dataset: str, before: datetime) -> Sequence[Leftover]:
    """Return all that a dataset no longer needs and that has not changed since `before`. Raise LakeError if a pointer is damaged."""
    return [
        *find_unused_versions(lake, dataset, tables.shown(dataset), before),
        *runner.leftovers(dataset, before),
        *(each for prefix in (f"{dataset}/", f"landing/{dataset}/") for each in lake.leftovers(prefix, before)),
    ]


def find_unused_versions(lake: Lake, dataset: str, shown: Collection[str], before: datetime) -> list[Leftover]:
    """Return the versions of a dataset that nothing names and in which nothing has changed since `before`, in key order.

    `shown` are the prefixes that the tables name. Raise LakeError if a pointer is damaged: nobody knows then what it named.
    """
    return [
        Leftover(lake.uri(prefix), found.size, partial(remove_version, lake, prefix))
        for prefix, found in _find_unused(lake, dataset, _list_named(lake, dataset, shown), before).items()
    ]


def remove_shared(lake: Lake, tables: Tables, dataset: str, before: datetime) -> list[Leftover]:
    """Remove the versions that `find_unused_versions` finds in a lake in which other machines may be at work, and return them.

    Their manifests go first: a run that asks for one of them from then on makes it again. Then those runs have time to move their pointers that have
    found one just before. What is named by then, or is being made again, stays. Raise LakeError if a pointer is damaged; whatever is raised, the
    manifests that were withdrawn are put back.
    """
    unused = _find_unused(lake, dataset, _list_named(lake, dataset, tables.shown(dataset)), before)
    manifests = {prefix: read_pointer(lake, prefix + MANIFEST) for prefix in unused}
    with ExitStack() as unless_done:
        unless_done.callback(_put_back, lake, manifests, manifests)
        for prefix in unused:
            lake.withdraw(prefix)
        if unused:
            sleep(HANDOVER_SECONDS)
        named = _list_named(lake, dataset, tables.shown(dataset))
        if _put_back(lake, manifests, [prefix for prefix in unused if _is_named(prefix, named)]):
            # By the manifest of a table that was put back, the copy is named that it was made from.
            named = _list_named(lake, dataset, tables.shown(dataset))
            _put_back(lake, manifests, [prefix for prefix in unused if _is_named(prefix, named)])
        still = _find_unused(lake, dataset, named, before)
        unless_done.pop_all()
    removed = []
    for prefix in unused.keys() & still.keys():
        lake.discard(prefix)
        removed.append(Leftover(lake.uri(prefix), unused[prefix].size, partial(lake.discard, prefix)))
    return sorted(removed, key=lambda each: each.name)


def _put_back(lake: Lake, manifests: Mapping[str, bytes | None], prefixes: Iterable[str]) -> bool:
    """Show versions again by the manifests that were withdrawn. Return whether there was any to show."""
    shown = [(prefix, manifest) for prefix in prefixes if (manifest := manifests[prefix])]
    for prefix, manifest in shown:
        with suppress(SwapConflict):  # it is there, or was made again
            lake.swap(prefix + MANIFEST, None, manifest)
    return bool(shown)


def _list_named(lake: Lake, dataset: str, shown: Collection[str]) -> set[str]:
    named = {*list_shown(lake, dataset), *shown}
    named |= {version_prefix(dataset, TUNED_MODEL, decision.version) for decision in list_decisions(lake, dataset)}
    return named | set(_copies_of(lake, dataset, named))


def _is_named(prefix: str, named: Collection[str]) -> bool:
    return any(name.startswith(prefix) for name in named)


def _find_unused(lake: Lake, dataset: str, named: Collection[str], before: datetime) -> dict[str, "_Found"]:
    return {
        prefix: found
        for prefix, found in _list_versions(lake, dataset).items()
        if found.newest < before and not _is_named(prefix, named)
    }


def remove_version(lake: Lake, prefix: str) -> None:
    """Remove a version: first its manifest, so that what is left after a kill is no version."""
    lake.withdraw(prefix)
    lake.discard(prefix)


def _copies_of(lake: Lake, dataset: str, named: Collection[str]) -> Iterator[str]:
    """Yield the prefixes of the copies of a user's table that named versions were made from."""
    for prefix in named:
        if prefix.startswith(f"{dataset}/{RAW_CUSTOMERS}/"):
            with suppress(DamagedError):  # it is made again from the table itself
                manifest = find_manifest(lake, prefix)
                yield from (
                    unload_prefix(dataset, version) for version in (manifest.upstream.values() if manifest else ())
                )


def _list_versions(lake: Lake, dataset: str) -> dict[str, _Found]:
    """Return what is below the prefixes of versions, published or not, of the assets whose versions may be removed."""
    versions: dict[str, _Found] = {}
    for entry in lake.entries(f"{dataset}/"):
        parts = entry.key.split("/")
        levels = _LEVELS.get(parts[1])
        if levels is None or len(parts) <= levels:
            continue
        found = versions.setdefault("/".join(parts[:levels]) + "/", _Found())
        found.size += entry.size
        found.newest = max(found.newest, entry.modified)
    return versions
