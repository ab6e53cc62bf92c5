"""What users dropped: which files count, what a batch is, and when it is whole.

landing/<dataset>/train/**               training data
landing/<dataset>/score/<batch>/**       a batch; a file dropped straight into score/ is a batch of its own
landing/<dataset>/outcomes/**            labels that come later
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from churn_model.errors import InputError, listed, problem
from churn_model.ingest.files import describe_endings, find_format
from resources.catalog.digests import digest_of
from resources.catalog.names import batch_landing_prefix, score_prefix, train_prefix
from resources.errors import CommandError
from resources.ports.lake import Entry, Lake

_BATCH_RULE = "Expected a batch name of letters, digits and . _ = - (at most 64, the first a letter or digit); found {found!r}. Rename it"
BATCH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,63}")


def is_data(key: str) -> bool:
    """Whether an object is data: names that begin with `.` or `_` are marks of the tools that wrote it."""
    return not key.rpartition("/")[2].startswith((".", "_"))


def batch_of(dataset: str, key: str) -> str:
    """The batch that a landed object belongs to, whatever its name."""
    return key.removeprefix(score_prefix(dataset)).partition("/")[0]


def list_landed(lake: Lake, prefix: str) -> list[Entry]:
    """The data objects below a landing prefix, in key order."""
    return [entry for entry in lake.entries(prefix) if is_data(entry.key)]


def list_batch(lake: Lake, dataset: str, batch: str) -> list[Entry]:
    """The data objects of one batch. Raises CommandError for what can be no batch's name; InputError where there is none."""
    if not BATCH_NAME.fullmatch(batch):
        raise CommandError(_BATCH_RULE.format(found=batch[:80]))
    prefix = score_prefix(dataset)
    found = [entry for entry in list_landed(lake, prefix + batch) if batch_of(dataset, entry.key) == batch]
    if not found:
        raise InputError(
            f"Expected files of batch {batch} below {lake.uri(prefix + batch)}; found none. Land them: `churn land {dataset} FILE --batch {batch}`"
        )
    return found


def fingerprints(lake: Lake, entries: Sequence[Entry]) -> dict[str, str]:
    """Return the size and the content's digest of each landed object, by key."""
    digests = lake.digests(entries)
    return {entry.key: f"{entry.size}:{digests[entry.key]}" for entry in entries}


def fingerprint_of(contents: dict[str, str]) -> str:
    """One text for all of a batch's content."""
    return digest_of("\x00".join(f"{key}={value}" for key, value in sorted(contents.items())).encode())


def listing_of(entries: Iterable[Entry], before: str = "") -> str:
    """One text for how a batch looks in a listing; a listing cut into pages is carried on with `before`. No content is read for it."""
    for entry in entries:
        before = digest_of(f"{before}\x00{entry.key}\x00{entry.size}\x00{entry.token}".encode())
    return before


@dataclass(frozen=True)
class Landing:
    """A file that was landed: its key, and whether it took the place of another of that name."""

    key: str
    replaced: bool


def land(lake: Lake, dataset: str, files: Sequence[Path], batch: str | None) -> list[Landing]:
    """Put files into the landing, each whole. Raises CommandError with all that is wrong before any is landed."""
    problems = [f"Expected a file; found nothing at {path}. See to the name" for path in files if not path.is_file()]
    problems += [
        problem(expected=describe_endings(), found=path.name, todo="convert the file")
        for path in files
        if find_format(path.name) is None
    ]
    names = [path.name for path in files]
    problems += [
        f"Expected each file's name once; found {name} twice. Rename one"
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
    if batch is not None and not BATCH_NAME.fullmatch(batch):
        problems.append(_BATCH_RULE.format(found=batch[:80]))
    if problems:
        raise CommandError(listed(problems))
    folder = train_prefix(dataset) if batch is None else batch_landing_prefix(dataset, batch)
    made = [Landing(folder + path.name, _is_there(lake, folder + path.name)) for path in files]
    for path, landing in zip(files, made, strict=True):
        lake.put(landing.key, path)
    return made


def _is_there(lake: Lake, key: str) -> bool:
    return any(entry.key == key for entry in lake.list(key, limit=1))
