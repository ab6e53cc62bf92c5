"""Define what a search tries: known-good settings of each family first, then values that Optuna suggests around the best of them.

Boosted trees start shallow. A deeper setting follows only if the one before lowered the log loss by 2%: on most tables of a few thousand
customers, depth 2 to 4 is as good and cheaper to explain; on others, depth 10 lowers the log loss by a tenth. Optuna then searches the
depths around the setting that paid. The last trials constrain the best one: numbers may move the risk to one side only, and few columns may
act together. A constraint is followed by a stricter one only if it cost little.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from churn_model.models.constraints import CONSTRAINED, MONOTONE, TOGETHER, Constraints
from churn_model.models.families import Hyperparameters
from churn_model.spec.sections.search import Family, Metric

DEEPER_PAYS = 0.02
"""The relative gain in log loss that a deeper setting must show over the one before."""
HIGHER_IS_BETTER: frozenset[Metric] = frozenset({"auc", "f1"})
SETTINGS_AT_ONCE = 2
"""How many settings of a family are tried before any has shown that going deeper pays."""

CONSTRAINT_COSTS = 0.01
"""The most that a constraint may cost, as a share of the log loss, before a stricter one is tried: averaged with others it may still pay."""
FEWEST_TRIALS = 10
"""Trials of a family from which constraints are tried: before, they are better spent on other values."""
MOST_COLUMNS = 64
"""Columns up to which their pairs are told to XGBoost; it looks through all of them at each node."""

_CONSTRAINTS: tuple[Mapping[str, float], ...] = (
    {MONOTONE: 1},
    {TOGETHER: 2},
    {MONOTONE: 1, TOGETHER: 2},
    {TOGETHER: 1},
    {MONOTONE: 1, TOGETHER: 1},
)
# Random trials before Optuna's own model of the space takes over.
_STARTUP_TRIALS = 8


@dataclass(frozen=True)
class Range:
    """The values of a parameter that may be tried, both ends included."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Proposal:
    """A trial to be run: its number, its family, and its values with the fixed ones."""

    number: int
    family: Family
    values: Mapping[str, float]


@dataclass(frozen=True)
class Setting:
    """A known-good setting, and the ranges that are searched if it is the best of a family's settings."""

    values: Mapping[str, float]
    around: Mapping[str, Range]


@dataclass(frozen=True)
class Space:
    """A family's search space. Boosting stops after `most_rounds`, or after `patience` rounds without a gain. `fixed` values are not searched."""

    most_rounds: int
    patience: int
    fixed: Mapping[str, float]
    settings: Sequence[Setting]


def _make_setting(
    depth: int, depths: tuple[int, int], *, eta: float, slowest: float, min_child_weight: float
) -> Setting:
    return Setting(
        values={
            "max_depth": depth,
            "eta": eta,
            "min_child_weight": min_child_weight,
            "lambda": 2.0,
            "subsample": 0.8,
            "colsample_bytree": 0.8,
        },
        around={
            "max_depth": Range(*depths, whole=True),
            "eta": Range(slowest, 0.2, log=True),
            "min_child_weight": Range(0.5, 10, log=True),
            "lambda": Range(0.3, 20, log=True),
            "subsample": Range(0.6, 1.0),
            "colsample_bytree": Range(0.4, 1.0),
        },
    )


