"""Assign rows to train, validation and test, and check the result; both batch by batch, so that memory does not grow with the rows.

hash     u = hash / 2^64 of the id: test below `test`, validation below `test + validation`, train otherwise.
column   A column of the table names the split.
time     By snapshot date: train ends at least one horizon before validation begins, and validation one horizon before test begins. Each
         customer also stays in the split given by the hash, so no customer is in two splits; rows outside that split's window are unused.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import FloatArray
from churn_model.errors import InputError, Problem, problem
from churn_model.features.schema import Rows, column_named
from churn_model.spec.dataset import Dataset
from churn_model.spec.durations import seconds
from churn_model.training.shares import MIN_WINDOW

Assigned = npt.NDArray[np.int8]

TRAIN, VALIDATION, TEST, UNUSED = 0, 1, 2, -1
NAMES = ("train", "validation", "test")
MIN_TRAIN_ROWS = 30
_WRITTEN = {"train": TRAIN, "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION, "test": TEST}


def make_split_rule(batches: Iterable[Rows], dataset: Dataset) -> Callable[[Rows], Assigned]:
    """Return a function that assigns the rows of a batch: int8 (n,), 0 train, 1 validation, 2 test, -1 unused (by time only).

    By column or time, all batches are read first, for that column alone. Raise InputError if the column is absent or has another value, or if the
    snapshots leave no room for three windows.
    """
    if dataset.split.by == "column":
        name = dataset.split.column or ""
        _require_words(batches, name)
        return lambda rows: _assign_by_column(rows, name)
    if dataset.split.by == "time":
        windows = _find_windows(batches, dataset)
        return lambda rows: _assign_by_time(rows, dataset, *windows)
    return lambda rows: _assign_by_hash(rows, dataset)


class SplitCheck:
    """Check the rows of a split batch by batch, in canonical order: a customer's rows are neighbours."""

    def __init__(self) -> None:
        self.sizes = np.zeros(len(NAMES), dtype=np.int64)
        self.unused = 0
        self._left = np.zeros(len(NAMES), dtype=np.int64)
        self._shared = 0
        self._last: tuple[Any, int, int] | None = None  # the customer whose rows may go on: id, first and last split
        self._hash = 0
        self._in_order = True

    def add(self, rows: Rows, assigned: Assigned) -> None:
        """Add the next rows with `_id` and `_label`, and the split of each."""
        used = assigned >= 0
        self.unused += int((~used).sum())
        self.sizes += np.bincount(assigned[used], minlength=len(NAMES))
        y = column_named(rows, "_label").to_numpy() > 0
        self._left += np.bincount(assigned[used & y], minlength=len(NAMES))
        hashes = column_named(rows, "_hash")
        if hashes is not None and len(hashes):
            values = hashes.to_numpy()
            self._in_order &= bool(values[0] >= self._hash and (values[1:] >= values[:-1]).all())
            self._hash = values[-1]
        ids = column_named(rows, "_id")
        ids = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
        self._add_customers(ids.filter(pa.array(used)), assigned[used])

    def _add_customers(self, ids: Any, assigned: Assigned) -> None:
        if not len(ids):
            return
        changes = np.flatnonzero(pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)) + 1
        starts = np.concatenate([[0], changes])
        first, last = np.minimum.reduceat(assigned, starts), np.maximum.reduceat(assigned, starts)
        if self._last is not None and self._last[0] == ids[0].as_py():
            first[0], last[0] = min(first[0], self._last[1]), max(last[0], self._last[2])
        elif self._last is not None:
            self._shared += self._last[1] < self._last[2]
        self._shared += int((first[:-1] < last[:-1]).sum())
        self._last = (ids[-1].as_py(), int(first[-1]), int(last[-1]))

    @property
    def problems(self) -> tuple[str, ...]:
        """All problems of the rows so far."""
        return tuple(str(one) for one in self.unmet)

    @property
    def unmet(self) -> tuple[Problem, ...]:
        """The same in parts."""
        found: list[Problem] = []
        for split, name in enumerate(NAMES):
            size, left = int(self.sizes[split]), int(self._left[split])
            least = MIN_TRAIN_ROWS if split == TRAIN else 1
            if size < least:
                found.append(
                    Problem(
                        expected=f"at least {least} rows in {name}",
                        found=str(size),
                        todo="land more data or change `split`",
                    )
                )
            elif left in (0, size):
                what = "only customers who left" if left else "no customer who left"
                found.append(
                    Problem(
                        expected=f"both classes in {name}",
                        found=f"{what} among {size}",
                        todo="check the label, or land more data",
                    )
                )
        shared = self._shared + int(self._last is not None and self._last[1] < self._last[2])
        if shared:
            found.append(
                Problem(
                    expected="every customer in one split",
                    found=f"{shared} in more than one",
                    todo="split by hash, or correct the column",
                )
            )
        if not self._in_order:
            found.append(
                Problem(expected="rows in the order of their hashes", found="another order", todo="ingest them again")
            )
        return tuple(found)


