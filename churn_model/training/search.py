"""Choosing a family, its hyperparameters and its rounds.

Belongs here: the search space, Optuna's ask and tell (imported here alone), one trial, the leaderboard. Does not belong here: which rows
are fitted and which are held out (`training.py` says so in `Part`s).

Trials are asked in rounds of `search.parallel` and told in their order, whatever thread was faster: so the same data, spec, seed and
thread count give the same leaderboard. The first trial of each family is a default known to be good, so the search never ends below it.
Rounds of boosting are those with the lowest log loss on held-out rows. All metrics are of held-out probabilities after cross-fitted
calibration, as they will be served; cost and f1 at the Bayes cutoff.
"""

import importlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from churn_model.arrays import FloatArray
from churn_model.decisions.costs import OutcomeCosts, actual_cost
from churn_model.decisions.policy import decide
from churn_model.features.encoding import Encoded
from churn_model.models.calibration import cross_fitted
from churn_model.models.families import Hyperparameters, booster_parameters, training_matrix
from churn_model.spec.dataset import Family, Metric, Search
from churn_model.stats.bootstrap import auc
from churn_model.stats.logistic import log_loss, sigmoid

HIGHER_IS_BETTER: frozenset[Metric] = frozenset({"auc", "f1"})

# Random trials before Optuna's own model of the space takes over.
_STARTUP_TRIALS = 8


@dataclass(frozen=True)
class _Range:
    low: float
    high: float
    default: float
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class _Space:
    """`most_rounds` are tried; boosting ends once `patience` rounds have brought nothing."""

    most_rounds: int
    patience: int
    fixed: Mapping[str, float]
    ranges: Mapping[str, _Range]