SPACES: Mapping[Family, Space] = {
    "boosted_trees": Space(
        most_rounds=2000,
        patience=25,
        fixed={},
        settings=(
            _make_setting(3, (2, 4), eta=0.1, slowest=0.05, min_child_weight=2),
            _make_setting(6, (3, 8), eta=0.05, slowest=0.03, min_child_weight=1),
            _make_setting(10, (6, 12), eta=0.05, slowest=0.03, min_child_weight=1),
        ),
    ),
    "random_forest": Space(
        most_rounds=1,
        patience=1,
        fixed={"num_parallel_tree": 200, "lambda": 1.0},
        settings=(
            Setting(
                values={"max_depth": 8, "min_child_weight": 1, "subsample": 0.63, "colsample_bynode": 0.5},
                around={
                    "max_depth": Range(4, 12, whole=True),
                    "min_child_weight": Range(0.5, 10, log=True),
                    "subsample": Range(0.4, 0.9),
                    "colsample_bynode": Range(0.2, 0.8),
                },
            ),
        ),
    ),
    "linear": Space(
        most_rounds=100,
        patience=5,
        fixed={"eta": 0.5},
        settings=(
            Setting(
                values={"lambda": 1e-3, "alpha": 1e-5},
                around={"lambda": Range(1e-6, 0.3, log=True), "alpha": Range(1e-6, 1e-2, log=True)},
            ),
        ),
    ),
}


Choices = tuple[Mapping[str, float], ...]
"""Constraints that may be tried, each after those that are looser."""


def list_constraints(constraints: Constraints | None) -> Choices:
    """Return the constraints that mean something for a table: some sign is clear, and its columns are several and not too many."""
    if constraints is None:
        return ()
    signed, paired = any(constraints.signs), 2 < len(constraints.columns) <= MOST_COLUMNS
    return tuple(one for one in _CONSTRAINTS if (signed or MONOTONE not in one) and (paired or TOGETHER not in one))


@dataclass
class ConstrainedTrials:
    """The trials that constrain one setting: its values, the log loss that it had without a constraint, and what may be tried.

    A tree of depth 2 lets no more than two columns act together as it is.
    """

    values: Mapping[str, float]
    log_loss: float
    choices: Choices
    _asked: int = 0
    _losses: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.choices = tuple(one for one in self.choices if one.get(TOGETHER, 0) < self.values["max_depth"])

    def ask(self) -> tuple[dict[str, float], int] | None:
        """Return the values to try next and the number that `tell` needs; None if no constraint is left, or all wait for answers."""
        while self._asked < len(self.choices):
            number = self._asked
            looser = [other for other in range(number) if _is_looser(self.choices[other], self.choices[number])]
            known = [self._losses[other] for other in looser if other in self._losses]
            if len(known) < len(looser) and all(map(self._is_cheap, known)):
                return None
            self._asked += 1
            if all(map(self._is_cheap, known)):
                return {**self.values, **self.choices[number]}, number
            self._losses[number] = float("inf")
        return None

    def tell(self, number: int, log_loss: float) -> None:
        """Record the log loss of the values returned by `ask`."""
        self._losses[number] = log_loss

    def _is_cheap(self, log_loss: float) -> bool:
        return log_loss <= (1 + CONSTRAINT_COSTS) * self.log_loss


