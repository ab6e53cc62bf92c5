"""The ledger of a dataset's retention lists: what was ever published as a list, and so which customers have been contacted.

A list is made against one state of the ledger and enters it by compare-and-swap. If another list entered first, it is made again against the
new state: two scores at once, wherever they run, never list a customer twice within the cooldown. A list stays in the ledger if its batch is
replaced or scored again: its contacts have been made. The ledger's time never goes back, whatever the clock does.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from churn_model.errors import problem
from churn_model.records import from_plain
from churn_model.spec.dataset import Dataset
from churn_model.spec.durations import seconds
from resources.catalog.integrity import describe_content, require_whole
from resources.catalog.names import RETENTION_LIST, ledger_key, versions_prefix
from resources.catalog.pointers import Current, read_current, read_pointer
from resources.catalog.publish import Publication, require_published
from resources.errors import DamagedError, SwapConflict
from resources.ports.lake import Lake

OUTCOME_DAYS = 90
"""How long an outcome takes to show: a customer stays held out, or not, for so long."""
INPUTS = "inputs"
"""Under this name the manifest of a list records what it was made of, apart from earlier lists."""
_SCHEMA = 1
_MOST_DAYS = 3
_OUTCOME = timedelta(days=OUTCOME_DAYS)
_CLOCK_SKEW = timedelta(hours=1)  # between machines


@dataclass(frozen=True)
class Entry:
    """A published list."""

    batch: str
    version: str
    prefix: str
    inputs: str  # what it was made of, apart from earlier lists
    listed_at: str  # ISO time in UTC

    @property
    def current(self) -> Current:
        """The pointer at it."""
        return Current(self.version, self.prefix)

    @property
    def time(self) -> datetime:
        """When it entered the ledger."""
        return datetime.fromisoformat(self.listed_at)


@dataclass(frozen=True)
class History:
    """What a new list has to respect: the lists within the cooldown, and those whose outcome is still open, oldest first."""

    listed_at: datetime  # the time of the new list
    recent: Sequence[Entry]
    settled: Sequence[Entry]

    @property
    def period(self) -> str:
        """The period for which hold-outs are drawn."""
        return str((self.listed_at - datetime(1970, 1, 1, tzinfo=UTC)).days // OUTCOME_DAYS)

    @property
    def upstream(self) -> dict[str, str]:
        """The lists and the period as a version names them."""
        recent = {entry.prefix for entry in self.recent}
        lists = {
            f"list {entry.prefix}": "within the cooldown" if entry.prefix in recent else "outcome still open"
            for entry in (*self.recent, *self.settled)
        }
        return {"period": self.period, **dict(sorted(lists.items()))}


@dataclass(frozen=True)
class Ledger:
    """One state of the ledger: its entries, oldest first."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def from_json(cls, data: bytes | None) -> "Ledger":
        """Return the ledger that `to_json` wrote; an empty one before the first list. Raise ValueError if it is something else."""
        return cls() if data is None else from_plain(cls, json.loads(data))

    def to_json(self) -> bytes:
        """Return the ledger as the lake holds it."""
        values = {"schema": _SCHEMA, "entries": [asdict(entry) for entry in self.entries]}
        return json.dumps(values, ensure_ascii=False, indent=1).encode()

    def latest(self, batch: str) -> Entry | None:
        """Return the list that entered last for a batch."""
        return next((entry for entry in reversed(self.entries) if entry.batch == batch), None)

    def history(self, now: datetime, cooldown: timedelta) -> History:
        """Return what a list made now has to respect."""
        listed_at = max([now, *(entry.time for entry in self.entries)])
        recent = [entry for entry in self.entries if cooldown and listed_at - entry.time <= cooldown]
        settled = [entry for entry in self.entries if listed_at - entry.time <= _OUTCOME]
        return History(listed_at, recent, settled)

    def add(self, entry: Entry, cooldown: timedelta) -> "Ledger":
        """Return the ledger with one more entry, and without those that no later list has to respect."""
        kept = max(cooldown, _OUTCOME)
        return Ledger((*(each for each in self.entries if entry.time - each.time <= kept), entry))


@dataclass(frozen=True)
class Standing:
    """What the ledger says of a batch's list.

    listed_at  ISO time in UTC at which it entered
    earlier    when the same batch was listed before, within the cooldown: ISO times, the latest first
    is_ahead   whether it is dated in the future, because an earlier list was made by a clock that was ahead
    """

    listed_at: str
    earlier: tuple[str, ...]
    is_ahead: bool


