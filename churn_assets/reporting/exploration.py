"""Explore a landed table before anybody trains on it: each column by class, and columns that repeat another or look like ids.

Certain and suspected leaks are looked for by the step `preprocess`, not here.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_assets.onboarding.guesses import OWN_SHARE, useless
from churn_assets.onboarding.profile import find_duplicate_columns, profile_column
from churn_model.arrays import BoolArray, FloatArray
from churn_model.spec.dataset import Dataset
from churn_model.wording import one_line

MOST_ROWS = 20_000
MOST_COLUMNS = 60
"""The most columns with a histogram, and the most in the library's table."""
LARGEST = 1e30
"""Numbers beyond it overflow in the library."""

_BINS = 10
_MOST_LEVELS = 8
_MOST_DATES = 24
_MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A value or a range of a column: the share of the leavers, and of those who stayed, that are in it."""

    name: str
    left: float
    stayed: float


@dataclass(frozen=True, kw_only=True)
class ByClass:
    """A column's histogram by class.

    apart      half the sum of the bars' differences: 0 if both classes look the same, 1 if they have no value in common
    by_chance  the mean of `apart` for a column without information, with as many rows
    """

    column: str
    is_number: bool
    is_ignored: bool
    bars: tuple[Bar, ...]
    apart: float
    by_chance: float


@dataclass(frozen=True, kw_only=True)
class Remark:
    """A column and what is odd about it."""

    column: str
    why: str


@dataclass(frozen=True, kw_only=True)
class DateBalance:
    """The rows of one snapshot date, and how many of them left."""

    date: str
    rows: int
    leavers: int


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """What was found in the rows that were looked at.

    columns   most telling first, at most MOST_COLUMNS; `not_drawn` are the others
    odd       columns that look like ids, hold one value, or none
    repeated  columns that repeat an earlier one
    private   columns whose values may name a customer; the library's table leaves them out, and those in `too_large`
    """

    rows: int
    leavers: int
    dates: tuple[DateBalance, ...]
    columns: tuple[ByClass, ...]
    not_drawn: tuple[str, ...]
    odd: tuple[Remark, ...]
    repeated: tuple[Remark, ...]
    private: tuple[str, ...]
    too_large: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ExplorationCounts:
    """The table's rows and leavers, and the rows that were looked at."""

    rows: int
    leavers: int
    looked_at: int


@dataclass(frozen=True, kw_only=True)
class Telling:
    """How far apart the classes are in a column, and how far chance alone would put them; see ByClass."""

    column: str
    apart: float
    by_chance: float


@dataclass(frozen=True, kw_only=True)
class ExplorationReport:
    """What the page's `report.json` holds. None: not evaluated by the version that wrote it."""

    counts: ExplorationCounts
    odd: tuple[Remark, ...] | None = None
    repeated: tuple[Remark, ...] | None = None
    apart: tuple[Telling, ...] | None = None


def explore(rows: pa.Table, dataset: Dataset) -> Exploration:
    """Explore canonical rows, which hold at least one of each class."""
    left = rows["_label"].to_numpy() == 1
    ignored = {name.lower() for name in dataset.ignore}
    landed = rows.select([name for name in rows.column_names if not name.startswith("_")])
    profiles = tuple(profile_column(name, landed[name]) for name in landed.column_names)
    odd = {guess.column: guess.why for guess in useless(profiles)}
    for each in profiles:
        if each.name not in odd and each.whole_numbers and each.own_share >= OWN_SHARE and each.distinct > 20:
            odd[each.name] = "a whole number of its own in nearly every row: a serial number, or a fine measure"
    repeated = find_duplicate_columns(tuple(each for each in profiles if each.name not in odd))
    drawn = [
        _by_class(name, landed[name], left, name.lower() in ignored) for name in landed.column_names if name not in odd
    ]
    drawn.sort(key=lambda each: -(each.apart - each.by_chance))
    private = {
        each.name
        for each in profiles
        if each.own_share >= OWN_SHARE and each.distinct > 20 and (each.name in odd or each.holds == "text")
    }
    return Exploration(
        rows=len(left),
        leavers=int(left.sum()),
        dates=_dates(rows, left),
        columns=tuple(drawn[:MOST_COLUMNS]),
        not_drawn=tuple(each.column for each in drawn[MOST_COLUMNS:]),
        odd=tuple(Remark(column=column, why=why) for column, why in odd.items()),
        repeated=tuple(
            Remark(column=later.name, why=f"repeats {earlier.name} ({how})") for later, earlier, how in repeated
        ),
        private=tuple(name for name in landed.column_names if name in private),
        too_large=tuple(name for name in landed.column_names if _is_too_large(landed[name])),
    )


