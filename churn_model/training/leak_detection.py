"""Find columns that reveal the outcome because they were written after it.

Certain leaks block the run. The model leaves suspected ones out until the spec vouches for them. Only train rows are examined. False alarms and
misses on real tables and planted leaks: `benchmarks/results/leaks.md`.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import FloatArray, IntArray
from churn_model.column_types.category import CATEGORY, encode_levels
from churn_model.column_types.date import DATE, YEAR_FIRST, parse_days
from churn_model.column_types.registry import type_of
from churn_model.features.encoding import Encoded, encode, feature_names_of
from churn_model.features.schema import FeatureSchema, fit_schema
from churn_model.models.families import Hyperparameters, fit_model
from churn_model.spec.column_names import RESERVED, name_key, same_name
from churn_model.spec.dataset import Dataset
from churn_model.spec.expressions import compile_expression
from churn_model.stats.bootstrap import auc
from churn_model.stats.logistic import log_loss
from churn_model.training.leaks import Leak, LeakKind, WorthWithout

CERTAIN_AUC = 0.98
SUSPECT_AUC = 0.77
SUSPECT_SHARE = 0.10
PURE_RATE = 0.8
PURE_LEAVERS = 0.1
"""A leak is written for leavers: some of its values are theirs nearly alone. From this share of leavers among the rows of a value, and this
share of all leavers that have such values, a strong column is suspected; an honest one has values with half leavers, such as a short
contract (`benchmarks/results/leaks.md`)."""
CLEAR_AUC = 0.88
"""From here a column is suspected without such values: a copy of the label with one in ten wrong has none where few leave."""
LATER_SHARE = 0.01
"""Share of dated rows after the snapshot from which a column is a leak; below, it may be mistyping."""
DATES_SHARE = 0.95
"""Share of different texts that must read as dates before a column of text is taken for one."""
MOST_ROWS = 20_000
MOST_ROWS_AT_ALL = 200_000
"""Rows that `find_certain_leaks` needs at most: an AUC of 0.98 or a share of 1% is as plain in these as in millions."""
FOLDS = 5
NUMBER_BINS = 64
SMALL_MODEL = Hyperparameters(
    family="boosted_trees", rounds=60, values={"eta": 0.15, "max_depth": 5, "min_child_weight": 5}
)
"""Deep enough that other columns stand in for an honest one: with depth 3 an honest column reached 13%, with depth 5 at most 9%."""

AFTER_THE_FACT = re.compile(
    # Who left, or how; what is done with customers who leave. Words for a contract's plan or a reason to buy are left alone.
    r"(?<![a-z])(churn(ed|er|ing)?|cancel(l?(ed|ing|ation))?|exit(ed)?|terminat(ed|ion|e)|attrit(ed|ion)|deactivat(ed|ion)"
    r"|disconnect(ed|ion)|unsubscribed?|offboard(ed|ing)|win ?back|retention (call|offer|team|agent)|reason (for|of) leaving"
    r"|left (on|date|reason))(?![a-z])"
)


def find_certain_leaks(train: pa.Table, dataset: Dataset) -> tuple[Leak, ...]:
    """Return the columns that give the label away; they block the run.

    Such a column reaches an out-of-fold AUC of 0.98 alone, is the label under another name, or holds dates after the snapshot. Ignored columns
    are skipped, and so are those under `known`, unless they are the label itself. `train`: canonical rows with `_label`, of which the first
    200,000 are examined; canonical rows are in hash order, so these are a random sample of customers.
    """
    train = train.slice(0, MOST_ROWS_AT_ALL)
    y, fold = np.asarray(train["_label"]), assign_folds(train)
    found = []
    for name in _list_features(train, dataset):
        values = train[name].combine_chunks()
        vouched = _is_in(name, dataset.known)
        if _equals_label(values, y):
            found.append(
                _make_leak(
                    name, "same_as_label", 1.0, "it is the label under another name", "List it under ignore in the spec"
                )
            )
        elif (
            not vouched
            and dataset.as_of
            and (share := _measure_later_share(values, train["_as_of"].combine_chunks())) >= LATER_SHARE
        ):
            why = f"{share:.1%} of its dates lie after the snapshot"
            found.append(
                _make_leak(
                    name,
                    "after_snapshot",
                    share,
                    why,
                    "List it under ignore, or under known if these dates are known in advance",
                )
            )
        elif not vouched and (alone := measure_univariate_auc(values, y, fold)) >= CERTAIN_AUC:
            why = f"alone it tells who left with an AUC of {alone:.3f}"
            found.append(
                _make_leak(
                    name,
                    "univariate",
                    alone,
                    why,
                    "List it under ignore, or under known if it is known before a customer leaves",
                )
            )
    return tuple(found)


def find_suspected_leaks(train: pa.Table, dataset: Dataset, *, threads: int) -> tuple[Leak, ...]:
    """Return the columns that seem to have been written after the fact; models leave them out until the spec lists them under `known`.

    A column is suspected if its name says so, or if it reaches an out-of-fold AUC of 0.77 alone, a tenth of the log loss that a small model
    explains is lost without it, and either some of its values belong almost only to leavers or its AUC is 0.88. The first 20,000 rows are examined.
    """
    sample = train.slice(0, MOST_ROWS)
    y, fold = np.asarray(sample["_label"]), assign_folds(sample)
    names = [name for name in _list_features(train, dataset) if not _is_in(name, dataset.known)]
    strong = {
        name: alone
        for name in names
        if (alone := measure_univariate_auc(sample[name].combine_chunks(), y, fold)) >= SUSPECT_AUC
        and (alone >= CLEAR_AUC or measure_pure_leavers(sample[name].combine_chunks(), y, fold) >= PURE_LEAVERS)
    }
    found = []
    todo = "List it under ignore in the spec, or under known if it is known before a customer leaves"
    shares = _measure_explained_shares(sample, y, dataset, tuple(strong), threads) if strong else {}
    for name in names:
        if shares.get(name, 0.0) >= SUSPECT_SHARE:
            why = f"alone it reaches an AUC of {strong[name]:.2f}, and {shares[name]:.0%} of what a model explains goes with it"
            found.append(_make_leak(name, "explains_too_much", shares[name], why, todo))
        elif AFTER_THE_FACT.search(_split_words(name)):
            found.append(_make_leak(name, "name", float("nan"), "its name speaks of leaving", todo))
    return tuple(found)


def measure_worth_without(
    train: pa.Table, dataset: Dataset, suspects: Sequence[Leak], *, threads: int
) -> WorthWithout | None:
    """Return what is lost without all suspected columns and what is derived from them; None if no column would be left.

    `train`: canonical rows with `_label`, of which at most 20,000 are looked at.
    """
    sample = train.slice(0, MOST_ROWS)
    y, fold, schema = np.asarray(sample["_label"]), assign_folds(sample), fit_schema(sample, dataset)
    encoded, owners = encode(sample, schema, "boosted_trees"), np.array(feature_names_of(schema, "boosted_trees"))
    kept = ~np.isin(owners, [name for leak in suspects for name in _add_derived(leak.column, schema)])
    if not kept.any():
        return None
    with_them, without = (
        _cross_validate(np.ascontiguousarray(columns), y, fold, threads) for columns in (encoded, encoded[:, kept])
    )
    return WorthWithout(
        auc_with=auc(y, with_them),
        auc_without=auc(y, without),
        log_loss_with=log_loss(y, with_them),
        log_loss_without=log_loss(y, without),
    )


def _make_leak(column: str, kind: LeakKind, evidence: float, why: str, todo: str) -> Leak:
    return Leak(column=column, kind=kind, evidence=evidence, why=why, todo=todo)


def _list_features(train: pa.Table, dataset: Dataset) -> list[str]:
    return [name for name in train.column_names if name not in RESERVED and name_key(name) not in dataset.not_features]


def _is_in(name: str, names: tuple[str, ...]) -> bool:
    return any(same_name(name, other) for other in names)


def _split_words(name: str) -> str:
    """`CancelDate`, `cancel_date` and `cancel-date` as `cancel date`."""
    return re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).lower()


def assign_folds(rows: pa.Table) -> IntArray:
    """Return a fold from 0 to 4 for each row (n,) by the hash of its id, or by position if the rows have no hash."""
    if "_hash" not in rows.column_names:
        return np.arange(rows.num_rows, dtype=np.int64) % FOLDS
    return np.asarray(rows["_hash"].to_numpy() % np.uint64(FOLDS), dtype=np.int64)


def measure_univariate_auc(values: Any, y: Any, fold: IntArray) -> float:
    """Return how well one column alone tells who left: AUC of out-of-fold rates by value; numbers in up to 64 bins of equal size.

    `fold` (n,) is what `assign_folds` gives. NaN with one class only.
    """
    rates = _rate_out_of_fold(values, y, fold)
    # Each fold is ranked by itself: the prior differs between folds, against the label.
    found = [auc(y[fold == k], rates[fold == k]) for k in np.unique(fold)]
    return float(np.mean(found))


def measure_pure_leavers(values: Any, y: Any, fold: IntArray) -> float:
    """Return the share of all leavers whose value of the column has at least 80% leavers in the other folds; 0 without a leaver."""
    pure = _rate_out_of_fold(values, y, fold) >= PURE_RATE
    left = np.asarray(y) > 0
    return float(pure[left].mean()) if left.any() else 0.0


def _rate_out_of_fold(values: Any, y: Any, fold: IntArray) -> FloatArray:
    """Return for each row the smoothed share of leavers among the rows of other folds that have its value, (n,)."""
    codes, count = _code_values(values)
    place = codes * FOLDS + fold
    rows = np.bincount(place, minlength=count * FOLDS).reshape(count, FOLDS)
    leavers = np.bincount(place, weights=np.asarray(y, dtype=np.float64), minlength=count * FOLDS).reshape(count, FOLDS)
    other_rows, other_leavers = rows.sum(axis=1, keepdims=True) - rows, leavers.sum(axis=1, keepdims=True) - leavers
    prior = other_leavers.sum(axis=0) / np.maximum(other_rows.sum(axis=0), 1)
    rates: FloatArray = (other_leavers + 5 * prior) / (other_rows + 5)
    return rates[codes, fold]


def _code_values(values: Any) -> tuple[IntArray, int]:
    """Return a code for each value (n,), with missing values last, and the number of codes."""
    numbers = type_of(values.type).to_numbers(values)
    if numbers is None:
        codes, words = encode_levels(values)
        return codes, len(words) + 1
    known = numbers[np.isfinite(numbers)]
    distinct = np.unique(known)
    if len(distinct) > NUMBER_BINS:
        distinct = np.unique(np.quantile(known, np.linspace(0, 1, NUMBER_BINS + 1)[1:-1], method="lower"))
    codes = np.where(np.isfinite(numbers), np.searchsorted(distinct, numbers, side="left"), len(distinct) + 1)
    return codes.astype(np.int64), len(distinct) + 2


def _equals_label(values: Any, y: Any) -> bool:
    """Return whether the column has two values, of which missing may be one, that match the label row by row."""
    numbers = type_of(values.type).to_numbers(values)
    codes = encode_levels(values)[0] if numbers is None else np.nan_to_num(numbers, nan=-np.inf)
    left = np.asarray(y) == 1
    if not len(left) or left.all() or not left.any():
        return False
    here, there = codes[left], codes[~left]
    return bool((here == here[0]).all() and (there == there[0]).all() and here[0] != there[0])


def _measure_later_share(values: Any, as_of: Any) -> float:
    """Return, of the dates in a column, the share after the row's snapshot; 0 if it holds no dates."""
    days = _read_days(values)
    if days is None:
        return 0.0
    later = pc.greater(days, as_of.cast(pa.date32())).drop_null()
    return (pc.sum(later).as_py() or 0) / len(later) if len(later) else 0.0


