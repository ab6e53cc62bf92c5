"""Choose a family, its hyperparameters and its rounds, and which trials are averaged into the model.

Trials are requested in rounds of `search.parallel` and reported in order, regardless of which thread finished first: the same data, spec, seed
and thread count give the same leaderboard. Only `search.time` makes it depend on the machine. The first trial of each family is a known-good
setting, so the search never does worse than it. The number of boosting rounds is the one with the lowest log loss on held-out rows. All
metrics are computed on held-out probabilities after cross-fitted calibration, as they will be served. `train.py` chooses which rows are
fitted and which are held out.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from churn_model.arrays import FloatArray
from churn_model.decisions.costs import OutcomeCosts, actual_cost
from churn_model.decisions.policy import decide
from churn_model.features.encoding import Encoded
from churn_model.models.calibration import cross_fitted
from churn_model.models.constraints import Constraints
from churn_model.models.families import Hyperparameters, booster_parameters, training_matrix
from churn_model.spec.durations import seconds
from churn_model.spec.sections.search import Family, Metric, Search
from churn_model.stats.bootstrap import auc
from churn_model.stats.logistic import log_loss, sigmoid
from churn_model.training.search_space import (
    FEWEST_TRIALS,
    HIGHER_IS_BETTER,
    SPACES,
    Choices,
    ConstrainedTrials,
    Proposal,
    Study,
    describe_bound,
    is_constrained,
    list_constraints,
)
from churn_model.training.trials import KeptTrials, Trial
from churn_model.training.tuning import Tuned, count_trials, propose

MOST_MEMBERS = 5
"""The maximum number of trials averaged into one model; a trial taken twice counts twice."""
BEST_TRIALS = 10
"""How many trials at the top of the leaderboard may be averaged."""
MEMBER_PAYS = 0.001
"""The relative gain in the metric that one more member must bring; each makes the model larger and its reasons slower."""
LATE = 0.25
"""If the best trial is within this last share of all trials, more trials would probably find a better one."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Indices of rows to fit and of rows held out. A search over folds has one part per fold; over a validation split, a single part."""

    fit: npt.NDArray[np.int64]
    held: npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Material:
    """The data that trials are judged on: rows (n, width) encoded for each family, outcomes (n,), calibration folds (n,), parts, and the
    costs of the outcomes if trials are ranked by cost, and the constraints that boosted trees may be put under.

    No row is held out twice. Rows that are never held out (train, if there is a validation split) are not judged.
    """

    encoded: Mapping[Family, Encoded]
    y: npt.NDArray[np.int8]
    folds: npt.NDArray[np.int64]
    outcome_costs: OutcomeCosts | None
    parts: tuple[Part, ...]
    constraints: Constraints | None = None

    @property
    def held(self) -> npt.NDArray[np.int64]:
        """Indices of the judged rows, part by part."""
        return np.concatenate([part.held for part in self.parts])


@dataclass(frozen=True, kw_only=True)
class Member:
    """A trial in an average, and its weight; the weights of all members sum to 1."""

    trial: Trial
    weight: float


