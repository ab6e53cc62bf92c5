"""What users dropped: which files count, what a batch is, and what cannot be read.

landing/<dataset>/train/**               training data
landing/<dataset>/score/<batch>/**       a batch; a file dropped straight into score/ is a batch of its own
landing/<dataset>/outcomes/**            labels that come later

What is no plain file is never opened or followed. A pipe, a socket or a device is passed over. A link, a folder without permission or a name
that is not UTF-8 may hold rows that someone counts on: it stops the batch, or the training data, that it is in, and nothing beside it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from churn_model.errors import InputError, listed, problem
from churn_model.ingest.files import ENDINGS, describe_endings, find_format
from churn_model.spec.dataset import Dataset
from resources.catalog.digests import digest_of, digest_of_parts
from resources.catalog.names import batch_landing_prefix, score_prefix, train_prefix
from resources.errors import CommandError
from resources.ports.lake import Entry, Lake, Unreadable

BATCH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,63}")
_OURS = frozenset({"ledger.json", "current.json"})  # they lie beside the folders of batches
_MOST_NAMED = 5
_CLOCK_SKEW_SECONDS = 3600  # between machines


def is_data(key: str) -> bool:
    """Return whether an object is data: names that begin with `.` or `_` are marks of the tools that wrote it."""
    return not key.rstrip("/").rpartition("/")[2].startswith((".", "_"))


def batch_of(dataset: str, key: str) -> str:
    """Return the batch that a landed object belongs to, whatever its name."""
    return key.removeprefix(score_prefix(dataset)).partition("/")[0]


def batch_name_problem(name: str) -> str | None:
    """Return what is wrong with a batch's name, or None."""
    if name.lower() in _OURS:
        return problem(expected="a batch whose name is no file's of ours", found=repr(name), todo="rename it")
    if BATCH_NAME.fullmatch(name):
        return None
    expected = "a batch name of letters, digits and . _ = - (at most 64, the first a letter or digit)"
    return problem(expected=expected, found=repr(name[:80]), todo="rename it")


def describe_unreadable(lake: Lake, found: Sequence[Unreadable]) -> str:
    """Return what cannot be read as text: the first few and why, and how many more there are."""
    named = [f"{lake.uri(each.key)}: {each.reason}" for each in found[:_MOST_NAMED]]
    return ". ".join([*named, *([f"And {len(found) - _MOST_NAMED:,} more"] if len(found) > _MOST_NAMED else [])])


def list_landed(lake: Lake, prefix: str) -> list[Entry]:
    """Return the data objects below a landing prefix, in key order."""
    return [entry for entry in lake.entries(prefix) if is_data(entry.key)]


@dataclass(frozen=True)
class Landed:
    """What one look at a landing prefix found: data objects in key order, and what was passed over because it can hold no data."""

    entries: Sequence[Entry]
    passed_over: Sequence[Unreadable]


def list_training(lake: Lake, dataset: str) -> Landed:
    """Return the training data. Raise InputError if there is none, or if some of it cannot be read."""
    prefix = train_prefix(dataset)
    landed = _sort_out(lake, lake.scan(prefix))
    if not landed.entries:
        raise InputError(
            problem(
                expected=f"at least one file ({', '.join(ENDINGS)}) below {lake.uri(prefix)}",
                found="none",
                todo=f"land one: `churn land {dataset} FILE`",
            )
        )
    return landed


def list_batch(lake: Lake, dataset: str, batch: str) -> Landed:
    """Return the data of one batch.

    Raise CommandError if the name can be no batch's; InputError if there is no such batch, or if some of it cannot be read.
    """
    if name_problem := batch_name_problem(batch):
        raise CommandError(name_problem)
    key = score_prefix(dataset) + batch
    file = lake.find(key)  # a file dropped straight into score/
    landed = _sort_out(lake, [file] if file else lake.scan(f"{key}/"))
    if not landed.entries:
        raise InputError(
            problem(
                expected=f"files of batch {batch} below {lake.uri(key)}",
                found="none",
                todo=f"land them: `churn land {dataset} FILE --batch {batch}`",
            )
        )
    return landed


def _sort_out(lake: Lake, found: Iterable[Entry | Unreadable]) -> Landed:
    """Return what a walk found, without the marks of tools. Raise InputError with all that may hold data and cannot be read."""
    entries: list[Entry] = []
    unreadable: list[Unreadable] = []
    for each in found:
        if is_data(each.key):
            entries.append(each) if isinstance(each, Entry) else unreadable.append(each)
    if lost := [each for each in unreadable if each.may_hold_data]:
        what = describe_unreadable(lake, lost)
        raise InputError(problem(expected="plain files only", found=what, todo="then run the job again"))
    return Landed(entries, unreadable)


def fingerprints(lake: Lake, entries: Sequence[Entry]) -> dict[str, str]:
    """Return the size and the content's digest of each landed object, by key."""
    digests = lake.digests(entries)
    return {entry.key: f"{entry.size}:{digests[entry.key]}" for entry in entries}


def fingerprint_of(contents: Mapping[str, str]) -> str:
    """Return a digest of all of a batch's content."""
    return digest_of_parts(f"{key}={value}" for key, value in sorted(contents.items()))


def listing_of(entries: Iterable[Entry], before: str = "") -> str:
    """Return a digest of a listing: no content is read. `before` is the digest of the part of the listing before these entries."""
    for entry in entries:
        before = digest_of(f"{before}\x00{entry.key}\x00{entry.size}\x00{entry.token}".encode())
    return before


def is_settled(newest: float, now: float, settle: float) -> bool:
    """Return whether what changed last at `newest` has been left alone for `settle` seconds. Times are seconds since 1970.

    A time far ahead, of a clock that was set back or of a copy that kept it, tells nothing: waiting for that day would be waiting for ever. What
    grows later is taken up again.
    """
    age = now - newest
    return age >= settle or age < -_CLOCK_SKEW_SECONDS


@dataclass(frozen=True)
class Landing:
    """A file that was landed: its key, and whether it replaced another of that name."""

    key: str
    replaced: bool


def land(lake: Lake, dataset: str, files: Sequence[Path], batch: str | None) -> list[Landing]:
    """Copy files into the landing area, each atomically. Raise CommandError with every problem before any is copied."""
    problems = [
        problem(expected="a file", found=f"none at {path}", todo="check the name")
        for path in files
        if not path.is_file()
    ]
    problems += [
        problem(expected=describe_endings(), found=path.name, todo="convert the file")
        for path in files
        if find_format(path.name) is None
    ]
    names = [path.name for path in files]
    problems += [
        problem(expected="each file's name once", found=f"{name} twice", todo="rename one")
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
    if batch is not None and (name_problem := batch_name_problem(batch)):
        problems.append(name_problem)
    if problems:
        raise CommandError(listed(problems))
    folder = train_prefix(dataset) if batch is None else batch_landing_prefix(dataset, batch)
    landings = [Landing(folder + path.name, lake.find(folder + path.name) is not None) for path in files]
    for path, landing in zip(files, landings, strict=True):
        lake.put(landing.key, path)
    return landings


def has_begun(lake: Lake, dataset: Dataset) -> bool:
    """Return whether there is anything of a dataset: a table of the user's own, landed files, or results."""
    prefixes = (train_prefix(dataset.name), score_prefix(dataset.name), f"{dataset.name}/")
    return bool(dataset.source.table) or any(True for prefix in prefixes for _ in lake.entries(prefix))
