"""Find groups of customers in which the model is weak, by level of a category and third of a number."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa

from churn_model.arrays import FloatArray, IntArray
from churn_model.column_types.category import encode_levels
from churn_model.column_types.registry import type_of
from churn_model.errors import InputError, problem
from churn_model.evaluation.metrics import Scores
from churn_model.spec.column_names import RESERVED, name_key
from churn_model.stats.logistic import clip_probabilities, log_losses, logit

LEAST_ROWS = 50
LEVEL = 0.05
MOST = 20


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Customers who share a value of one column.

    weak      outcomes differ from predictions by more than chance, corrected for the number of segments
    log_loss  to compare with `log_loss_overall` and with `log_loss_promised`, its expectation if the probabilities are right: a segment
              of customers who are hard to predict has a high log loss without being weak
    surprise  the larger of two standard scores: of the share that left, and of the log loss
    """

    column: str
    value: str
    rows: int
    predicted: float
    observed: float
    log_loss: float
    log_loss_promised: float
    log_loss_overall: float
    surprise: float
    weak: bool


def weak_segments(
    rows: pa.Table, scores: Scores, *, without: Collection[str] = (), least_rows: int = LEAST_ROWS, most: int = MOST
) -> tuple[Segment, ...]:
    """Return the segments of at least `least_rows` rows, the most surprising first, at most `most`.

    rows     the canonical rows that were scored, in the same order
    without  columns to ignore: one that is written after a customer left makes segments in which every model is weak

    Numbers are cut into thirds; missing values are a segment of their own. A segment is weak beyond the Bonferroni bound at 5% over all
    segments and both scores.
    """
    if rows.num_rows != len(scores.y):
        raise InputError(
            problem(expected=f"{len(scores.y)} rows", found=str(rows.num_rows), todo="pass the rows that were scored")
        )
    p = clip_probabilities(scores.p)
    y = np.asarray(scores.y, dtype=np.float64)
    losses = log_losses(y, p)
    log_odds = logit(p)
    # ln of the odds times (p - y) is the log loss less its expectation; both sums have variance p (1 - p) in each row.
    parts = (y - p, (p - y) * log_odds)
    variances = (p * (1 - p), p * (1 - p) * log_odds**2)
    overall = float(losses.mean())
    found: list[Segment] = []
    skipped = {name_key(name) for name in (*RESERVED, *without)}
    for name in rows.column_names:
        if name_key(name) in skipped:
            continue
        for value, chosen in _group_rows(rows[name].combine_chunks(), least_rows):
            scored = [
                _score(part[chosen], var[chosen], scores.customers[chosen])
                for part, var in zip(parts, variances, strict=True)
            ]
            found.append(
                Segment(
                    column=name,
                    value=value,
                    rows=len(chosen),
                    predicted=float(p[chosen].mean()),
                    observed=float(y[chosen].mean()),
                    log_loss=float(losses[chosen].mean()),
                    log_loss_promised=float((losses[chosen] - parts[1][chosen]).mean()),
                    log_loss_overall=overall,
                    surprise=max(abs(scored[0]), scored[1]),
                    weak=False,
                )
            )
    bound = NormalDist().inv_cdf(1 - LEVEL / (2 * 2 * len(found))) if found else 0.0
    found.sort(key=lambda segment: (-segment.surprise, segment.column, segment.value))
    return tuple(replace(segment, weak=segment.surprise > bound) for segment in found[:most])


def _score(parts: FloatArray, variances: FloatArray, customers: IntArray) -> float:
    """Return the sum in standard deviations, by the probabilities or by the sums per customer, whichever vary more."""
    _, places = np.unique(customers, return_inverse=True)
    by_customer = float((np.bincount(places, weights=parts) ** 2).sum()) if places.max() + 1 < len(parts) else 0.0
    spread = max(float(variances.sum()), by_customer)
    return float(parts.sum()) / spread**0.5 if spread > 0 else 0.0


def _group_rows(values: Any, least: int) -> Iterator[tuple[str, IntArray]]:
    """Yield the value of each group in words, and its rows, unless it is too small or holds everybody."""
    column_type = type_of(values.type)
    numbers = column_type.to_numbers(values)
    codes, words = encode_levels(values) if numbers is None else _cut_in_thirds(numbers, column_type.format_number)
    words = [*words, "missing"]
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(codes[order]) > 0]) if len(order) else np.zeros(0, dtype=np.int64)
    for rows in np.split(order, starts[1:]):
        if least <= len(rows) < len(codes):
            yield words[codes[rows[0]]], rows


def _cut_in_thirds(numbers: FloatArray, text: Callable[[float], str]) -> tuple[IntArray, list[str]]:
    """Return the third of each number (n,), and the thirds in words. A missing one has the code after the last."""
    known = numbers[np.isfinite(numbers)]
    edges = np.unique(np.quantile(known, [1 / 3, 2 / 3], method="lower")) if len(known) else np.zeros(0)
    edges = edges[edges < known.max()] if len(known) else edges
    codes = np.where(np.isfinite(numbers), np.searchsorted(edges, numbers, side="left"), len(edges) + 1)
    lows, highs = ["", *[f"above {text(edge)}" for edge in edges]], [*[f"up to {text(edge)}" for edge in edges], ""]
    words = [" and ".join(part for part in pair if part) or "any" for pair in zip(lows, highs, strict=True)]
    return codes.astype(np.int64), words
