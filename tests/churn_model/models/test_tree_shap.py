"""Contributions by table lookup against XGBoost's own."""

from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_model.models.contributions import _make_tables, contributions
from churn_model.models.families import Hyperparameters, fit_model
from churn_model.models.tree_shap import DEEPEST, TreeShap


def matrix(rng: np.random.Generator, n: int, width: int, missing: float) -> np.ndarray:
    """Numbers, repeated numbers and 0/1 columns, some values missing."""
    x = rng.normal(size=(n, width)).astype(np.float32)
    x[:, 1::3] = np.round(x[:, 1::3])
    x[:, 2::3] = x[:, 2::3] > 0
    x[rng.random((n, width)) < missing] = np.nan
    return x


def fitted(x: np.ndarray, y: np.ndarray, rounds: int, **values: Any) -> xgb.Booster:
    parameters = {
        "objective": "binary:logistic",
        "base_score": 0.5,
        "tree_method": "hist",
        "nthread": 1,
        "min_child_weight": 0.1,
        **values,
    }
    return xgb.train(parameters, xgb.DMatrix(x, y, missing=np.nan), num_boost_round=rounds)


def of_xgboost(booster: xgb.Booster, x: np.ndarray) -> np.ndarray:
    return np.asarray(booster.predict(xgb.DMatrix(x, missing=np.nan), pred_contribs=True), dtype=np.float64)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    width=st.integers(1, 9),
    depth=st.integers(1, DEEPEST),
    rounds=st.integers(1, 25),
    missing=st.sampled_from([0.0, 0.1, 0.6]),
    base=st.sampled_from([0.5, 0.14]),
)
def test_any_shallow_model_gives_every_row_the_contributions_that_xgboost_does(
    seed: int, width: int, depth: int, rounds: int, missing: float, base: float
) -> None:
    rng = np.random.default_rng(seed)
    x = matrix(rng, 200, width, missing)
    y = (np.nan_to_num(x).sum(axis=1) + rng.normal(size=200) > 0.5).astype(np.int8)
    booster = fitted(x, y, rounds, max_depth=depth, eta=0.3, subsample=0.7, seed=seed, base_score=base)
    shap = TreeShap.of(booster)
    assert shap is not None
    # Rows it was not fitted on, rows on the very limits of its conditions, and rows without a value.
    others = np.concatenate([x, matrix(rng, 100, width, 0.2), np.full((1, width), np.nan, dtype=np.float32)])
    limits = shap.limit[np.isfinite(shap.limit)]
    if len(limits):
        others = np.concatenate([others, rng.choice(limits, size=(50, width)).astype(np.float32)])
    np.testing.assert_allclose(shap.contributions(others), of_xgboost(booster, others), atol=1e-5)


def test_they_are_the_shapley_values_of_the_definition() -> None:
    rng = np.random.default_rng(3)
    x = matrix(rng, 300, 4, 0.0)
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(np.int8)
    booster = fitted(x, y, 1, max_depth=4)
    shap = TreeShap.of(booster)
    assert shap is not None
    tree: Any = booster.trees_to_dataframe().set_index("ID")
    row = x[7]

    def expected(node: str, known: tuple[int, ...]) -> float:
        """What the tree says when only some columns are known: the others go both ways, by the share of rows."""
        found = tree.loc[node]
        if found["Feature"] == "Leaf":
            return float(found["Gain"])
        feature = int(found["Feature"][1:])
        if feature in known:
            return expected(found["Yes"] if row[feature] < np.float32(found["Split"]) else found["No"], known)
        shares = [float(tree.loc[found[way], "Cover"]) / float(found["Cover"]) for way in ("Yes", "No")]
        return shares[0] * expected(found["Yes"], known) + shares[1] * expected(found["No"], known)

    found = shap.contributions(row[None, :])[0]
    for feature in range(4):
        others = [number for number in range(4) if number != feature]
        value = 0.0
        for size in range(4):
            for known in combinations(others, size):
                weight = factorial(size) * factorial(3 - size) / factorial(4)
                value += weight * (expected("0-0", (*known, feature)) - expected("0-0", known))
        assert found[feature] == pytest.approx(value, abs=1e-5)


