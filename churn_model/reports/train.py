"""What step `train` reports."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from churn_model.models.calibration import Calibration
from churn_model.spec.sections.search import Engine, Family


@dataclass(frozen=True, kw_only=True)
class TrainCounts:
    """Trials of the search, features of the model, and the rows that it was fitted on and searched on."""

    trials: int
    features: int
    fitted_rows: int
    searched_rows: int


@dataclass(frozen=True, kw_only=True)
class TrialSummary:
    """One line of the leaderboard: a trial's settings, and its metrics on held-out rows; NaN for one that was not computed."""

    number: int
    family: Family
    rounds: int
    values: Mapping[str, float]
    log_loss: float
    auc: float = math.nan
    brier: float = math.nan
    cost: float = math.nan
    f1: float = math.nan


@dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """Rows of customers who left and who stayed."""

    leavers: int
    stayers: int


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """A candidate. None: not evaluated by the version that wrote it.

    leaderboard      the trials, the best first
    searched_on      which rows were held out in the search
    validation       the classes among the rows that the trials were judged on
    left_out         columns that are no feature, and why
    averaged         the weight of each trial in the model, by its number; one trial alone where an average does not pay
    engine           what ran the search: `job`, the process that fitted the model, or `tuner`, a job for each trial
    more_would_help  signs that a longer search would find a better model
    """

    counts: TrainCounts
    metrics: Mapping[str, float] = field(default_factory=dict)
    leaderboard: tuple[TrialSummary, ...]
    searched_on: str
    calibration: Calibration
    validation: ClassCounts
    left_out: Mapping[str, str] | None = None
    averaged: Mapping[str, float] | None = None
    engine: Engine | None = None
    more_would_help: tuple[str, ...] | None = None
