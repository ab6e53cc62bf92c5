"""What step `preprocess` reports."""

from collections.abc import Mapping
from dataclasses import dataclass

from churn_model.training.leaks import Leak, SharedLabel, WorthWithout
from churn_model.training.shares import Shares


@dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """The rows of each split, and those in none."""

    train: int
    validation: int
    test: int
    unused: int


@dataclass(frozen=True, kw_only=True)
class PreprocessReport:
    """The three splits.

    columns   their columns with their Arrow types
    leaks     columns that certainly give the label away: they block the run
    suspects  columns that may: the model does without them
    worth     what the suspects bring; None without suspects, or not evaluated by that version
    names     columns that seem to name customers, and are not the id: they stop a promotion
    shares    the split, with what the spec left open chosen, and how candidates are judged; None: not chosen by that version
    """

    counts: SplitCounts
    columns: Mapping[str, str]
    leaks: tuple[Leak, ...]
    suspects: tuple[Leak, ...]
    worth: WorthWithout | None = None
    names: tuple[SharedLabel, ...] = ()
    shares: Shares | None = None
