"""Choosing a family, its hyperparameters and its rounds."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from churn_model.decisions.costs import outcome_costs
from churn_model.models.constraints import CONSTRAINED, Constraints
from churn_model.models.families import Hyperparameters, fit_model
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn
from churn_model.spec.sections.search import Family, Metric, Search
from churn_model.stats.logistic import log_loss
from churn_model.training.search import (
    Material,
    Part,
    average_margins,
    choose_members,
    find_signs_of_more,
    measure_best_f1,
    measure_held_out,
    rank_trials,
    search,
)
from churn_model.training.search_space import HIGHER_IS_BETTER, SPACES, Study, list_constraints
from churn_model.training.trials import Trial

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
    assert [trial.number for trial in rank_trials(trials, "auc")] == [3, 1, 2, 0]


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
    found = measure_held_out(np.array([1, 0, 1, 0], dtype=np.int8), np.array(p), outcome_costs(Costs()))
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_the_best_f1_is_that_of_the_best_cutoff() -> None:
    random = np.random.default_rng(3)
    p = np.round(random.random(200), 1)
    y = (random.random(200) < p).astype(np.int8)
    assert measure_best_f1(y, p) == pytest.approx(max(f1_score(y, p >= cutoff) for cutoff in np.unique(p)))
    assert measure_best_f1(np.zeros(3, dtype=np.int8), np.array([0.1, 0.2, 0.2])) == 0.0


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


def asked(study: Study, log_losses: list[float]) -> list[int]:
    """The depths that a study asks for, if its trials have these log losses."""
    depths = []
    for loss in log_losses:
        values, question = study.ask()
        depths.append(int(values["max_depth"]))
        study.tell(question, values, {"log_loss": loss})
    return depths


def test_deeper_trees_are_searched_only_where_they_pay() -> None:
    flat = asked(Study("boosted_trees", "log_loss", 1), [0.4, 0.395, *[0.4] * 8])
    assert flat[:2] == [3, 6]
    assert set(flat[2:]) <= {2, 3, 4}
    middle = asked(Study("boosted_trees", "log_loss", 1), [0.4, 0.3, 0.299, *[0.4] * 8])
    assert middle[:3] == [3, 6, 10]
    assert set(middle[3:]) <= set(range(3, 9))
    deep = asked(Study("boosted_trees", "log_loss", 1), [0.4, 0.3, 0.25, *[0.4] * 8])
    assert set(deep[3:]) <= set(range(6, 13))
    assert max(deep) > 8


@pytest.mark.parametrize("at_once", [2, 3, 4])
def test_the_range_that_paid_is_searched_however_many_are_asked_at_once(at_once: int) -> None:
    study = Study("boosted_trees", "log_loss", 1)
    loss = {3: 0.4, 6: 0.3, 10: 0.25}
    depths: list[int] = []
    for _ in range(24 // at_once):
        questions = [study.ask() for _ in range(at_once)]
        for values, question in questions:
            depth = int(values["max_depth"])
            depths.append(depth)
            study.tell(question, values, {"log_loss": 0.4 if question else loss[depth]})
    assert [depth for depth in depths if depth in loss][:2] == [3, 6]
    assert set(depths[2 * at_once :]) <= set(range(6, 13))
    assert max(depths) > 10


def test_the_deepest_setting_is_not_tried_where_the_one_before_did_not_pay_however_many_are_asked_at_once() -> None:
    study = Study("boosted_trees", "log_loss", 1)
    for _ in range(3):
        questions = [study.ask() for _ in range(8)]
        assert all(values["max_depth"] <= 6 for values, _ in questions)
        for values, question in questions:
            study.tell(question, values, {"log_loss": 0.4})


def interactions(n: int = 1500) -> Material:
    """Rows whose outcome is the parity of five signs: a tree of depth 3 sees nothing of it."""
    random = np.random.default_rng(4)
    x = random.normal(size=(n, 5)).astype(np.float32)
    y = ((x[:, :4] > 0).sum(axis=1) % 2).astype(np.int8)
    folds = np.arange(n) % 3
    parts = tuple(Part(fit=np.flatnonzero(folds != k), held=np.flatnonzero(folds == k)) for k in range(3))
    return Material(encoded={"boosted_trees": x}, y=y, folds=folds, outcome_costs=None, parts=parts)


def test_where_columns_work_together_the_trees_are_deep_and_the_average_is_no_worse() -> None:
    data = interactions()
    board = search(data, Search(trials=4), seed=1, threads=1)
    assert board[0].hyperparameters.values["max_depth"] >= 6
    members = choose_members(board, data, "log_loss")
    assert sum(member.weight for member in members) == pytest.approx(1)
    averaged = average_margins(members)
    y = data.y[data.held]
    assert log_loss(y, 1 / (1 + np.exp(-averaged))) <= log_loss(y, 1 / (1 + np.exp(-board[0].margins)))


TABLE = Constraints(signs=(0, 0, 1, 0), columns=((0,), (1,), (2,), (3,)))
MONOTONE: dict[str, float] = {"monotone": 1}
PAIRS: dict[str, float] = {"together": 2}
ALONE: dict[str, float] = {"together": 1}


def constrained(costly: dict[str, float], *, at_once: int = 1, trials: int = 20) -> list[dict[str, float]]:
    """The constraints that a study asks for, where one costs a tenth of the log loss and the others nothing."""
    study = Study("boosted_trees", "log_loss", 1, trials, list_constraints(TABLE))
    found: list[dict[str, float]] = []
    for _ in range(trials // at_once):
        asked = [study.ask() for _ in range(at_once)]
        for values, question in asked:
            named: dict[str, float] = {name: value for name, value in values.items() if name in CONSTRAINED}
            found.append(named)
            study.tell(question, values, {"log_loss": 0.44 if costly and costly.items() <= named.items() else 0.4})
    return found


def test_the_last_trials_constrain_the_best_one() -> None:
    assert constrained({})[15:] == [MONOTONE, PAIRS, MONOTONE | PAIRS, ALONE, MONOTONE | ALONE]
    assert constrained({})[:15] == [{}] * 15
    assert constrained({}, at_once=2)[15:] == [MONOTONE, PAIRS, {}, MONOTONE | PAIRS, ALONE]
    assert constrained({}, trials=8) == [{}] * 8


def test_a_constraint_that_costs_much_is_not_followed_by_a_stricter_one() -> None:
    assert constrained(MONOTONE)[15:] == [MONOTONE, PAIRS, ALONE, {}, {}]
    assert constrained(PAIRS)[15:] == [MONOTONE, PAIRS, {}, {}, {}]
    assert constrained(ALONE)[15:] == [MONOTONE, PAIRS, MONOTONE | PAIRS, ALONE, {}]


def test_constraints_that_mean_nothing_for_a_table_are_not_tried() -> None:
    many = tuple((place,) for place in range(65))
    assert list_constraints(None) == ()
    assert list_constraints(dataclasses.replace(TABLE, signs=(0, 0, 0, 0))) == (PAIRS, ALONE)
    assert list_constraints(Constraints(signs=(1,) * 65, columns=many)) == (MONOTONE,)
    assert list_constraints(Constraints(signs=(0, 0), columns=((0,), (1,)))) == ()


def test_a_table_whose_columns_act_one_by_one_is_modelled_so() -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=(1200, 4)).astype(np.float32)
    y = (x @ np.array([1.5, -1.5, 1.0, 0.0]) + random.logistic(size=1200) > 1).astype(np.int8)
    folds = np.arange(1200) % 3
    parts = tuple(Part(fit=np.flatnonzero(folds != k), held=np.flatnonzero(folds == k)) for k in range(3))
    table = dataclasses.replace(TABLE, signs=(1, -1, 1, 0))
    data = Material(encoded={"boosted_trees": x}, y=y, folds=folds, outcome_costs=None, parts=parts, constraints=table)
    board = search(data, Search(trials=12), seed=1, threads=1)
    assert len(board) == 12
    assert board[0].hyperparameters.values["monotone"] == 1
    depth = board[0].hyperparameters.values["max_depth"]
    assert all(trial.hyperparameters.values.get("together", 0) < depth for trial in board)
    assert find_signs_of_more(board[:1], 1) == ()


def test_no_trial_is_begun_after_the_time_of_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 40))
    monkeypatch.setattr("churn_model.training.search.time.monotonic", lambda: next(clock))
    assert len(search(material(), Search(trials=20, time="1m"), seed=1, threads=1)) == 4


def test_a_best_trial_at_the_end_of_the_search_or_of_its_space_says_so() -> None:
    def trial(number: int, *, depth: int, rounds: int) -> Trial:
        hyper = Hyperparameters(family="boosted_trees", rounds=rounds, values={"max_depth": depth})
        return Trial(number=number, hyperparameters=hyper, metrics={})

    rest = [trial(number, depth=3, rounds=10) for number in range(9)]
    last = Hyperparameters(family="boosted_trees", rounds=300, values={"max_depth": 4, "together": 2})
    assert find_signs_of_more([Trial(number=9, hyperparameters=last, metrics={}), *rest], 10) == ()
    assert find_signs_of_more([trial(2, depth=4, rounds=300), *rest], 10) == ()
    assert find_signs_of_more([trial(9, depth=4, rounds=300), *rest], 10) == (
        "The best of 10 trials was number 10: more trials may find a better one",
    )
    assert find_signs_of_more([trial(0, depth=12, rounds=300)], 1) == (
        "The best trial has depth 12, the deepest that is tried",
    )
    most = SPACES["boosted_trees"].most_rounds
    assert "2,000 rounds" in find_signs_of_more([trial(0, depth=3, rounds=most)], 1)[0]
