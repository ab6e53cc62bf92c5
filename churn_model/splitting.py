"""Which split each row belongs to: train, validation or test.

Belongs here: the three ways to split, and what must hold of any split. Does not belong here: folds for calibration (`training.py`), files.

hash     u = hash / 2^64 of the id: test below `test`, validation below `test + validation`, else train.
column   a column says it.
time     by snapshot: train rows end at least one horizon before validation's first, those before test's first. Customers keep the part that
         their hash gives them, so that no customer is in two splits either; rows outside their customer's window are unused.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.dataset import Dataset, FloatArray, seconds
from churn_model.errors import InputError, problem
from churn_model.schema import Rows, column_named

Assigned = npt.NDArray[np.int8]

TRAIN, VALIDATION, TEST, UNUSED = 0, 1, 2, -1
NAMES = ("train", "validation", "test")
MIN_TRAIN_ROWS = 30
# A window of time is at least this share of the rows: only a share of its customers is used, and a smaller one would be empty.
MIN_WINDOW = 0.2
_WRITTEN = {"train": TRAIN, "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION, "test": TEST}


def assign(rows: Rows, dataset: Dataset) -> Assigned:
    """The split of each canonical row, int8 (n,): 0 train, 1 validation, 2 test, -1 unused (by time only).

    Raises InputError where the split's column is absent or says something else, or where the snapshots leave no room for three windows.
    """
    if dataset.split.by == "column":
        return _by_column(rows, dataset.split.column or "")
    by_hash = _by_hash(rows, dataset)
    return by_hash if dataset.split.by == "hash" else _by_time(rows, dataset, by_hash)


def split_problems(rows: Rows, assigned: Assigned) -> tuple[str, ...]:
    """What does not hold of a split, all at once: every split has both classes, train has enough rows, no customer is in two."""
    y = column_named(rows, "_label").to_numpy() > 0
    found: list[str] = []
    for split, name in enumerate(NAMES):
        inside = assigned == split
        size, left = int(inside.sum()), int(y[inside].sum())
        if size < (MIN_TRAIN_ROWS if split == TRAIN else 1):
            least = MIN_TRAIN_ROWS if split == TRAIN else 1
            found.append(problem(expected=f"at least {least} rows in {name}", found=str(size), todo="land more data or change `split`"))
        elif left in (0, size):
            what = "only customers who left" if left else "no customer who left"
            found.append(
                problem(expected=f"both classes in {name}", found=f"{what} among {size}", todo="check the label, or land more data")
            )
    return (*found, *_shared_customers(rows, assigned))


def _shared_customers(rows: Rows, assigned: Assigned) -> Sequence[str]:
    ids = column_named(rows, "_id")
    codes = (ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids).dictionary_encode().indices.to_numpy()
    used = assigned >= 0
    count = int(codes.max()) + 1 if len(codes) else 0
    first, last = np.full(count, len(NAMES)), np.full(count, -1)
    np.minimum.at(first, codes[used], assigned[used])
    np.maximum.at(last, codes[used], assigned[used])
    shared = int((first < last).sum())
    if not shared:
        return ()
    return (
        problem(expected="every customer in one split", found=f"{shared} in more than one", todo="split by hash, or correct the column"),
    )


def _by_hash(rows: Rows, dataset: Dataset) -> Assigned:
    u: FloatArray = column_named(rows, "_hash").to_numpy().astype(np.float64) / 2.0**64
    split = dataset.split
    return np.where(u < split.test, TEST, np.where(u < split.test + split.validation, VALIDATION, TRAIN)).astype(np.int8)


def _by_column(rows: Rows, name: str) -> Assigned:
    column = column_named(rows, name)
    if column is None:
        raise InputError(
            problem(expected=f"column {name}, which says each row's split", found="no such column", todo="land it or split by hash")
        )
    encoded = pc.dictionary_encode(pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string()))), null_encoding="encode")
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    values = encoded.dictionary.to_pylist()
    wrong = [value for value in values if value not in _WRITTEN]
    if wrong:
        count = int(np.isin(encoded.indices.to_numpy(), [values.index(value) for value in wrong]).sum())
        shown = next((value for value in wrong if value is not None), None)
        found = "no value" if shown is None else repr(shown) if len(shown) <= 40 else f"a text of {len(shown)} characters"
        raise InputError(
            problem(expected=f"train, validation or test in {name}", found=f"{found}, among {count} such rows", todo="correct the column")
        )
    places = np.array([_WRITTEN[value] for value in values], dtype=np.int8)
    assigned: Assigned = places[encoded.indices.to_numpy()]
    return assigned


def _by_time(rows: Rows, dataset: Dataset, by_hash: Assigned) -> Assigned:
    column = column_named(rows, "_as_of")
    if column is None:
        raise InputError(problem(expected="a snapshot date in every row", found="no as_of", todo="name it under `as_of` or split by hash"))
    days = column.cast(pa.int32()).to_numpy()
    # A horizon is kept in whole days, rounded up: snapshots are dates.
    horizon = -(-seconds(dataset.horizon) // 86_400)
    dates, counts = np.unique(days, return_counts=True)
    test_from = _window_start(dates, counts, max(dataset.split.test, MIN_WINDOW), before=None)
    validation_from = _window_start(dates, counts, max(dataset.split.validation, MIN_WINDOW), before=test_from and test_from - horizon)
    train_to = validation_from - horizon if validation_from is not None else None
    if test_from is None or validation_from is None or train_to is None or dates[0] > train_to:
        raise InputError(
            problem(
                expected=f"snapshots for train, validation and test, each {horizon} days or more after the one before",
                found=f"{len(dates)} dates over {int(dates[-1] - dates[0]) if len(dates) else 0} days",
                todo="land older snapshots, shorten `horizon` if the label allows it, or split by hash",
            )
        )
    assigned = np.full(len(days), UNUSED, dtype=np.int8)
    assigned[(by_hash == TRAIN) & (days <= train_to)] = TRAIN
    assigned[(by_hash == VALIDATION) & (days >= validation_from) & (days <= test_from - horizon)] = VALIDATION
    assigned[(by_hash == TEST) & (days >= test_from)] = TEST
    return assigned


def _window_start(dates: npt.NDArray[np.int32], counts: npt.NDArray[np.int64], share: float, *, before: int | None) -> int | None:
    """The latest date from which on, up to `before`, at least `share` of all rows lie; None where there are fewer."""
    usable = dates <= before if before is not None else np.ones(len(dates), dtype=bool)
    from_here = np.cumsum(counts[usable][::-1])[::-1]
    enough = np.flatnonzero(from_here >= share * counts.sum())
    return int(dates[usable][enough[-1]]) if len(enough) else None
