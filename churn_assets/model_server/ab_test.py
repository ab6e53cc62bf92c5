"""What a test of a challenger notes of each customer, what is kept of each day, and when the guard looks.

In the test's folder: a file of the running day's first requests, which holds hashes of ids; counts of each day that is over; hashes of all customers so
far; what the test is; and the alarm, once there is one, or that a person withdrew the candidate. Either ends the test: then nothing is noted any more,
and notes and hashes are removed.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from threading import Lock
from time import monotonic

import numpy as np
import numpy.typing as npt

from churn_assets.model_server.ab_notes import day_from_plain, day_to_plain, parse_notes
from churn_assets.model_server.options import Candidate
from churn_model.errors import ChurnError, problem
from churn_model.evaluation.variant_guard import Alarm, Answers, Day, count_day, find_alarms
from churn_model.records import from_plain
from churn_model.serving.shadow import Shadow
from churn_model.wording import percent
from resources.durable import make_folders, replace_file
from resources.file_locks import hold, open_lock, try_lock

SHADOW = "shadow.json"
TESTS = "ab"
"""The folder of tests in CHURN_HOME."""
_QUICK_SECONDS = 0.05
_KEEP_EVERY = timedelta(seconds=5)
_LATE = timedelta(minutes=2)
"""After midnight, answers of the day before may still be noted."""
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class About:
    """What a test is; `since`: when it was begun, in UTC."""

    dataset: str
    candidate: Candidate
    since: str


@dataclass(frozen=True, kw_only=True)
class State:
    """A test as its notes have it.

    ended         why it has ended, None while it runs
    is_withdrawn  whether all customers are the champion's again; an alarm alone may leave the candidate its share
    days          the counts of each day, the running one last
    today         the answers of the running day, None if there are none
    shadow        what both models decided, for one in the shadow
    """

    about: About
    is_served: bool
    ended: str | None
    is_withdrawn: bool
    days: list[Day]
    today: Answers | None
    shadow: Shadow


class AbTest:
    """A test in a folder that all workers share, and that the next server finds again.

    on_alarm   told once, in words
    now        the time, in UTC
    look_every at least, between two looks of a worker; more if a look takes long, so that it is a hundredth of its time
    """

    def __init__(
        self,
        folder: Path,
        dataset: str,
        option: Candidate,
        *,
        on_alarm: Callable[[str], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        look_every: timedelta = timedelta(seconds=5),
    ) -> None:
        self._folder, self._dataset, self._option = folder, dataset, option
        self._on_alarm, self._now, self._look_every = on_alarm, now, look_every
        make_folders(folder)
        self._day: date | None = None
        self._noted: set[int] = set()
        self._look_again = self._kept = datetime.min.replace(tzinfo=UTC)
        self._shadow, self._adding = Shadow(), Lock()
        self._is_over = self._is_withdrawn_by_hand = False
        self._see_whether_it_is_over()

    @property
    def is_withdrawn(self) -> bool:
        """Whether all customers are the champion's again."""
        return self._is_withdrawn_by_hand or (self._option.withdraw and self._is_over)

    def _see_whether_it_is_over(self) -> None:
        self._is_withdrawn_by_hand = self._by_hand.exists()
        self._is_over = self._is_withdrawn_by_hand or self._alarm.exists()

    @contextmanager
    def served(self) -> Iterator[None]:
        """Write down what the test is, and that it is being served until the server ends, whatever ends it."""
        known = self._about.exists() and _read_about(self._about)
        since = known.since if known else self._now().isoformat(timespec="seconds")
        about = About(dataset=self._dataset, candidate=self._option, since=since)
        _replace(self._about, json.dumps(asdict(about)).encode())
        with hold(self._folder / "serving", shared=True):  # a server that takes another's place begins before it ends
            yield

    def withdraw(self) -> None:
        """Leave all customers to the champion, in all workers within a second, and for good."""
        _replace(self._by_hand, f"Withdrawn by hand, {self._now().isoformat(timespec='seconds')}.".encode())
        self._is_over = self._is_withdrawn_by_hand = True
        self._remove_notes()

    def read_state(self) -> State:
        """Return the test as its notes have it. Nothing is changed. Raise ChurnError if they cannot be read."""
        now = self._now()
        ends = [path.read_text("utf-8") for path in (self._by_hand, self._alarm) if path.exists()]
        running = self._noted_on(now.date())
        return State(
            about=_read_about(self._about),
            is_served=self._is_served(),
            ended=" ".join(ends) or None,
            is_withdrawn=self.is_withdrawn,
            days=self._count_days(now, keep=False),
            today=self._read(running, self._seen())[0] if running.exists() else None,
            shadow=self._read_shadow(),
        )

    def _is_served(self) -> bool:
        with open_lock(self._folder / "serving") as lock:
            return not try_lock(lock)

    def observe_shadow(self, shadow: Shadow) -> None:
        """Add what both models decided of the rows of a request."""
        with self._adding:
            self._shadow = self._shadow + shadow

    def observe(self, customer: int, *, is_challenger: bool, failed: bool, seconds: float, probability: float) -> None:
        """Note the first request of a customer today; those that follow are passed over. `customer`: a hash of the id."""
        if self._is_over:
            return
        today = self._now().date()
        if today != self._day:
            self._day, self._noted = today, set()
        if customer in self._noted:
            return
        self._noted.add(customer)
        line = f"{customer},{int(is_challenger)},{int(failed)},{seconds:.6f},{probability!r}\n"
        # One write that appends is whole, whatever other workers do.
        handle = os.open(self._noted_on(today), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def look(self) -> list[Alarm]:
        """Judge what was noted so far, if it is time and no other worker does, and tell of an alarm once. Return what rings now."""
        now = self._now()
        self._see_whether_it_is_over()
        if now >= self._kept + _KEEP_EVERY:
            self._kept = now
            self.keep_shadow()
        if self._is_over:
            self._remove_notes()  # also what a worker has noted that did not know it yet
        if self._is_over or now < self._look_again:
            return []
        began = monotonic()
        try:
            return self._judge(now)
        finally:
            self._look_again = now + self._look_every * max(1.0, (monotonic() - began) / _QUICK_SECONDS)

    def _judge(self, now: datetime) -> list[Alarm]:
        with open_lock(self._folder / "looking") as lock:
            if not try_lock(lock):
                return []
            self._see_whether_it_is_over()  # whoever had the lock until now may have rung
            if self._is_over:
                return []
            alarms = find_alarms(self._count_days(now), self._option.share)
            if alarms:
                line = describe_alarms(self._dataset, self._option, alarms)
                try:
                    self._on_alarm(line)
                finally:  # whether or not anybody could be told
                    _replace(self._alarm, line.encode())
                    self._is_over = True
                    self._remove_notes()
            return alarms

    @property
    def _alarm(self) -> Path:
        return self._folder / "alarm.txt"

    @property
    def _by_hand(self) -> Path:
        return self._folder / "withdrawn.txt"

    @property
    def _about(self) -> Path:
        return self._folder / "test.json"

    def keep_shadow(self) -> None:
        """Add what was decided since the last time to what all workers have decided."""
        with self._adding:
            added, self._shadow = self._shadow, Shadow()
        if added == Shadow():
            return
        try:
            with hold(self._folder / "adding"):
                _replace(self._folder / SHADOW, json.dumps(asdict(self._read_shadow() + added)).encode())
        except Exception:
            self.observe_shadow(added)  # to be kept the next time
            raise

    def _read_shadow(self) -> Shadow:
        path = self._folder / SHADOW
        return Shadow(**json.loads(path.read_bytes())) if path.exists() else Shadow()

    def _remove_notes(self) -> None:
        for notes in (*self._folder.glob("*.csv"), self._folder / "seen"):
            notes.unlink(missing_ok=True)

    def _noted_on(self, day: date) -> Path:
        return self._folder / f"{day}.csv"

    def _count_days(self, now: datetime, *, keep: bool = True) -> list[Day]:
        """Return the counts of all days, the running one last. With `keep`, days that are over are counted once, and their notes deleted."""
        today = (now - _LATE).date()
        running: dict[str, Day] = {}
        seen = self._seen()
        for notes in sorted(self._folder.glob("*.csv")):
            answers, customers = self._read(notes, seen)
            if notes.stem >= str(today):
                running[notes.stem] = count_day(answers, errors_alone=True)
                continue
            seen = np.union1d(seen, customers)
            if not keep:
                running[notes.stem] = count_day(answers)
                continue
            counts = notes.with_suffix(".json")
            if not counts.exists():
                _replace(counts, json.dumps(day_to_plain(count_day(answers))).encode())
            _replace(self._folder / "seen", seen.tobytes())
            notes.unlink(missing_ok=True)
        over = {path.stem: day_from_plain(json.loads(path.read_bytes())) for path in self._folder.glob("[0-9]*.json")}
        # A day may be in both, while or after another process counts it: its notes go last.
        return [day for _, day in sorted((running | over).items(), key=itemgetter(0))]

    def _seen(self) -> Hashes:
        return np.frombuffer(_read_if_there(self._folder / "seen"), dtype=np.uint64)

    def _read(self, notes: Path, seen: Hashes) -> tuple[Answers, Hashes]:
        """Return the first request of each customer. A line that a dying worker left unfinished is passed over."""
        columns = {name: column.to_numpy() for name, column in parse_notes(_read_if_there(notes)).items()}
        customers, first = np.unique(columns["customer"], return_index=True)
        answers = Answers(
            is_challenger=columns["is_challenger"][first] == 1,
            is_new=~np.isin(customers, seen),
            failed=columns["failed"][first] == 1,
            seconds=columns["seconds"][first],
            score=columns["probability"][first],
        )
        return answers, customers


def _read_if_there(path: Path) -> bytes:
    """Return what a file holds; nothing once another process has removed it."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _replace(path: Path, content: bytes) -> None:
    replace_file(path, lambda stream: stream.write(content))


def describe_alarms(dataset: str, option: Candidate, alarms: list[Alarm]) -> str:
    """Return what rings, in words, and what it does not say."""
    found = "; ".join(
        f"{percent(alarm.challenger)} {alarm.figure.words} (champion {percent(alarm.champion)})" for alarm in alarms
    )
    done = " All customers are the champion's again." if option.withdraw else ""
    return (
        f"{dataset}: {option.name} (model {option.version}) does not answer as the champion does. Of its customers {found}.{done} "
        "Which model is better is not said by this: that is the gate's word."
    )


def _read_about(path: Path) -> About:
    try:
        return from_plain(About, json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise ChurnError(
            problem(
                expected=f"what a test is in {path}",
                found=type(error).__name__,
                todo="remove its folder if it has ended",
            )
        ) from error


def find_tests(folder: Path, dataset: str) -> list[AbTest]:
    """Return the tests of a dataset that a server has begun, the last one first. Raise ChurnError if one cannot be read."""
    abouts = [_read_about(path) for path in folder.glob(f"{dataset}-*/test.json")]
    return [
        AbTest(folder_of_test(folder, each.dataset, each.candidate), dataset, each.candidate, on_alarm=lambda _: None)
        for each in sorted(abouts, key=lambda about: about.since, reverse=True)
        if each.dataset == dataset
    ]


def folder_of_test(folder: Path, dataset: str, option: Candidate) -> Path:
    """Return the folder of a test. Another name, version or share is another test."""
    return folder / f"{dataset}-{option.name}-{option.version}-{'shadow' if option.shadow else f'{option.share:g}'}"
