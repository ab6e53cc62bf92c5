"""What a tuner outside of this process needs to know of the search, and what comes back from it.

A tuner is given ranges, runs each trial as a job of its own, and reads how good it was from one line of the job's log. Known-good settings
and depths that have to pay (`search_space.py`) are nothing that it could be told. So it searches over all depths at once, in the scale of
their logarithm, since shallow trees do best on most tables of a few thousand customers. Its best trials are judged again, beside the
known-good settings, by the process that fits the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from churn_model.spec.sections.search import Family, Metric
from churn_model.training.search_space import HIGHER_IS_BETTER, SETTINGS_AT_ONCE, SPACES, Proposal, Range

FAMILY = "family"
"""The hyperparameter that names a trial's family."""
OBJECTIVE_REGEX = r"churn held_out=([-+.0-9e]+);"
"""Finds the figure in a trial's log."""
INTERNAL = "_"
"""How the names of hyperparameters begin that are the tuner's own."""


@dataclass(frozen=True, kw_only=True)
class TunedTrial:
    """A trial of a tuner: its place in the order of their beginning, from 0, and its values as the tuner writes them."""

    number: int
    family: Family
    values: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a tuner has found: how many trials gave a figure, and the best of them, best first."""

    trials: int
    best: tuple[TunedTrial, ...]


def format_objective(value: float) -> str:
    """Return the line of a trial's log that OBJECTIVE_REGEX finds."""
    return f"churn held_out={value!r};"


def name_objective(metric: Metric) -> str:
    """Return what the tuner calls the figure."""
    return f"held_out_{metric}"


def is_maximized(metric: Metric) -> bool:
    """Return whether more of the metric is better."""
    return metric in HIGHER_IS_BETTER


def combine_ranges(family: Family) -> dict[str, Range]:
    """Return the range of each searched parameter of a family over all its known-good settings. One that several settings divide among
    themselves (the depth) is searched in the scale of its logarithm: half of the trials go to its lower third.
    """
    settings = SPACES[family].settings
    found: dict[str, Range] = {}
    for name in settings[0].around:
        parts = [setting.around[name] for setting in settings]
        is_log = parts[0].log or len(set(parts)) > 1
        low, high = min(part.low for part in parts), max(part.high for part in parts)
        found[name] = Range(low, high, log=is_log, whole=parts[0].whole)
    return found


def read_values(family: Family, texts: Mapping[str, str]) -> dict[str, float]:
    """Return a trial's values from hyperparameters as a tuner writes them, without its own and with the fixed ones. Raise ValueError."""
    ranges = combine_ranges(family)
    values = {
        name: round(float(text)) if name in ranges and ranges[name].whole else float(text)
        for name, text in texts.items()
        if name != FAMILY and not name.startswith(INTERNAL)
    }
    return {**SPACES[family].fixed, **values}


def propose(families: Sequence[Family], best: Sequence[TunedTrial]) -> list[Proposal]:
    """Return the trials to judge again: the known-good settings that every search begins with, and what a tuner found, each once."""
    settings = [
        (family, {**SPACES[family].fixed, **setting.values})
        for family in families
        for setting in SPACES[family].settings[:SETTINGS_AT_ONCE]
    ]
    proposals = [Proposal(number, family, values) for number, (family, values) in enumerate(settings)]
    for trial in best:
        found = (trial.family, read_values(trial.family, trial.values))
        if found not in settings:
            proposals.append(Proposal(len(settings) + trial.number, *found))
    return proposals


def count_trials(families: Sequence[Family], tuned: Tuned) -> int:
    """Return the number of all trials, the known-good settings among them."""
    return tuned.trials + sum(len(SPACES[family].settings[:SETTINGS_AT_ONCE]) for family in families)
