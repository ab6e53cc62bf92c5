"""Choosing a family, its hyperparameters and its rounds."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from churn_model.decisions.costs import outcome_costs
from churn_model.models.families import Hyperparameters, fit_model
from churn_model.spec.dataset import Contact, Costs, Family, Metric, Search, ValueColumn
from churn_model.stats.logistic import log_loss
from churn_model.training.search import (
    HIGHER_IS_BETTER,
    Material,
    Part,
    Trial,
    best_f1,
    held_out_metrics,
    leaderboard,
    search,
)

ALL: tuple[Family, ...] = ("boosted_trees", "random_forest", "linear")


def material(n: int = 300, families: tuple[Family, ...] = ALL) -> Material:
    random = np.random.default_rng(11)
    x = random.normal(size=(n, 4)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] + x[:, 2] + random.normal(size=n) > 0.7).astype(np.int8)
    folds = np.arange(n) % 5
    parts = tuple(Part(fit=np.flatnonzero(folds % 2 != k), held=np.flatnonzero(folds % 2 == k)) for k in (0, 1))
    return Material(encoded=dict.fromkeys(families, x), y=y, folds=folds, outcome_costs=None, parts=parts)


def test_the_leaderboard_is_the_same_for_any_number_of_workers() -> None:
    settings = Search(families=ALL, trials=6, parallel=3)
    boards = [search(material(), settings, seed=1, threads=threads) for threads in (1, 3)]
    assert boards[0] == boards[1]


def test_another_seed_is_another_search() -> None:
    settings = Search(trials=3)
    assert search(material(), settings, seed=1, threads=1) != search(material(), settings, seed=2, threads=1)


def test_families_take_turns_and_each_begins_with_its_default() -> None:
    trials = sorted(
        search(material(), Search(families=ALL, trials=6, parallel=2), seed=1, threads=2),
        key=lambda trial: trial.number,
    )
    assert [trial.hyperparameters.family for trial in trials] == [*ALL, *ALL]
    again = sorted(
        search(material(), Search(families=ALL, trials=1), seed=99, threads=1), key=lambda trial: trial.number
    )
    assert [trial.hyperparameters.family for trial in again] == list(ALL)
    assert [dict(trial.hyperparameters.values) for trial in trials[:3]] == [
        dict(trial.hyperparameters.values) for trial in again
    ]


@pytest.mark.parametrize("metric", ["log_loss", "auc", "brier", "cost", "f1"])
def test_the_best_by_the_chosen_metric_comes_first_and_all_metrics_are_kept(metric: Metric) -> None:
    data = dataclasses.replace(material(300, ("boosted_trees",)), outcome_costs=outcome_costs(Costs()))
    board = search(data, Search(metric=metric, trials=4), seed=1, threads=2)
    values = [trial.metrics[metric] for trial in board]
    assert values == sorted(values, reverse=metric in HIGHER_IS_BETTER)
    assert all(set(trial.metrics) == {"log_loss", "auc", "brier", "cost", "f1"} for trial in board)


def test_equal_trials_are_ordered_by_their_number() -> None:
    hyper = Hyperparameters(family="linear", rounds=1, values={})
    trials = [
        Trial(number=n, hyperparameters=hyper, metrics={"auc": value})
        for n, value in ((2, 0.7), (1, 0.7), (0, 0.6), (3, 0.8))
    ]
    assert [trial.number for trial in leaderboard(trials, "auc")] == [3, 1, 2, 0]


def test_a_trial_is_judged_as_its_model_would_be_fitted() -> None:
    # So few rows are held out that there is no calibration: the metric is that of the models' own probabilities.
    data = material(160, ("boosted_trees",))
    data = dataclasses.replace(
        data,
        parts=(Part(fit=np.arange(80), held=np.arange(80, 120)), Part(fit=np.arange(60), held=np.arange(120, 160))),
    )
    best = search(data, Search(trials=2), seed=5, threads=1)[0]
    x, y = data.encoded["boosted_trees"], data.y
    first, second = (fit_model(x[:size], y[:size], best.hyperparameters, seed=5, threads=1) for size in (80, 60))
    p = np.concatenate([first.probabilities(x[80:120]), second.probabilities(x[120:])])
    assert best.metrics["log_loss"] == pytest.approx(log_loss(y[80:], p), abs=1e-12)


def test_rows_that_no_part_names_change_nothing() -> None:
    data = dataclasses.replace(
        material(300, ("boosted_trees",)), parts=(Part(fit=np.arange(100), held=np.arange(100, 200)),)
    )
    y = data.y.copy()
    y[200:] = 1 - y[200:]
    settings = Search(trials=3)
    assert search(dataclasses.replace(data, y=y), settings, seed=1, threads=1) == search(
        data, settings, seed=1, threads=1
    )


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.9, 0.1, 0.9, 0.1], {"cost": 50.0, "auc": 1.0, "f1": 1.0, "brier": 0.01}),
        ([0.1, 0.9, 0.1, 0.9], {"cost": 300.0, "auc": 0.0, "f1": 2 / 3, "brier": 0.81}),
        ([0.1, 0.1, 0.1, 0.1], {"cost": 250.0, "auc": 0.5, "f1": 2 / 3, "brier": 0.41}),
    ],
)
def test_metrics_are_those_of_the_textbook(p: list[float], expected: dict[Any, float]) -> None:
    found = held_out_metrics(np.array([1, 0, 1, 0], dtype=np.int8), np.array(p), outcome_costs(Costs()))
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_the_best_f1_is_that_of_the_best_cutoff() -> None:
    random = np.random.default_rng(3)
    p = np.round(random.random(200), 1)
    y = (random.random(200) < p).astype(np.int8)
    assert best_f1(y, p) == pytest.approx(max(f1_score(y, p >= cutoff) for cutoff in np.unique(p)))
    assert best_f1(np.zeros(3, dtype=np.int8), np.array([0.1, 0.2, 0.2])) == 0.0


def test_without_costs_there_is_no_cost() -> None:
    best, *_ = search(material(), Search(trials=1), seed=1, threads=1)
    assert set(best.metrics) == {"log_loss", "auc", "brier", "f1"}


def test_money_follows_each_customers_worth() -> None:
    data = material(300, ("boosted_trees",))
    costs = Costs(contact=Contact(cost=10, value=ValueColumn(column="worth")))
    cheap, dear = (
        search(
            dataclasses.replace(data, outcome_costs=outcome_costs(costs, np.full(300, worth))),
            Search(trials=1, metric="cost"),
            seed=1,
            threads=1,
        )[0]
        for worth in (20.0, 2000.0)
    )
    assert cheap.metrics["log_loss"] == dear.metrics["log_loss"]
    assert cheap.metrics["cost"] < dear.metrics["cost"]
