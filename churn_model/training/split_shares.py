"""Choose how many customers are tested, if the spec leaves it open, and how a candidate is judged.

Leavers   test          judged on
< 200     20%           five outer folds: the whole recipe is repeated with another fifth of the customers held out
< 600     30% to 15%    the test split, with about 60 leavers or more
more      10%           the test split

"Leavers" are rows of the rarer class. Shares are steps, so that a growing table seldom changes its split; a change makes the test split
smaller, except at 200 leavers, and rows that a champion may have been trained on are left out of its comparison (`comparison`).
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from churn_model.features.schema import Rows, column_named
from churn_model.spec.sections.split import Split
from churn_model.training.shares import MIN_WINDOW, OUTER_FOLDS, Shares

ENOUGH_LEAVERS = 60
"""Leavers in test that are aimed at: with 60, chance seldom leaves fewer than the 30 that the gate asks for."""
TEST_SHARES = (0.1, 0.15, 0.2, 0.25, 0.3)
FOLD_SHARE = 1 / OUTER_FOLDS
"""The test share of a table that is judged by outer folds: its test split is the first fold, and the candidate that fold's model."""


def choose_shares(split: Split, batches: Iterable[Rows]) -> Shares:
    """Return the shares for the rows in `batches`, which have `_label`."""
    leavers = _count_rarer(batches)
    if split.by == "column" or split.test is not None:
        return Shares(split=_set_test(split, split.test_share), leavers=leavers, is_open=False)
    return choose_for_leavers(split, leavers)


def choose_for_leavers(split: Split, leavers: int) -> Shares:
    """Return the shares for a table with so many rows of the rarer class, if the spec leaves the test share open.

    By time only a window of the test customers' rows is used, and no outer folds exist: the share is then the largest if need be.
    """
    for share in TEST_SHARES:
        window = max(share, MIN_WINDOW) if split.by == "time" else 1.0
        if leavers * share * window >= ENOUGH_LEAVERS:
            return Shares(split=_set_test(split, share), leavers=leavers, is_open=True)
    if split.by == "time":
        return Shares(split=_set_test(split, TEST_SHARES[-1]), leavers=leavers, is_open=True)
    return Shares(split=_set_test(split, FOLD_SHARE), judged_on="outer_folds", leavers=leavers, is_open=True)


def suggest_split(shares: Shares, least: int) -> tuple[str, ...]:
    """Return the line for the spec that lets a table be judged that its own split leaves too small.

    Nothing if no split does: outer folds need `least` leavers.
    """
    best = choose_for_leavers(Split(seed=shares.split.seed), shares.leavers)
    if shares.leavers < least or best.split == shares.split:
        return ()
    seed = "" if best.split.seed == Split().seed else f", seed: {best.split.seed}"
    if best.judged_on == "outer_folds":
        return (
            f"split: {{by: hash{seed}}}  # the shares left open: {shares.leavers} left, so outer folds are the judge",
        )
    expected = round(shares.leavers * best.split.test_share)
    written = f"validation: {best.split.validation_share:g}, test: {best.split.test_share:g}{seed}"
    return (f"split: {{by: hash, {written}}}  # about {expected} of the {shares.leavers} who left are in test",)


def _set_test(split: Split, test: float) -> Split:
    return replace(split, test=test, validation=split.validation_share)


def _count_rarer(batches: Iterable[Rows]) -> int:
    rows = left = 0
    for batch in batches:
        y = np.asarray(column_named(batch, "_label"))
        rows, left = rows + len(y), left + int((y > 0).sum())
    return min(left, rows - left)