def _by_class(name: str, column: Any, left: BoolArray, is_ignored: bool) -> ByClass:
    is_number = pa.types.is_floating(column.type)
    codes, names = _number_bins(column.to_numpy()) if is_number else _levels(column)
    shares = [np.bincount(codes[rows], minlength=len(names)) / max(1, rows.sum()) for rows in (left, ~left)]
    together = np.bincount(codes, minlength=len(names)) / len(codes)
    spread = together * (1 - together) * (1 / max(1, left.sum()) + 1 / max(1, (~left).sum()))
    return ByClass(
        column=name,
        is_number=is_number,
        is_ignored=is_ignored,
        bars=tuple(Bar(name=each, left=float(a), stayed=float(b)) for each, a, b in zip(names, *shares, strict=True)),
        apart=float(np.abs(shares[0] - shares[1]).sum() / 2),
        # The mean size of a normal difference, a bar at a time.
        by_chance=float(np.sqrt(2 * spread / np.pi).sum() / 2),
    )


def _number_bins(values: FloatArray) -> tuple[Any, list[str]]:
    """Return the bar of each value (n,), and the bars' names: one bar per value if there are few values, otherwise ranges of equal width.

    The outermost ranges take what lies beyond the middle 98% of the values.
    """
    known = values[~np.isnan(values)]
    distinct = np.unique(known)
    if len(distinct) <= _BINS + 2:
        codes = np.searchsorted(distinct, values)  # NaN sorts after all
        return _with_missing(codes, [f"{value:.6g}" for value in distinct], values)
    # Halves, so that the width of the largest numbers does not overflow.
    low, high = np.quantile(known / 2, [0.01, 0.99])
    if not low < high:
        low, high = distinct[0] / 2, distinct[-1] / 2
    edges = 2 * (low + (high - low) * (np.arange(1, _BINS) / _BINS))
    codes = np.searchsorted(edges, values, side="right")
    texts = [f"{edge:.4g}" for edge in edges]
    names = [f"below {texts[0]}", *(f"{a} to {b}" for a, b in itertools.pairwise(texts)), f"from {texts[-1]}"]
    return _with_missing(codes, names, values)


def _with_missing(codes: Any, names: list[str], values: FloatArray) -> tuple[Any, list[str]]:
    is_missing = np.isnan(values)
    return (np.where(is_missing, len(names), codes), [*names, _MISSING]) if is_missing.any() else (codes, names)


def _levels(column: Any) -> tuple[Any, list[str]]:
    """Return the bar of each value (n,), and the bars' names: the most frequent values, the others together, the missing."""
    texts = column.combine_chunks().cast(pa.string())
    encoded = texts.dictionary_encode()
    raw = np.asarray(encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False), dtype=np.int64)
    counts = np.bincount(raw, minlength=len(encoded.dictionary) + 1)
    order = np.argsort(-counts[:-1], kind="stable")
    kept = order[:_MOST_LEVELS] if len(order) > _MOST_LEVELS + 1 else order
    names = [one_line(text, 40) or "blank" for text in encoded.dictionary.take(pa.array(kept)).to_pylist()]
    place = np.full(len(counts), len(kept), dtype=np.int64)
    place[kept] = np.arange(len(kept))
    if len(order) > len(kept):
        names.append(f"{len(order) - len(kept):,} other values")
    if counts[-1]:
        place[-1] = len(names)
        names.append(_MISSING)
    return place[raw], names


def _dates(rows: pa.Table, left: BoolArray) -> tuple[DateBalance, ...]:
    """Return the rows and leavers of the latest snapshot dates."""
    if "_as_of" not in rows.column_names:
        return ()
    encoded = rows["_as_of"].combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    seen, gone = np.bincount(codes), np.bincount(codes, weights=left)
    dates = [str(date) for date in encoded.dictionary.to_pylist()]
    latest = sorted(range(len(dates)), key=lambda place: dates[place])[-_MOST_DATES:]
    return tuple(DateBalance(date=dates[place], rows=int(seen[place]), leavers=int(gone[place])) for place in latest)


def _is_too_large(column: Any) -> bool:
    if not pa.types.is_floating(column.type):
        return False
    largest = pc.max(pc.abs(column)).as_py()
    return largest is not None and largest > LARGEST