def test_a_column_that_a_path_asks_twice_counts_once() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(500, 1)).astype(np.float32)
    booster = fitted(x, (np.abs(x[:, 0]) < 0.5).astype(np.int8), 3, max_depth=5)
    shap = TreeShap.of(booster)
    assert shap is not None
    np.testing.assert_allclose(shap.contributions(x), of_xgboost(booster, x), atol=1e-5)


def test_a_row_gets_the_same_bits_alone_and_in_any_block() -> None:
    rng = np.random.default_rng(1)
    x = matrix(rng, 3000, 6, 0.1)
    booster = fitted(x, (np.nan_to_num(x[:, 0]) > 0).astype(np.int8), 60, max_depth=4)
    shap = TreeShap.of(booster)
    assert shap is not None
    whole = shap.contributions(x)
    for rows in (slice(0, 1), slice(17, 18), slice(5, 2900)):
        np.testing.assert_array_equal(shap.contributions(x[rows]), whole[rows])
    assert shap.contributions(x[:0]).shape == (0, 7)


def test_trees_without_a_condition_say_their_bias_alone() -> None:
    x = np.zeros((50, 3), dtype=np.float32)
    booster = fitted(x, np.r_[np.ones(10), np.zeros(40)], 3)
    shap = TreeShap.of(booster)
    assert shap is not None
    np.testing.assert_allclose(shap.contributions(x), of_xgboost(booster, x), atol=1e-5)


@pytest.mark.parametrize("values", [{"max_depth": 9}, {"booster": "gblinear"}, {"booster": "dart", "rate_drop": 0.2}])
def test_other_boosters_have_no_tables(values: dict[str, Any]) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2000, 3)).astype(np.float32)
    shallow = {name: value for name, value in values.items() if name != "booster" or value != "gblinear"}
    if values.get("booster") == "gblinear":
        booster = xgb.train(
            {"booster": "gblinear", "objective": "binary:logistic", "base_score": 0.5, "nthread": 1},
            xgb.DMatrix(x, (x[:, 0] > 0)),
            3,
        )
    else:
        booster = fitted(x, (np.sin(3 * x).sum(axis=1) > 0).astype(np.int8), 3, **shallow)
    assert TreeShap.of(booster) is None


def test_rows_whose_sum_misses_the_margin_are_xgboosts_own() -> None:
    rng = np.random.default_rng(4)
    x = matrix(rng, 400, 5, 0.1)
    hyper = Hyperparameters(family="boosted_trees", rounds=30, values={"max_depth": 3, "eta": 0.3})
    model = fit_model(x, (np.nan_to_num(x[:, 0]) > 0).astype(np.int8), hyper, seed=0, threads=1)
    shap = _make_tables(model)
    assert shap is not None
    shap.table[::7] += 1 << 36
    assert np.abs(shap.contributions(x).sum(axis=1) - model.margins(x)).max() > 0.01
    np.testing.assert_allclose(contributions(model, x), of_xgboost(model.booster, x), atol=1e-4)


def test_models_take_the_tables_where_they_can() -> None:
    rng = np.random.default_rng(6)
    x = matrix(rng, 400, 5, 0.1)
    y = (np.nan_to_num(x[:, 0]) > 0).astype(np.int8)
    trees = fit_model(
        x, y, Hyperparameters(family="boosted_trees", rounds=30, values={"max_depth": 3}), seed=0, threads=1
    )
    shap = TreeShap.of(trees.booster)
    assert shap is not None
    np.testing.assert_array_equal(contributions(trees, x), shap.contributions(x))
    line = fit_model(np.nan_to_num(x), y, Hyperparameters(family="linear", rounds=10, values={}), seed=0, threads=1)
    np.testing.assert_allclose(
        contributions(line, np.nan_to_num(x)), of_xgboost(line.booster, np.nan_to_num(x)), atol=1e-6
    )
