"""What a leak is: a column that knows the outcome because it was written after it.

Belongs here: the finding as a value, for whoever tells or judges it. Does not belong here: finding it (`leaks.py`), which needs a model and
the second that its libraries take to load.
"""

from dataclasses import dataclass
from typing import Literal

EQUAL_ROWS = ""
"""The name of no column, for rows that are equal in all of them."""
LeakKind = Literal["univariate", "same_as_label", "after_snapshot", "explains_too_much", "name"]


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A column, how it was noticed, the figure behind it, and both in a sentence.

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
    """A column whose values name groups of rows with a label in common; `column` is "" if the rows are equal in everything.

    rows       those that have a value in common with another row under another id
    agreement  correlation of the labels of two rows of one group, less that of rows of neighbouring groups
    """

    column: str
    rows: int
    agreement: float
