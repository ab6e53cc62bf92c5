"""What a test of a challenger notes of each customer, what is kept of each day, and when the guard looks.

In the test's folder: a file of the running day's first requests, which holds hashes of ids; counts of each day that is over; hashes of all customers so
far; and the alarm, once there is one. It ends the test: then nothing is noted any more, and notes and hashes are removed.
"""

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from churn_assets.model_server.options import Candidate
from churn_model.evaluation.variant_guard import Alarm, Answers, Day, count_day, find_alarms
from churn_model.stats.always_valid import Events
from churn_model.wording import percent
from resources.durable import make_folders, replace_file
from resources.file_locks import open_lock, try_lock

_COLUMNS = {
    "customer": pa.uint64(),
    "is_challenger": pa.int8(),
    "failed": pa.int8(),
    "seconds": pa.float64(),
    "probability": pa.float64(),
}
_LINE = re.compile(rb"(?m)^\d{1,20},[01],[01],\d+\.\d{6},(?:nan|\d+(?:\.\d+)?(?:e-\d+)?)\n")
_LATE = timedelta(minutes=2)
"""After midnight, answers of the day before may still be noted."""
Hashes = npt.NDArray[np.uint64]


class AbTest:
    """A test in a folder that all workers share, and that the next server finds again.

    on_alarm   told once, in words
    now        the time, in UTC
    """

    def __init__(
        self,
        folder: Path,
        dataset: str,
        option: Candidate,
        *,
        on_alarm: Callable[[str], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        look_every: timedelta = timedelta(minutes=10),
    ) -> None:
        self._folder, self._dataset, self._option = folder, dataset, option
        self._on_alarm, self._now, self._look_every = on_alarm, now, look_every
        make_folders(folder)
        self._day: date | None = None
        self._noted: set[int] = set()
        self._looked = datetime.min.replace(tzinfo=UTC)
        self._is_over = self._alarm.exists()

    @property
    def is_withdrawn(self) -> bool:
        """Whether all customers are the champion's again."""
        return self._option.withdraw and self._is_over

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
        now, self._is_over = self._now(), self._alarm.exists()
        if self._is_over:
            self._remove_notes()  # also what a worker has noted that did not know it yet
        if self._is_over or now < self._looked + self._look_every:
            return []
        self._looked = now
        with open_lock(self._folder / "looking") as lock:
            if not try_lock(lock) or self._alarm.exists():
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

    def _remove_notes(self) -> None:
        for notes in (*self._folder.glob("*.csv"), self._folder / "seen"):
            notes.unlink(missing_ok=True)

    def _noted_on(self, day: date) -> Path:
        return self._folder / f"{day}.csv"

    def _count_days(self, now: datetime) -> list[Day]:
        """Return the counts of all days, the running one last. Days that are over are counted once, and their notes deleted."""
        today = (now - _LATE).date()
        running: list[Day] = []
        for notes in sorted(self._folder.glob("*.csv")):
            answers, customers = self._read(notes)
            if notes.stem >= str(today):
                running.append(count_day(answers, errors_alone=True))
                continue
            counts = notes.with_suffix(".json")
            if not counts.exists():
                _replace(counts, json.dumps(_to_plain(count_day(answers))).encode())
            _replace(self._folder / "seen", np.union1d(self._seen(), customers).tobytes())
            notes.unlink()
        over = [_from_plain(json.loads(path.read_bytes())) for path in sorted(self._folder.glob("*.json"))]
        return over + running

    def _seen(self) -> Hashes:
        path = self._folder / "seen"
        return np.frombuffer(path.read_bytes() if path.exists() else b"", dtype=np.uint64)

    def _read(self, notes: Path) -> tuple[Answers, Hashes]:
        """Return the first request of each customer. A line that a dying worker left unfinished is passed over."""
        columns = {name: column.to_numpy() for name, column in _parse(notes.read_bytes()).items()}
        customers, first = np.unique(columns["customer"], return_index=True)
        answers = Answers(
            is_challenger=columns["is_challenger"][first] == 1,
            is_new=~np.isin(customers, self._seen()),
            failed=columns["failed"][first] == 1,
            seconds=columns["seconds"][first],
            score=columns["probability"][first],
        )
        return answers, customers


def _parse(notes: bytes) -> dict[str, pa.ChunkedArray]:
    """Return the columns of the whole lines."""
    lines = b"".join(_LINE.findall(notes))
    if not lines:
        return {name: pa.chunked_array([[]], kind) for name, kind in _COLUMNS.items()}
    table = csv.read_csv(
        pa.BufferReader(lines),
        read_options=csv.ReadOptions(column_names=list(_COLUMNS), use_threads=False),
        convert_options=csv.ConvertOptions(column_types=_COLUMNS),
    )
    return dict(zip(table.column_names, table.columns, strict=True))


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


def _to_plain(day: Day) -> dict[str, Any]:
    return {"customers": day.customers, "events": day.events, "new_events": day.new_events}


def _from_plain(plain: dict[str, Any]) -> Day:
    return Day(
        customers=Events(*plain["customers"]),
        events={name: Events(*pair) for name, pair in plain["events"].items()},
        new_events={name: Events(*pair) for name, pair in plain["new_events"].items()},
    )
