"""What a tuner is told, and what is made of what it has found."""

import re
from dataclasses import replace

import numpy as np
import pytest

from churn_model.spec.sections.search import Family, Search
from churn_model.training.search_space import SPACES, Proposal, Range
from churn_model.training.train import Candidate, run_trial, train
from churn_model.training.tuning import (
    OBJECTIVE_REGEX,
    Tuned,
    TunedTrial,
    combine_ranges,
    format_objective,
    propose,
    read_values,
)
from tests.churn_model.training.test_train import DATASET, rows

SEARCH = Search(families=("boosted_trees", "linear"), trials=8)
SEARCHED = replace(DATASET, search=SEARCH)


@pytest.fixture(scope="module")
def searched() -> Candidate:
    return train(rows(600), rows(200, seed=2), SEARCHED, threads=1)


def as_tuned(candidate: Candidate) -> Tuned:
    """Return what a tuner would have found that had tried the same values: as text, with its own among them."""
    best = [
        TunedTrial(
            number=trial.number,
            family=trial.hyperparameters.family,
            values={
                **{
                    name: str(value)
                    for name, value in trial.hyperparameters.values.items()
                    if name not in SPACES[trial.hyperparameters.family].fixed
                },
                "_tuning_objective_metric": "held_out_log_loss",
            },
        )
        for trial in candidate.leaderboard
    ]
    return Tuned(trials=8, best=tuple(best))


def test_given_the_winning_values_the_model_is_that_of_the_search(searched: Candidate) -> None:
    found = train(rows(600), rows(200, seed=2), SEARCHED, threads=1, tuned=as_tuned(searched))
    assert found.model.to_json() == searched.model.to_json()
    assert found.calibration == searched.calibration
    np.testing.assert_array_equal(found.out_of_fold.p, searched.out_of_fold.p)
    assert [trial.metrics for trial in found.leaderboard] == [trial.metrics for trial in searched.leaderboard]


def test_a_trial_alone_is_judged_as_it_is_in_a_search(searched: Candidate) -> None:
    for trial in searched.leaderboard[:2]:
        hyper = trial.hyperparameters
        alone = run_trial(rows(600), rows(200, seed=2), SEARCHED, Proposal(7, hyper.family, hyper.values))
        assert (alone.metrics, alone.hyperparameters, alone.number) == (trial.metrics, hyper, 7)


def test_a_tuner_that_finds_nothing_good_costs_no_quality() -> None:
    poor = TunedTrial(number=0, family="boosted_trees", values={"eta": "0.2", "max_depth": "12", "lambda": "0.3"})
    found = train(rows(600), rows(200, seed=2), SEARCHED, threads=1, tuned=Tuned(trials=1, best=(poor,)))
    first = train(rows(600), rows(200, seed=2), replace(DATASET, search=replace(SEARCH, trials=2)), threads=1)
    assert found.leaderboard[0].metrics["log_loss"] <= first.leaderboard[0].metrics["log_loss"]
    assert found.trials == 4  # two settings of trees, one linear, and the tuner's


def test_the_best_of_a_tuner_is_constrained_as_that_of_a_search() -> None:
    alone = replace(DATASET, search=Search(trials=10))
    good = TunedTrial(number=0, family="boosted_trees", values={"eta": "0.1", "max_depth": "3", "lambda": "2.0"})
    found = train(rows(600), rows(200, seed=2), alone, threads=1, tuned=Tuned(trials=10, best=(good,)))
    constrained = [trial.number for trial in found.leaderboard if "together" in trial.hyperparameters.values]
    assert min(constrained) > 2
    assert found.trials == 12 + len(found.leaderboard) - 3  # the tuner's ten, two settings, and the constrained ones


@pytest.mark.parametrize("value", [0.123456789012345, 1e-05, 3.2e10, -1.5, 0.0])
def test_a_trials_figure_is_read_from_its_log_as_it_is(value: float) -> None:
    log = f"[WARNING] something\n{format_objective(value)}\nmore"
    assert [float(found) for found in re.findall(OBJECTIVE_REGEX, log)] == [value]


def test_a_tuner_searches_all_depths_at_once() -> None:
    assert combine_ranges("boosted_trees")["max_depth"] == Range(2, 12, log=True, whole=True)
    assert combine_ranges("boosted_trees")["eta"] == Range(0.03, 0.2, log=True)


@pytest.mark.parametrize("family", SPACES)
def test_every_known_good_setting_is_within_what_a_tuner_searches(family: Family) -> None:
    ranges = combine_ranges(family)
    for setting in SPACES[family].settings:
        assert setting.values.keys() == ranges.keys()
        assert all(ranges[name].low <= value <= ranges[name].high for name, value in setting.values.items())


def test_values_are_read_without_what_is_the_tuners_own_and_with_what_is_fixed() -> None:
    texts = {"family": "random_forest", "max_depth": "7.0", "subsample": "0.5", "_tuning_objective_metric": "x"}
    found = read_values("random_forest", texts)
    assert found == {"num_parallel_tree": 200, "lambda": 1.0, "max_depth": 7, "subsample": 0.5}
    assert isinstance(found["max_depth"], int)


def test_what_a_tuner_found_is_judged_once_if_it_is_a_known_good_setting() -> None:
    setting = {name: str(value) for name, value in SPACES["linear"].settings[0].values.items()}
    (only,) = propose(("linear",), [TunedTrial(number=3, family="linear", values=setting)])
    assert only.number == 0
