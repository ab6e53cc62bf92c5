"""Probabilities that mean what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_model.models.calibration import Calibration, cross_fitted, fit_calibration
from churn_model.stats.logistic import log_loss


def outcomes(n: int = 4000, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True probabilities, outcomes drawn from them, folds."""
    random = np.random.default_rng(seed)
    truth = 1 / (1 + np.exp(-random.normal(-1, 1.5, size=n)))
    return truth, (random.random(n) < truth).astype(np.int8), np.arange(n) % 5


def logit(p: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(p / (1 - p)))


def test_a_distortion_is_undone() -> None:
    truth, y, folds = outcomes(40_000)
    distorted = 1 / (1 + np.exp(-(0.5 * logit(truth) + 0.7)))
    fitted = fit_calibration(distorted, y, folds)
    assert fitted.calibration.kind == "beta"
    assert [fitted.calibration.a, fitted.calibration.b] == pytest.approx([2, 2], abs=0.15)
    assert fitted.log_loss_after < fitted.log_loss_before
    assert np.abs(fitted.calibration.apply(distorted) - truth).mean() < 0.01


def test_slopes_are_those_of_scikit_learn_without_a_penalty() -> None:
    from sklearn.linear_model import LogisticRegression

    truth, y, folds = outcomes()
    p = truth**0.5
    found = fit_calibration(p, y, folds).calibration
    features = np.column_stack([np.log(p), -np.log1p(-p)])
    reference = LogisticRegression(C=1e10, tol=1e-10, max_iter=10_000).fit(features, y)
    np.testing.assert_allclose([found.a, found.b, found.c], [*reference.coef_[0], reference.intercept_[0]], atol=2e-3)


def test_what_is_calibrated_stays_as_it_is_where_beta_does_not_help() -> None:
    truth, y, folds = outcomes(300, seed=5)
    fitted = fit_calibration(truth, y, folds)
    assert fitted.calibration == Calibration()
    assert fitted.log_loss_before == fitted.log_loss_after
    assert cross_fitted(truth, y, folds) is truth


@pytest.mark.parametrize("flip", [False, True])
def test_below_fifty_of_a_class_nothing_is_fitted(flip: bool) -> None:
    truth, _, folds = outcomes()
    y = np.zeros(len(truth), dtype=np.int8)
    y[np.argsort(-truth)[:49]] = 1
    assert fit_calibration(truth / 3, 1 - y if flip else y, folds).calibration.kind == "identity"


@pytest.mark.parametrize(("a", "b", "zero"), [(-0.5, 3.0, "a"), (3.0, -0.5, "b")])
def test_a_coefficient_that_would_be_negative_is_zero_and_the_other_fitted_again(a: float, b: float, zero: str) -> None:
    random = np.random.default_rng(2)
    p = random.uniform(0.02, 0.98, size=4000)
    y = (random.random(4000) < 1 / (1 + np.exp(-(a * np.log(p) - b * np.log1p(-p))))).astype(np.int8)
    found = fit_calibration(p, y, np.arange(4000) % 5).calibration
    assert found.kind == "beta"
    assert getattr(found, zero) == 0
    assert found.a + found.b == pytest.approx(2, abs=0.3)  # not the 3 it had beside the negative one


def test_a_reversed_order_is_not_turned() -> None:
    truth, y, folds = outcomes()
    assert fit_calibration(1 - truth, y, folds).calibration == Calibration()


def test_perfect_separation_stays_finite() -> None:
    y = (np.arange(400) % 2).astype(np.int8)
    fitted = fit_calibration(np.where(y == 1, 0.7, 0.3), y, np.arange(400) // 2 % 5)
    p = fitted.calibration.apply(np.array([0.3, 0.7]))
    assert np.isfinite(p).all()
    assert p[0] < 0.1
    assert p[1] > 0.9


def test_equal_probabilities_become_the_base_rate_or_stay() -> None:
    _, y, folds = outcomes()
    p = fit_calibration(np.full(len(y), 0.5), y, folds).calibration.apply(np.array([0.5]))
    assert p[0] == pytest.approx(y.mean(), abs=0.01)


@given(st.floats(0, 20), st.floats(0.01, 20), st.floats(-20, 20), st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_calibration_keeps_the_order_and_the_bounds(a: float, b: float, c: float, p: list[float]) -> None:
    calibrated = Calibration(kind="beta", a=a, b=b, c=c).apply(np.sort(p))
    assert (np.diff(calibrated) >= -1e-12).all()
    assert calibrated.min() >= 0
    assert calibrated.max() <= 1


@pytest.mark.parametrize("values", [{"a": -1.0}, {"a": 0.0, "b": 0.0}, {"c": float("nan")}])
def test_coefficients_that_turn_the_order_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Expected finite a, b >= 0 with one above 0"):
        Calibration(kind="beta", **values)


def test_log_loss_of_a_certain_mistake_is_finite() -> None:
    assert log_loss([1, 0], [0.0, 1.0]) == pytest.approx(-np.log(1e-6))
    assert log_loss([1, 0], [0.5, 0.5]) == pytest.approx(np.log(2))