def _assign_by_hash(rows: Rows, dataset: Dataset) -> Assigned:
    u: FloatArray = column_named(rows, "_hash").to_numpy().astype(np.float64) / 2.0**64
    test, validation = dataset.split.test_share, dataset.split.validation_share
    return np.where(u < test, TEST, np.where(u < test + validation, VALIDATION, TRAIN)).astype(np.int8)


def _read_words(rows: Rows, name: str) -> Any:
    """Return the split's column in lower case, dictionary-encoded."""
    column = column_named(rows, name)
    if column is None:
        raise InputError(
            problem(
                expected=f"column {name}, which says each row's split",
                found="no such column",
                todo="land it or split by hash",
            )
        )
    encoded = pc.dictionary_encode(
        pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string()))), null_encoding="encode"
    )
    return encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded


def _require_words(batches: Iterable[Rows], name: str) -> None:
    wrong: dict[str | None, int] = {}
    for rows in batches:
        encoded = _read_words(rows, name)
        counts = np.bincount(encoded.indices.to_numpy(), minlength=len(encoded.dictionary))
        for value, count in zip(encoded.dictionary.to_pylist(), counts.tolist(), strict=True):
            if value not in _WRITTEN:
                wrong[value] = wrong.get(value, 0) + count
    if wrong:
        shown = next((value for value in wrong if value is not None), None)
        found = (
            "no value" if shown is None else repr(shown) if len(shown) <= 40 else f"a text of {len(shown)} characters"
        )
        raise InputError(
            problem(
                expected=f"train, validation or test in {name}",
                found=f"{found}, among {sum(wrong.values())} such rows",
                todo="correct the column",
            )
        )


def _assign_by_column(rows: Rows, name: str) -> Assigned:
    encoded = _read_words(rows, name)
    places = np.array([_WRITTEN[value] for value in encoded.dictionary.to_pylist()], dtype=np.int8)
    assigned: Assigned = places[encoded.indices.to_numpy()]
    return assigned


def _read_days(rows: Rows) -> npt.NDArray[np.int32]:
    column = column_named(rows, "_as_of")
    if column is None:
        raise InputError(
            problem(
                expected="a snapshot date in every row", found="no as_of", todo="name it under `as_of` or split by hash"
            )
        )
    days: npt.NDArray[np.int32] = column.cast(pa.int32()).to_numpy()
    return days


def _find_windows(batches: Iterable[Rows], dataset: Dataset) -> tuple[int, int, int]:
    """Return the last day of train, the first of validation and the first of test."""
    horizon = _count_horizon_days(dataset)
    known: dict[int, int] = {}
    for rows in batches:
        for day, count in zip(
            *(part.tolist() for part in np.unique(_read_days(rows), return_counts=True)), strict=True
        ):
            known[day] = known.get(day, 0) + count
    dates, counts = (
        np.array(sorted(known), dtype=np.int32),
        np.array([known[day] for day in sorted(known)], dtype=np.int64),
    )
    test_from = _find_window_start(dates, counts, max(dataset.split.test_share, MIN_WINDOW), before=None)
    validation_from = _find_window_start(
        dates, counts, max(dataset.split.validation_share, MIN_WINDOW), before=test_from and test_from - horizon
    )
    train_to = validation_from - horizon if validation_from is not None else None
    if test_from is None or validation_from is None or train_to is None or dates[0] > train_to:
        raise InputError(
            problem(
                expected=f"snapshots for train, validation and test, each {horizon} days or more after the one before",
                found=f"{len(dates)} dates over {int(dates[-1] - dates[0]) if len(dates) else 0} days",
                todo="land older snapshots, shorten `horizon` if the label allows it, or split by hash",
            )
        )
    return train_to, validation_from, test_from


def _count_horizon_days(dataset: Dataset) -> int:
    """Return the horizon in whole days, rounded up, because snapshots are dates."""
    return -(-seconds(dataset.horizon) // 86_400)


def _assign_by_time(rows: Rows, dataset: Dataset, train_to: int, validation_from: int, test_from: int) -> Assigned:
    days, by_hash = _read_days(rows), _assign_by_hash(rows, dataset)
    assigned = np.full(len(days), UNUSED, dtype=np.int8)
    assigned[(by_hash == TRAIN) & (days <= train_to)] = TRAIN
    assigned[
        (by_hash == VALIDATION) & (days >= validation_from) & (days <= test_from - _count_horizon_days(dataset))
    ] = VALIDATION
    assigned[(by_hash == TEST) & (days >= test_from)] = TEST
    return assigned


def _find_window_start(
    dates: npt.NDArray[np.int32], counts: npt.NDArray[np.int64], share: float, *, before: int | None
) -> int | None:
    """Return the latest date from which on, up to `before`, there are at least `share` of all rows; None if there is none."""
    usable = dates <= before if before is not None else np.ones(len(dates), dtype=bool)
    from_here = np.cumsum(counts[usable][::-1])[::-1]
    enough = np.flatnonzero(from_here >= share * counts.sum())
    return int(dates[usable][enough[-1]]) if len(enough) else None
