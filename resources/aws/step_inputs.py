"""The objects that a step reads, and whether landed ones are still what its version was computed from."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from os.path import commonprefix

from churn_model.errors import listed, problem
from resources.aws.lake import S3Lake
from resources.errors import StepFailed
from resources.ports.lake import Entry
from resources.ports.runner import StepRequest

_AGAIN = "run the job again once all files are complete"


class StepInputs:
    """The inputs of one request, listed once."""

    def __init__(self, lake: S3Lake, request: StepRequest) -> None:
        self._lake, self._request = lake, request
        self._landed: Mapping[str, Entry] = {}  # as `require_unchanged` has last found them

    @cached_property
    def entries(self) -> Mapping[str, Sequence[Entry]]:
        """The objects of each input, by its name. Raise StepFailed for a key without an object."""
        return {name: list(self._find(keys)) for name, keys in self._request.inputs.items()}

    @property
    def size(self) -> int:
        """Bytes of all inputs together."""
        return sum(entry.size for entries in self.entries.values() for entry in entries)

    def require_unchanged(self, since: datetime | None = None) -> datetime | None:
        """Return when the last of the landed files was written; None if the step reads none.

        Raise StepFailed with every one that is not, or since a moment was not always, what the version was computed from.
        """
        contents = self._request.contents
        self._landed = found = self._list(list(contents))
        problems = [
            text for key, content in contents.items() if (text := self._describe_change(key, content, found, since))
        ]
        if problems:
            raise StepFailed(listed(problems))
        return max((entry.modified for entry in found.values()), default=None)

    def _find(self, keys: Sequence[str]) -> Iterator[Entry]:
        """Yield the objects that keys and prefixes name."""
        objects = [key for key in keys if not key.endswith("/")]
        found = self._landed if self._landed.keys() >= set(objects) else self._list(objects)
        for key in keys:
            entries = list(self._lake.entries(key)) if key.endswith("/") else [found[key]] if key in found else []
            if not entries:
                raise StepFailed(_describe_loss(key))
            yield from entries

    def _list(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """Return those of the keys that are there: one listing of what they have in common, however many they are."""
        wanted = set(keys)
        # Character by character, as prefixes of a bucket are.
        entries = self._lake.entries(commonprefix(list(keys))) if keys else ()  # noqa: RUF071
        return {entry.key: entry for entry in entries if entry.key in wanted}

    def _describe_change(self, key: str, content: str, found: Mapping[str, Entry], since: datetime | None) -> str:
        if key not in found:
            return _describe_loss(key)
        entry = found[key]
        is_same = f"{entry.size}:{self._lake.digests([entry])[key]}" == content
        if is_same and (since is None or entry.modified <= since):
            return ""
        return problem(
            expected=f"{key} to stay as it is while it is read", found="that it was changed or replaced", todo=_AGAIN
        )


def is_folder(keys: Sequence[str]) -> bool:
    """Return whether an input is one prefix, whose objects are its files."""
    return len(keys) == 1 and keys[0].endswith("/")


def _describe_loss(key: str) -> str:
    return problem(
        expected=f"{key} to stay as it is while it is read", found="that it was moved or removed", todo=_AGAIN
    )
