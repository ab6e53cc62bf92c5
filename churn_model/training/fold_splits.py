"""Divide rows among outer folds, and check before anything is trained that each repetition of the recipe has enough to learn from."""

import numpy as np
import numpy.typing as npt

from churn_model.arrays import BoolArray, IntArray
from churn_model.errors import Problem
from churn_model.features.schema import Rows, column_named
from churn_model.spec.sections.split import Split
from churn_model.training.shares import OUTER_FOLDS, Shares
from churn_model.training.splits import MIN_TRAIN_ROWS, TEST, Assigned, SplitCheck

Hashes = npt.NDArray[np.uint64]


def assign_outer_folds(hashes: Hashes, in_test: BoolArray) -> IntArray:
    """Return the fold of each row (n,) by the hash of its customer's id: 0 for the test split, then the other fifths in order."""
    folds = np.clip((hashes / 2.0**64 * OUTER_FOLDS).astype(np.int64), 1, OUTER_FOLDS - 1)
    return np.where(in_test, 0, folds)


def find_fitted(hashes: Hashes, fold: int, split: Split) -> BoolArray:
    """Return which of the rows outside a fold (n,) its repetition fits; it validates on the others. They are split as the whole table is,
    beginning at the fold.
    """
    moved = hashes - np.uint64(fold * (2**64 // OUTER_FOLDS))
    fitted: BoolArray = moved.astype(np.float64) / 2.0**64 >= split.test_share + split.validation_share
    return fitted


class FoldedSplitCheck(SplitCheck):
    """Check the rows of a split, and those of each repetition by outer folds."""

    def __init__(self, split: Split) -> None:
        super().__init__()
        self._split = split
        # By fold: of its repetition the rows to validate on, and those to fit. A fold without a row is not repeated.
        self._rows = np.zeros((OUTER_FOLDS, 2), dtype=np.int64)
        self._held = np.zeros(OUTER_FOLDS, dtype=np.int64)
        self._leavers = np.zeros((OUTER_FOLDS, 2), dtype=np.int64)

    def add(self, rows: Rows, assigned: Assigned) -> None:
        """Add the next rows with `_id`, `_hash` and `_label`, and the split of each."""
        super().add(rows, assigned)
        hashes, left = column_named(rows, "_hash").to_numpy(), column_named(rows, "_label").to_numpy() > 0
        folds = assign_outer_folds(hashes, assigned == TEST)
        for fold in range(1, OUTER_FOLDS):
            outside = folds != fold
            self._held[fold] += int((~outside).sum())
            fitted = find_fitted(hashes[outside], fold, self._split)
            self._rows[fold] += np.bincount(fitted, minlength=2)
            self._leavers[fold] += np.bincount(fitted[left[outside]], minlength=2)

    @property
    def unmet(self) -> tuple[Problem, ...]:
        """The problems of the split; if it has none, those of the repetitions."""
        if found := super().unmet:
            return found
        rows, leavers = self._rows[self._held > 0], self._leavers[self._held > 0]
        fewest = int(rows[:, 1].min(initial=MIN_TRAIN_ROWS))
        if fewest < MIN_TRAIN_ROWS:
            expected = f"at least {MIN_TRAIN_ROWS} rows in train of each outer fold"
            return (Problem(expected=expected, found=str(fewest), todo="land more data"),)
        if (np.minimum(leavers, rows - leavers) == 0).any():
            expected = "both classes in train and validation of each outer fold"
            return (Problem(expected=expected, found="one class alone", todo="land more data"),)
        return ()


def make_split_check(shares: Shares) -> SplitCheck:
    """Return an empty check of a table that is split by these shares."""
    return FoldedSplitCheck(shares.split) if shares.judged_on == "outer_folds" else SplitCheck()