def _is_looser(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Return whether all that a constraint forbids, another forbids as well."""
    return (MONOTONE not in one or MONOTONE in other) and one.get(TOGETHER, 9) >= other.get(TOGETHER, 9)


def is_constrained(values: Mapping[str, float]) -> bool:
    """Return whether a trial with these values is constrained."""
    return bool(CONSTRAINED & set(values))


@dataclass
class Study:
    """Suggests values for one family. The same answers in the same order lead to the same suggestions.

    `trials`: how many will be asked for, if that is known. The last of them constrain the best of the others, as `choices` has it.

    The two shallowest settings may be asked for in one round; a deeper one only once all before it are answered, however long a round is.
    Until then Optuna fills the round, and begins again with all answers, around the setting that paid, after each setting's answer.
    """

    family: Family
    metric: Metric
    seed: int
    trials: int = 0
    choices: Choices = ()
    _asked: int = 0
    _asked_settings: int = 0
    _losses: list[float] = field(default_factory=list)
    _answers: list[tuple[Mapping[str, float], float, float]] = field(default_factory=list)
    _constrained: ConstrainedTrials | None = None
    _sampler: tuple[Setting, Any] | None = None

    def ask(self) -> tuple[dict[str, float], Any]:
        """Return the values to try next, fixed ones included, and what `tell` needs to know of the question."""
        space = SPACES[self.family]
        self._asked += 1
        if (constrained := self._constrain()) and (asked := constrained.ask()):
            return asked
        if self._asked_settings < len(space.settings) and self._may_ask_deeper():
            setting = space.settings[self._asked_settings]
            self._asked_settings += 1
            return {**space.fixed, **setting.values}, None
        _, study = self._sampler = self._sampler or self._begin_sampling(space.settings[self._count_paid()])
        question = study.ask(_make_distributions(self._sampler[0]))
        return {**space.fixed, **question.params}, (study, question)

    def tell(self, question: Any, values: Mapping[str, float], metrics: Mapping[Metric, float]) -> None:
        """Record the metrics of values returned by `ask`."""
        if self._constrained and isinstance(question, int):
            self._constrained.tell(question, metrics["log_loss"])
            return
        self._answers.append((values, metrics[self.metric], metrics["log_loss"]))
        if question is None:
            self._losses.append(metrics["log_loss"])
            self._sampler = None
        elif self._sampler and question[0] is self._sampler[1]:
            self._sampler[1].tell(question[1], metrics[self.metric])

    def _constrain(self) -> ConstrainedTrials | None:
        """Return the trials that constrain the best one so far; None as long as trials are left for others."""
        is_late = self.trials >= FEWEST_TRIALS and self._asked > self.trials - len(self.choices)
        if self._constrained is None and is_late and self._answers:
            sign = -1 if self.metric in HIGHER_IS_BETTER else 1
            values, _, log_loss = min(self._answers, key=lambda answer: sign * answer[1])
            self._constrained = ConstrainedTrials(values, log_loss, self.choices)
        return self._constrained

    def _may_ask_deeper(self) -> bool:
        """Return whether the next setting is one of the first two, or all before it are answered and each paid against the one before."""
        number = self._asked_settings
        return number < SETTINGS_AT_ONCE or self._count_paid() == number - 1

    def _count_paid(self) -> int:
        """Return how many settings after the first paid, one after the other."""
        paid = 0
        for before, loss in pairwise(self._losses):
            if loss > (1 - DEEPER_PAYS) * before:
                break
            paid += 1
        return paid

    def _begin_sampling(self, setting: Setting) -> tuple[Setting, Any]:
        """Return a setting and Optuna's study around it, seeded with all answers within its ranges."""
        # Importing Optuna takes longer than a trial, and only a search needs it.
        optuna = importlib.import_module("optuna")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=_STARTUP_TRIALS, constant_liar=True)
        direction = "maximize" if self.metric in HIGHER_IS_BETTER else "minimize"
        study = optuna.create_study(direction=direction, sampler=sampler)
        distributions = _make_distributions(setting)
        for values, metric, _ in self._answers:
            within = {name: values[name] for name in setting.around}
            if all(setting.around[name].low <= value <= setting.around[name].high for name, value in within.items()):
                study.add_trial(optuna.trial.create_trial(params=within, distributions=distributions, value=metric))
        return setting, study


def _make_distributions(setting: Setting) -> dict[str, Any]:
    """Return a setting's ranges as Optuna's distributions."""
    kinds = importlib.import_module("optuna.distributions")
    return {
        name: kinds.IntDistribution(int(found.low), int(found.high))
        if found.whole
        else kinds.FloatDistribution(found.low, found.high, log=found.log)
        for name, found in setting.around.items()
    }


def describe_bound(hyper: Hyperparameters) -> str | None:
    """Describe the hyperparameter that is at the end of its range, if one is; return None otherwise."""
    space = SPACES[hyper.family]
    deepest = max((each.around["max_depth"].high for each in space.settings if "max_depth" in each.around), default=0)
    if space.most_rounds > 1 and hyper.rounds >= space.most_rounds:
        return f"{hyper.rounds:,} rounds of boosting, the most that are tried"
    if deepest and hyper.values["max_depth"] >= deepest:
        return f"depth {int(deepest)}, the deepest that is tried"
    return None
