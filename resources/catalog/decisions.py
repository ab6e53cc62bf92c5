"""The history of decisions about models: `<dataset>/decisions/<number>.json`, written once and listed in the order in which they were made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from churn_model.errors import problem
from churn_model.records import from_plain
from resources.catalog.integrity import describe_content
from resources.catalog.names import decision_key, decisions_prefix
from resources.errors import DamagedError, SwapConflict
from resources.ports.lake import Entry, Lake

WAITING = "waiting"
"""The outcome for a candidate that the gate would promote, and that a person has yet to approve."""


@dataclass(frozen=True)
class Decision:
    """The outcome for one candidate, or a rollback."""

    version: str  # of the model
    evaluation: str  # version of the evaluation
    outcome: str  # first | promoted | kept | refused | waiting | rolled_back
    reason: str
    decided_at: str  # ISO time in UTC
    metrics: Mapping[str, float | None]

    @property
    def made_a_champion(self) -> bool:
        """Whether this decision made the model the champion."""
        return self.outcome in ("first", "promoted", "rolled_back")


def record_decision(lake: Lake, dataset: str, decision: Decision) -> None:
    """Append a decision to the history. A repetition of the last one is not recorded again."""
    content = json.dumps(asdict(decision), sort_keys=True, ensure_ascii=False, indent=1).encode()
    while True:
        entries = _list(lake, dataset)
        if entries and _is_same(_read(lake, entries[-1]), decision):
            return
        try:
            lake.swap(decision_key(dataset, _number_after(entries)), None, content)
        except SwapConflict:  # another run recorded a decision meanwhile: ours comes after it
            continue
        return


def list_decisions(lake: Lake, dataset: str) -> list[Decision]:
    """Return all decisions about a dataset's models, oldest first. Raise DamagedError if one is damaged."""
    return [_read(lake, entry) for entry in _list(lake, dataset)]


def list_decisions_after(lake: Lake, dataset: str, number: int) -> list[tuple[int, Decision]]:
    """Return the decisions after the one with this number, with their numbers. Raise DamagedError if one is damaged."""
    entries = [entry for entry in _list(lake, dataset) if entry.key > decision_key(dataset, number)]
    return [(_number_of(entry), _read(lake, entry)) for entry in entries]


def find_waiting(lake: Lake, dataset: str) -> Decision | None:
    """Return the decision about the candidate that waits until a person approves it, or None. Raise DamagedError if it is damaged."""
    entries = _list(lake, dataset)
    last = _read(lake, entries[-1]) if entries else None
    return last if last and last.outcome == WAITING else None


def list_champions(lake: Lake, dataset: str) -> list[Decision]:
    """Return the decisions that made a model the champion, oldest first."""
    return [decision for decision in list_decisions(lake, dataset) if decision.made_a_champion]


def _list(lake: Lake, dataset: str) -> list[Entry]:
    return [entry for entry in lake.entries(decisions_prefix(dataset)) if entry.key.endswith(".json")]


def _number_after(entries: Sequence[Entry]) -> int:
    return _number_of(entries[-1]) + 1 if entries else 1


def _number_of(entry: Entry) -> int:
    return int(entry.key.rpartition("/")[2].removesuffix(".json"))


def _read(lake: Lake, entry: Entry) -> Decision:
    data = lake.read_listed(entry)
    try:
        return from_plain(Decision, json.loads(data))
    except (ValueError, RecursionError) as error:  # RecordError and JSONDecodeError are ValueErrors
        raise DamagedError(
            problem(
                expected=f"a decision in {lake.uri(entry.key)}",
                found=describe_content(data, error),
                todo="restore the file from a copy, or remove it",
            )
        ) from error


def _is_same(first: Decision, second: Decision) -> bool:
    return (first.version, first.evaluation, first.outcome) == (second.version, second.evaluation, second.outcome)
