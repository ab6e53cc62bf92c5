"""Calibration, judged."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from churn_model.evaluation.reliability import calibration_bin, calibration_bins, slope_columns
from churn_model.stats.logistic import logit


def test_bins_are_ten_of_equal_width_and_hold_both_ends() -> None:
    assert calibration_bin(np.array([0.0, 0.05, 0.1, 0.55, 0.999, 1.0])).tolist() == [0, 0, 1, 5, 9, 9]


def test_the_curve_leaves_empty_bins_out_and_its_intervals_hold_what_came() -> None:
    found = calibration_bins(np.array([0, 1, 1, 1]), np.array([0.12, 0.14, 0.91, 0.95]))
    assert [(part.rows, part.observed) for part in found] == [(2, 0.5), (2, 1.0)]
    assert found[0].predicted == pytest.approx(0.13)
    assert all(0 <= part.low <= part.observed <= part.high <= 1 for part in found)


def test_the_slope_is_that_of_an_unpenalised_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=800)
    y = (rng.random(800) < 1 / (1 + np.exp(-0.7 * z - 0.2))).astype(np.float64)
    p = 1 / (1 + np.exp(-z))
    columns = slope_columns(y, p)
    reference = LogisticRegression(C=1e9, tol=1e-8).fit(logit(p)[:, None], y)
    assert columns["slope"].sum() == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert columns["g0"].sum() == pytest.approx(0, abs=1e-6)
    assert columns["g1"].sum() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "p", [np.full(20, 0.3), np.repeat([0.1, 0.9], 10)], ids=["one probability", "perfectly separated"]
)
def test_where_no_line_can_be_fitted_there_is_no_slope(p: np.ndarray) -> None:
    assert np.isnan(slope_columns(np.repeat([0.0, 1.0], 10), p)["slope"].sum())
