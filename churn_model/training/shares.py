"""The split of a table with nothing left open, as a value. Choosing it is in `split_shares.py`."""

from dataclasses import dataclass
from typing import Literal

from churn_model.spec.sections.split import Split

OUTER_FOLDS = 5
MIN_WINDOW = 0.2
"""By time, a window holds at least this share of the rows: only some of its customers are used, and a smaller one would be empty."""

JudgedOn = Literal["test", "outer_folds"]


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The split with nothing left open, and how candidates are judged.

    leavers  rows of the rarer class in the table
    is_open  whether the spec leaves the test share open, so that it was chosen here
    """

    split: Split
    judged_on: JudgedOn = "test"
    leavers: int
    is_open: bool