def find_standing(lake: Lake, dataset: Dataset, batch: str, shown: Current, now: datetime) -> Standing:
    """Return what the ledger says of the list that is shown for a batch. One that has left the ledger is dated by its manifest."""
    ledger = read_ledger(lake, dataset.name, read_pointer(lake, ledger_key(dataset.name)))
    entry = next((each for each in reversed(ledger.entries) if each.prefix == shown.prefix), None)
    if entry is None:
        return Standing(require_whole(lake, shown.prefix).made_at, (), is_ahead=False)
    cooldown = timedelta(seconds=seconds(dataset.list.cooldown))
    before = ledger.entries[: ledger.entries.index(entry)]
    earlier = [
        each.listed_at for each in reversed(before) if each.batch == batch and entry.time - each.time <= cooldown
    ]
    return Standing(entry.listed_at, tuple(earlier), is_ahead=entry.time - now > _CLOCK_SKEW)


def describe_standing(standing: Standing, cooldown: str) -> tuple[str, ...]:
    """Return what is to be said beside a list: that its batch was listed before, and that the clock was ahead."""
    notes = []
    if standing.earlier:
        days = sorted({each[:10] for each in standing.earlier}, reverse=True)
        notes.append(
            f"This batch had a list on {' and '.join(days[:_MOST_DAYS])}. Whoever was on it counts as contacted and is on no list again, "
            f"this one included, for {cooldown}."
        )
    if standing.is_ahead:
        notes.append(
            f"This list is dated {standing.listed_at[:10]}, which is in the future: an earlier list was made by a clock that was ahead, and the "
            "record of lists never goes back. The cooldown of everybody listed now counts from that day. Check the machine's clock."
        )
    return tuple(notes)


def read_ledger(lake: Lake, dataset: str, data: bytes | None) -> Ledger:
    """Return the ledger that the lake holds as `data`. Raise DamagedError if it cannot be read, or is not there although lists are.

    Without it, nobody knows whom earlier lists named, and customers would be contacted twice.
    """
    key = ledger_key(dataset)
    todo = f"run `churn verify {dataset} --repair`, or restore it from a copy"
    expected = f"the ledger of retention lists in {lake.uri(key)}"
    try:
        ledger = Ledger.from_json(data)
    except (ValueError, RecursionError) as error:
        found = describe_content(data or b"", error)
        raise DamagedError(problem(expected=expected, found=found, todo=todo)) from error
    if data is None and any(
        entry.key.endswith("/current.json") for entry in lake.entries(versions_prefix(dataset, RETENTION_LIST))
    ):
        raise DamagedError(problem(expected=expected, found="none beside published lists", todo=todo))
    return ledger


def enter_list(
    lake: Lake, dataset: Dataset, batch: str, inputs: str, now: datetime, make: Callable[[History], Publication]
) -> Publication:
    """Return the batch's list, entered in the ledger.

    The list that the batch has already is found again if it was made of the same `inputs`: a repeat contacts nobody a second time, and does
    not see itself as an earlier list. Otherwise `make` publishes one; it is called again if another list entered the ledger meanwhile.
    """
    key, cooldown = ledger_key(dataset.name), timedelta(seconds=seconds(dataset.list.cooldown))
    while True:
        data = read_pointer(lake, key)
        ledger = read_ledger(lake, dataset.name, data)
        known = _find_list(lake, dataset, batch, ledger)
        if known and known[0] == inputs:
            return _find_or_remake(lake, ledger, batch, known[1], cooldown, make)
        history = ledger.history(now, cooldown)
        made = make(history)
        time = history.listed_at.isoformat(timespec="microseconds")
        entry = Entry(batch, made.version, made.prefix, inputs, time)
        try:
            lake.swap(key, data, ledger.add(entry, cooldown).to_json())
            return made
        except SwapConflict:
            continue


def _find_or_remake(
    lake: Lake,
    ledger: Ledger,
    batch: str,
    current: Current,
    cooldown: timedelta,
    make: Callable[[History], Publication],
) -> Publication:
    """Return the list that a batch has. A damaged one is made again, against the ledger as it was then. Raise DamagedError if that gives another."""
    try:
        return Publication(current.version, current.prefix, require_published(lake, current.prefix), reused=True)
    except DamagedError:
        entry = ledger.latest(batch)
        if entry is None:
            raise
        earlier = Ledger(ledger.entries[: ledger.entries.index(entry)])
        made = make(earlier.history(entry.time, cooldown))
        if made.version != current.version:
            raise
        return made


def _find_list(lake: Lake, dataset: Dataset, batch: str, ledger: Ledger) -> tuple[str, Current] | None:
    """Return the inputs and the pointer of the batch's last list. One that has left the ledger is still shown, unless it is damaged."""
    entry = ledger.latest(batch)
    if entry:
        return entry.inputs, entry.current
    try:
        shown = read_current(lake, dataset.name, RETENTION_LIST, batch)
        return (require_whole(lake, shown.prefix).upstream.get(INPUTS, ""), shown) if shown else None
    except DamagedError:  # no later list has to respect it
        return None
