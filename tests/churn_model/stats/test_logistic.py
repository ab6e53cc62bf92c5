"""Logistic regression and the log loss against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from churn_model.stats.logistic import clip_probabilities, fit_logistic, log_loss, log_losses, logit, sigmoid


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_the_fit_is_that_of_scikit_learn_without_a_penalty(columns: int) -> None:
    rng = np.random.default_rng(columns)
    inputs = rng.normal(size=(500, columns))
    y = (rng.random(500) < sigmoid(inputs.sum(axis=1) - 1)).astype(np.int8)
    slopes, intercept = fit_logistic(inputs, y)
    other = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(inputs, y)
    assert slopes == pytest.approx(other.coef_[0], abs=1e-4)
    assert intercept == pytest.approx(float(other.intercept_[0]), abs=1e-4)


def test_separated_classes_end_the_fit() -> None:
    (slope,), _ = fit_logistic(np.array([[-1.0], [1.0]]), [0, 1])
    assert np.isfinite(slope)
    assert slope > 5


def test_the_log_loss_is_that_of_scikit_learn_and_finite_at_the_ends() -> None:
    y, p = np.array([0, 1, 1]), np.array([0.2, 0.7, 0.4])
    assert log_loss(y, p) == pytest.approx(metrics.log_loss(y, p))
    assert log_losses([1, 0], [0.0, 1.0]) == pytest.approx(-np.log(1e-6), rel=1e-6)


def test_log_odds_and_probabilities_are_inverse() -> None:
    p = np.array([0.0, 1e-4, 0.3, 0.999, 1.0])
    assert sigmoid(logit(p)) == pytest.approx(clip_probabilities(p))