def search(
    material: Material, settings: Search, *, seed: int, threads: int, kept: KeptTrials | None = None
) -> tuple[Trial, ...]:
    """Return every trial, best first by `settings.metric`; ties are broken by number.

    Families take turns. Each gets at least its first setting, even if `settings.trials` is smaller than the number of families. Trials that were
    `kept` before an interruption are not run again, and count against `settings.time` as they did then.
    """
    each, choices = settings.trials // len(settings.families), list_constraints(material.constraints)
    studies = {
        family: Study(family, settings.metric, seed, each, choices if family == "boosted_trees" else ())
        for family in settings.families
    }
    workers = max(1, min(threads, settings.parallel))
    watch = _Watch(kept, seconds(settings.time) if settings.time else np.inf)
    # A bench per worker: XGBoost does not promise that two boosters may train on one matrix at once.
    benches = [_Bench(material, watch, seed=seed, threads=max(1, threads // workers)) for _ in range(workers)]
    total = max(settings.trials, len(settings.families))
    done: list[Trial] = []
    with ThreadPoolExecutor(max_workers=workers) as pool:
        while len(done) < total and (len(done) < len(settings.families) or watch.goes_on(len(done))):
            numbers = range(len(done), min(len(done) + settings.parallel, total))
            families = [settings.families[number % len(settings.families)] for number in numbers]
            asked = [studies[family].ask() for family in families]
            todo = [
                Proposal(number, family, ask[0]) for number, family, ask in zip(numbers, families, asked, strict=True)
            ]
            running = [pool.submit(benches[worker].judge, todo[worker::workers]) for worker in range(workers)]
            trials = sorted((trial for future in running for trial in future.result()), key=lambda trial: trial.number)
            for family, (values, question), trial in zip(families, asked, trials, strict=True):
                studies[family].tell(question, values, trial.metrics)
            done += trials
    return rank_trials(done, settings.metric)


def find_trials(
    material: Material,
    settings: Search,
    tuned: Tuned | None,
    *,
    averages: bool,
    seed: int,
    threads: int,
    kept: KeptTrials | None = None,
) -> tuple[tuple[Trial, ...], int]:
    """Return the trials, best first, and how many there were. What a tuner has found is judged again, all of it if trials may be averaged, and
    then constrained as in a search. Those that were `kept` before an interruption are not run again.
    """
    if tuned is None:
        trials = search(material, settings, seed=seed, threads=threads, kept=kept)
        return trials, len(trials)
    proposals = propose(settings.families, tuned.best if averages else tuned.best[:1])
    bench = _Bench(material, _Watch(kept), seed=seed, threads=threads)
    judged = trials = rank_trials(bench.judge(proposals), settings.metric)
    if tuned.trials // len(settings.families) >= FEWEST_TRIALS:
        trials = _add_constrained_trials(judged, bench, list_constraints(material.constraints), settings.metric)
    return trials, count_trials(settings.families, tuned) + len(trials) - len(judged)


def judge_proposals(
    material: Material,
    proposals: Sequence[Proposal],
    metric: Metric,
    *,
    seed: int,
    threads: int,
    kept: KeptTrials | None = None,
) -> tuple[Trial, ...]:
    """Return trials of values that are known from elsewhere, best first: what a search gives that asks for these."""
    return rank_trials(_Bench(material, _Watch(kept), seed=seed, threads=threads).judge(proposals), metric)


def _add_constrained_trials(
    board: Sequence[Trial], bench: "_Bench", choices: Choices, metric: Metric
) -> tuple[Trial, ...]:
    """Return the trials with those that constrain the best of them, best first: what a search tries last, for trials known from elsewhere."""
    best, trials = board[0], list(board)
    if best.hyperparameters.family != "boosted_trees":
        return tuple(board)
    constrained = ConstrainedTrials(best.hyperparameters.values, best.metrics["log_loss"], choices)
    while asked := constrained.ask():
        values, question = asked
        trials += bench.judge([Proposal(max(trial.number for trial in trials) + 1, "boosted_trees", values)])
        constrained.tell(question, trials[-1].metrics["log_loss"])
    return rank_trials(trials, metric)


def choose_members(board: Sequence[Trial], material: Material, metric: Metric) -> tuple[Member, ...]:
    """Select greedily, with replacement, the trials whose averaged log odds beat the best trial on the judged rows (Caruana et al., Ensemble
    Selection from Libraries of Models, 2004). Return the best trial alone if averaging does not pay.

    Only boosted trees are averaged, because their trees can be merged into one booster.
    """
    best = board[0]
    pool = [trial for trial in board[:BEST_TRIALS] if trial.hyperparameters.family == "boosted_trees"]
    chosen = [best]
    if best.hyperparameters.family == "boosted_trees":
        sign = 1 if metric in HIGHER_IS_BETTER else -1
        so_far = sign * best.metrics[metric]
        while len(chosen) < MOST_MEMBERS:
            found = [sign * _judge(material, _average([*chosen, trial]))[metric] for trial in pool]
            place = int(np.argmax(found))
            if not found[place] - so_far > MEMBER_PAYS * abs(so_far):
                break
            chosen.append(pool[place])
            so_far = found[place]
    distinct = {trial.number: trial for trial in chosen}
    numbers = [trial.number for trial in chosen]
    return tuple(Member(trial=trial, weight=numbers.count(number) / len(numbers)) for number, trial in distinct.items())


def average_margins(members: Sequence[Member]) -> FloatArray:
    """Return the weighted mean of the members' log odds of the judged rows, (n,)."""
    return np.asarray(sum(member.weight * member.trial.margins for member in members), dtype=np.float64)


def find_signs_of_more(board: Sequence[Trial], count: int) -> tuple[str, ...]:
    """Return the signs that a longer search than of `count` trials would find a better model, as sentences."""
    best = board[0]
    found = []
    if bound := describe_bound(best.hyperparameters):
        found.append(f"The best trial has {bound}")
    if count > 1 and best.number >= (1 - LATE) * count and not is_constrained(best.hyperparameters.values):
        found.append(f"The best of {count} trials was number {best.number + 1}: more trials may find a better one")
    return tuple(found)


def _average(trials: Sequence[Trial]) -> FloatArray:
    return np.asarray(np.mean([trial.margins for trial in trials], axis=0))


def _judge(material: Material, margins: FloatArray) -> dict[Metric, float]:
    """Return every metric of the judged rows after cross-fitted calibration."""
    held = material.held
    y = material.y[held]
    costs = None if material.outcome_costs is None else material.outcome_costs.take(held)
    return measure_held_out(y, cross_fitted(sigmoid(margins), y, material.folds[held]), costs)


def rank_trials(trials: Sequence[Trial], metric: Metric) -> tuple[Trial, ...]:
    """Return the trials in order of the metric, best first; ties are broken by number."""
    sign = -1 if metric in HIGHER_IS_BETTER else 1
    return tuple(sorted(trials, key=lambda trial: (sign * trial.metrics[metric], trial.number)))


def measure_held_out(y: npt.NDArray[np.int8], p: FloatArray, costs: OutcomeCosts | None = None) -> dict[Metric, float]:
    """Return every metric of probabilities p (n,) and outcomes y (n,); the mean cost per customer only if `costs` are given."""
    metrics: dict[Metric, float] = {
        "log_loss": log_loss(y, p),
        "auc": auc(y, p),
        "brier": float(np.mean((p - y) ** 2)),
        "f1": measure_best_f1(y, p),
    }
    if costs is not None:
        metrics["cost"] = float(np.mean(actual_cost(y, decide(p, costs).contact, costs)))
    return metrics


def measure_best_f1(y: npt.NDArray[np.int8], p: FloatArray) -> float:
    """Return the highest F1 over all cutoffs; 0 if nobody left. A cutoff derived from costs would let costs choose the model."""
    order = np.argsort(-p, kind="stable")
    last_of_ties = np.r_[np.diff(p[order]) < 0, True]
    hits, contacted = np.cumsum(y[order] > 0)[last_of_ties], np.arange(1, len(p) + 1)[last_of_ties]
    return float((2 * hits / (contacted + hits[-1])).max()) if len(p) else 0.0


class _Watch:
    """How long a search has taken, interruptions left out, and what is kept of it."""

    def __init__(self, kept: KeptTrials | None, limit: float = np.inf) -> None:
        self._kept, self._limit = kept, limit
        self._begin = time.monotonic()

    def goes_on(self, number: int) -> bool:
        """Return whether there is time for the trial of this number, or was before the search was interrupted."""
        return time.monotonic() - self._begin < self._limit or self._is_kept(number)

    def _is_kept(self, number: int) -> bool:
        return self._kept is not None and self._kept.seconds(number) is not None

    def find(self, proposal: Proposal) -> Trial | None:
        """Return the trial if it is kept, and count the time that the search had taken then."""
        found = self._kept.find(proposal) if self._kept else None
        if self._kept and found:
            self._begin = min(self._begin, time.monotonic() - (self._kept.seconds(proposal.number) or 0))
        return found

    def keep(self, trial: Trial) -> None:
        """Keep a trial that has just ended, if there is a place for it."""
        if self._kept:
            self._kept.keep(trial, time.monotonic() - self._begin)


class _Bench:
    """One worker's matrices, built once for all its trials because binning the rows takes as long as boosting them."""

    def __init__(self, material: Material, watch: _Watch, *, seed: int, threads: int) -> None:
        self._material, self._watch, self._seed, self._threads = material, watch, seed, threads
        self._matrices: dict[bool, list[tuple[xgb.DMatrix, xgb.DMatrix]]] = {}
        self._held = material.held

    def judge(self, todo: Sequence[Proposal]) -> list[Trial]:
        """Run trials one after another, but for those that are kept."""
        return [self._watch.find(proposal) or self._run_and_keep(proposal) for proposal in todo]

    def _run_and_keep(self, proposal: Proposal) -> Trial:
        trial = self._run_trial(proposal)
        self._watch.keep(trial)
        return trial

    def _run_trial(self, proposal: Proposal) -> Trial:
        family, values, space = proposal.family, proposal.values, SPACES[proposal.family]
        rounds, margins = self._boost(
            Hyperparameters(family=family, rounds=space.most_rounds, values=values), space.patience
        )
        return Trial(
            number=proposal.number,
            hyperparameters=Hyperparameters(family=family, rounds=rounds, values=values),
            metrics=_judge(self._material, margins),
            margins=margins,
        )

    def _boost(self, hyper: Hyperparameters, patience: int) -> tuple[int, FloatArray]:
        """Return the number of rounds with the lowest log loss over all held-out rows, and the margins at that round. The boosters of all parts
        advance together."""
        y = self._material.y[self._held]
        constraints = self._material.constraints
        parameters = booster_parameters(hyper, seed=self._seed, threads=self._threads, constraints=constraints)
        running = [(xgb.Booster(parameters, [fit, held]), fit, held) for fit, held in self._make_matrices(hyper.family)]
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

    def _make_matrices(self, family: Family) -> list[tuple[xgb.DMatrix, xgb.DMatrix]]:
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
