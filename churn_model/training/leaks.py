"""Leaks as values: columns that reveal the outcome because they were written after it.

Finding them (`leak_detection.py`) needs a model, whose libraries take a second to import; reporting them must not.
"""

from dataclasses import dataclass
from typing import Literal

EQUAL_ROWS = ""
"""Stands for a column's name if rows are equal in all columns."""
LeakKind = Literal["univariate", "same_as_label", "after_snapshot", "explains_too_much", "name"]


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A suspicious column, how it was noticed, the figure behind it, and both in a sentence.

    evidence: out-of-fold AUC of the column alone (univariate, same_as_label), the share of dates after the snapshot (after_snapshot), the
    share of explained log loss that goes with it (explains_too_much); NaN for a name.
    """

    column: str
    kind: LeakKind
    evidence: float
    why: str
    todo: str


@dataclass(frozen=True, kw_only=True)
class WorthWithout:
    """What suspected columns bring to a small model, cross-validated on train rows: its AUC and log loss with them and without all of them."""

    auc_with: float
    auc_without: float
    log_loss_with: float
    log_loss_without: float

    def __str__(self) -> str:
        return (
            f"without, a small model has an AUC of {self.auc_without:.2f} and a log loss of {self.log_loss_without:.3f} on train rows, "
            f"with {self.auc_with:.2f} and {self.log_loss_with:.3f}"
        )


@dataclass(frozen=True, kw_only=True)
class SharedLabel:
    """A column whose values identify groups of rows that share a label; `column` is "" if the rows are equal in everything.

    rows       those that have a value in common with another row under another id
    agreement  correlation of the labels of two rows of one group, less that of rows of neighbouring groups
    """

    column: str
    rows: int
    agreement: float