def _read_days(values: Any) -> Any:
    """Return a column of dates as date32; also one of text that reads as dates with the year first, be it in several formats; else None."""
    if DATE.holds(values.type):
        return values
    if not CATEGORY.holds(values.type):
        return None
    codes, words = encode_levels(values)
    text = pa.array(words, pa.string())
    days = pc.coalesce(*(parse_days(text, form, blank=None).values for form in YEAR_FIRST))
    if not words or len(days) - days.null_count < DATES_SHARE * len(words):
        return None
    return days.take(pa.array(codes, mask=codes == len(words)))


def _measure_explained_shares(
    sample: pa.Table, y: Any, dataset: Dataset, names: tuple[str, ...], threads: int
) -> dict[str, float]:
    """Return for each column the cross-validated share of explained log loss that is lost without it and everything derived from it."""
    schema = fit_schema(sample, dataset)
    encoded, owners = encode(sample, schema, "boosted_trees"), np.array(feature_names_of(schema, "boosted_trees"))
    nothing = float(log_loss(y, np.full(len(y), np.mean(y))))
    fold = assign_folds(sample)
    full = log_loss(y, _cross_validate(encoded, y, fold, threads))
    if not full < nothing:
        return {}
    shares = {}
    for name in names:
        kept = encoded[:, ~np.isin(owners, _add_derived(name, schema))]
        without = nothing
        if kept.shape[1]:
            without = log_loss(y, _cross_validate(np.ascontiguousarray(kept), y, fold, threads))
        shares[name] = (min(without, nothing) - full) / (nothing - full)
    return shares


def _add_derived(name: str, schema: FeatureSchema) -> list[str]:
    taken = [feature.name for feature in schema.features if same_name(feature.source, name)]
    derived = [feature for feature in schema.features if feature.expression]
    return taken + [
        feature.name for feature in derived if _is_in(name, compile_expression(feature.expression or "").columns)
    ]


def _cross_validate(encoded: Encoded, y: Any, fold: IntArray, threads: int) -> FloatArray:
    """Return the probabilities of a small model out of fold, (n,)."""
    p = np.zeros(len(y))
    for k in np.unique(fold):
        model = fit_model(np.ascontiguousarray(encoded[fold != k]), y[fold != k], SMALL_MODEL, seed=0, threads=threads)
        p[fold == k] = model.probabilities(np.ascontiguousarray(encoded[fold == k]))
    return p
