"""The contributions behind our reasons are those of the shap library."""

import warnings

import numpy as np
import pytest

from churn_model.models.contributions import contributions
from churn_model.models.families import Hyperparameters, fit_model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it imports warns about itself
    import shap


@pytest.mark.parametrize("depth", [2, 4, 6])
def test_contributions_equal_those_of_the_tree_explainer(depth: int) -> None:
    draw = np.random.default_rng(depth)
    rows = draw.normal(size=(400, 5)).astype(np.float32)
    rows[draw.random(rows.shape) < 0.1] = np.nan
    y = (np.nan_to_num(rows[:, 0]) + np.nan_to_num(rows[:, 1]) * (rows[:, 2] > 0) + draw.normal(size=400) > 0.5).astype(
        np.int8
    )
    hyper = Hyperparameters(family="boosted_trees", rounds=30, values={"max_depth": depth, "eta": 0.2})
    model = fit_model(rows, y, hyper, seed=1, threads=1)
    theirs = shap.TreeExplainer(model.booster).shap_values(rows)
    assert np.abs(contributions(model, rows)[:, :-1] - theirs).max() < 1e-5