_SPACES: Mapping[Family, _Space] = {
    "boosted_trees": _Space(
        most_rounds=300,
        patience=20,
        fixed={},
        ranges={
            "max_depth": _Range(2, 4, 3, whole=True),
            "eta": _Range(0.05, 0.2, 0.1, log=True),
            "min_child_weight": _Range(1, 10, 2, log=True),
            "lambda": _Range(0.3, 20, 2, log=True),
            "subsample": _Range(0.6, 1.0, 0.8),
            "colsample_bytree": _Range(0.5, 1.0, 0.8),
        },
    ),
    "random_forest": _Space(
        most_rounds=1,
        patience=1,
        fixed={"num_parallel_tree": 200, "lambda": 1.0},
        ranges={
            "max_depth": _Range(4, 12, 8, whole=True),
            "min_child_weight": _Range(0.5, 10, 1, log=True),
            "subsample": _Range(0.4, 0.9, 0.63),
            "colsample_bynode": _Range(0.2, 0.8, 0.5),
        },
    ),
    "linear": _Space(
        most_rounds=100,
        patience=5,
        fixed={"eta": 0.5},
        ranges={"lambda": _Range(1e-6, 0.3, 1e-3, log=True), "alpha": _Range(1e-6, 1e-2, 1e-5, log=True)},
    ),
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows to fit and rows held out, as indices. A search over folds has one part a fold, over a validation split one part."""

    fit: npt.NDArray[np.int64]
    held: npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Material:
    """What trials are judged on: rows (n, width) encoded for each family, outcomes (n,), calibration folds (n,), parts, and the costs of
    the outcomes if trials are ordered by cost.

    No row is held out twice; rows that are never held out (train, where a validation split is) are not judged.
    """

    encoded: Mapping[Family, Encoded]
    y: npt.NDArray[np.int8]
    folds: npt.NDArray[np.int64]
    outcome_costs: OutcomeCosts | None
    parts: tuple[Part, ...]

    @property
    def held(self) -> npt.NDArray[np.int64]:
        """The judged rows, part after part."""
        return np.concatenate([part.held for part in self.parts])


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One family with one set of values, and how well it did. `number` counts from 0 in the order asked."""

    number: int
    hyperparameters: Hyperparameters
    metrics: Mapping[Metric, float]


def search(material: Material, settings: Search, *, seed: int, threads: int) -> tuple[Trial, ...]:
    """The leaderboard: every trial, best first by `settings.metric`, ties by number.

    Families take turns; each gets at least its default, also where `settings.trials` is smaller than their number.
    """
    studies = {family: _study(family, settings.metric, seed) for family in settings.families}
    workers = max(1, min(threads, settings.parallel))
    # A bench a worker: XGBoost does not promise that two boosters may train on one matrix at once.
    benches = [_Bench(material, seed=seed, threads=max(1, threads // workers)) for _ in range(workers)]
    total = max(settings.trials, len(settings.families))
    done: list[Trial] = []
    with ThreadPoolExecutor(max_workers=workers) as pool:
        while len(done) < total:
            numbers = range(len(done), min(len(done) + settings.parallel, total))
            families = [settings.families[number % len(settings.families)] for number in numbers]
            asked = [studies[family].ask() for family in families]
            values = [_suggested(question, family) for question, family in zip(asked, families, strict=True)]
            todo = list(zip(numbers, families, values, strict=True))
            running = [pool.submit(benches[worker].tried, todo[worker::workers]) for worker in range(workers)]
            trials = sorted((trial for future in running for trial in future.result()), key=lambda trial: trial.number)
            for family, question, trial in zip(families, asked, trials, strict=True):
                studies[family].tell(question, trial.metrics[settings.metric])
            done += trials
    return leaderboard(done, settings.metric)


def leaderboard(trials: Sequence[Trial], metric: Metric) -> tuple[Trial, ...]:
    """Trials in order of the metric, best first; equal ones by their number."""
    sign = -1 if metric in HIGHER_IS_BETTER else 1
    return tuple(sorted(trials, key=lambda trial: (sign * trial.metrics[metric], trial.number)))


def held_out_metrics(y: npt.NDArray[np.int8], p: FloatArray, costs: OutcomeCosts | None = None) -> dict[Metric, float]:
    """Return every metric of probabilities p (n,) and outcomes y (n,); the mean cost per customer only if `costs` are given."""
    metrics: dict[Metric, float] = {
        "log_loss": log_loss(y, p),
        "auc": auc(y, p),
        "brier": float(np.mean((p - y) ** 2)),
        "f1": best_f1(y, p),
    }
    if costs is not None:
        metrics["cost"] = float(np.mean(actual_cost(y, decide(p, costs).contact, costs)))
    return metrics


def best_f1(y: npt.NDArray[np.int8], p: FloatArray) -> float:
    """Return the highest F1 over all cutoffs; 0 without a leaver. A cutoff that follows from costs would let them choose the model."""
    order = np.argsort(-p, kind="stable")
    last_of_ties = np.r_[np.diff(p[order]) < 0, True]
    hits, contacted = np.cumsum(y[order] > 0)[last_of_ties], np.arange(1, len(p) + 1)[last_of_ties]
    return float((2 * hits / (contacted + hits[-1])).max()) if len(p) else 0.0


def _study(family: Family, metric: Metric, seed: int) -> Any:
    # Importing Optuna takes longer than a trial, and only a search needs it.
    optuna = importlib.import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP_TRIALS, constant_liar=True)
    study = optuna.create_study(direction="maximize" if metric in HIGHER_IS_BETTER else "minimize", sampler=sampler)
    study.enqueue_trial({name: found.default for name, found in _SPACES[family].ranges.items()})
    return study


def _suggested(question: Any, family: Family) -> dict[str, float]:
    values = dict(_SPACES[family].fixed)
    for name, space in _SPACES[family].ranges.items():
        if space.whole:
            values[name] = question.suggest_int(name, int(space.low), int(space.high))
        else:
            values[name] = question.suggest_float(name, space.low, space.high, log=space.log)
    return values


class _Bench:
    """The matrices of one worker, made once for all its trials: binning the rows takes as long as boosting them."""

    def __init__(self, material: Material, *, seed: int, threads: int) -> None:
        self._material, self._seed, self._threads = material, seed, threads
        self._matrices: dict[bool, list[tuple[xgb.DMatrix, xgb.DMatrix]]] = {}
        self._held = material.held

    def tried(self, todo: Sequence[tuple[int, Family, Mapping[str, float]]]) -> list[Trial]:
        """The trials of these numbers, families and values, one after the other."""
        return [self._trial(number, family, values) for number, family, values in todo]

    def _trial(self, number: int, family: Family, values: Mapping[str, float]) -> Trial:
        space, material = _SPACES[family], self._material
        rounds, margins = self._boosted(
            Hyperparameters(family=family, rounds=space.most_rounds, values=values), space.patience
        )
        y = material.y[self._held]
        p = cross_fitted(sigmoid(margins), y, material.folds[self._held])
        costs = None if material.outcome_costs is None else material.outcome_costs.take(self._held)
        return Trial(
            number=number,
            hyperparameters=Hyperparameters(family=family, rounds=rounds, values=values),
            metrics=held_out_metrics(y, p, costs),
        )

    def _boosted(self, hyper: Hyperparameters, patience: int) -> tuple[int, FloatArray]:
        """The rounds with the lowest log loss over all held-out rows, and their margins then. The parts' boosters advance together."""
        y = self._material.y[self._held]
        parameters = booster_parameters(hyper, seed=self._seed, threads=self._threads)
        running = [(xgb.Booster(parameters, [fit, held]), fit, held) for fit, held in self._parts(hyper.family)]
        best, best_loss, best_margins = 0, np.inf, np.zeros(len(y))
        for number in range(1, hyper.rounds + 1):
            for booster, fit, _ in running:
                booster.update(fit, number - 1)
            margins = np.concatenate(
                [booster.predict(held, output_margin=True) for booster, _, held in running]
            ).astype(np.float64)
            loss = float(np.mean(np.logaddexp(0, margins) - y * margins))
            if loss < best_loss:
                best, best_loss, best_margins = number, loss, margins
            elif number - best >= patience:
                break
        return best, best_margins

    def _parts(self, family: Family) -> list[tuple[xgb.DMatrix, xgb.DMatrix]]:
        is_linear, encoded, y = family == "linear", self._material.encoded[family], self._material.y
        if is_linear not in self._matrices:
            self._matrices[is_linear] = [
                (
                    training_matrix(encoded[part.fit], y[part.fit], family, threads=self._threads),
                    xgb.DMatrix(encoded[part.held], missing=np.nan, nthread=self._threads),
                )
                for part in self._material.parts
            ]
        return self._matrices[is_linear]
