"""Evidence that may be looked at at any time: what it is expected to be, when it grows, and how days are averaged."""

import math

import numpy as np
import pytest

from churn_model.arrays import FloatArray
from churn_model.errors import InputError
from churn_model.stats.always_valid import Events, log_average_of_days, log_bets, log_insured, log_mean, log_means


def expected_stakes(probability: float, share: float, *, tolerance: float, upwards: bool) -> FloatArray:
    """Return what each bet's stake is expected to be after 12 events that fall to the challenger with `probability`: over all outcomes."""
    outcomes: list[FloatArray] = [
        math.comb(12, k)
        * probability**k
        * (1 - probability) ** (12 - k)
        * np.exp(log_bets([Events(k, 12 - k)], share, tolerance=tolerance, upwards=upwards)[0])
        for k in range(13)
    ]
    return np.asarray(np.sum(outcomes, axis=0))


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("upwards", [True, False])
def test_a_stake_stays_what_it_is_while_the_variants_are_equal(share: float, upwards: bool) -> None:
    assert expected_stakes(share, share, tolerance=1.0, upwards=upwards) == pytest.approx(np.ones(5))


@pytest.mark.parametrize("ratio", [1.0, 1.05, 1.1, 0.5])
def test_no_bet_gains_within_the_tolerance(ratio: float) -> None:
    probability = 0.2 * ratio / (0.8 + 0.2 * ratio)
    stakes = expected_stakes(probability, 0.2, tolerance=1.1, upwards=True)
    assert (stakes <= 1 + 1e-9).all()
    assert (expected_stakes(0.5, 0.2, tolerance=1.1, upwards=True) > 1).all()


def test_a_bet_on_fewer_events_gains_from_fewer() -> None:
    assert (log_bets([Events(10, 190)], 0.5, tolerance=1.1, upwards=False) > 0).any()
    assert (log_bets([Events(10, 190)], 0.5, tolerance=1.1, upwards=True) < 0).all()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_test_needs_two_variants(share: float) -> None:
    with pytest.raises(InputError, match="Expected a share between 0 and 1"):
        log_bets([Events(1, 1)], share, tolerance=1.0)


def test_days_weigh_at_most_one_together() -> None:
    assert log_average_of_days([]) == -math.inf
    assert math.exp(log_average_of_days([0.0])) == pytest.approx(1 / 2)
    assert math.exp(log_average_of_days([0.0] * 999)) == pytest.approx(1 - 1 / 1000)


def test_a_mean_of_evidence_does_not_overflow() -> None:
    assert log_mean([0.0, 2000.0]) == pytest.approx(2000 - math.log(2))


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_what_is_insured_counts_at_whichever_moment_one_stops(share: float) -> None:
    """The most that it is on any way through 11 events is expected to be at most 1; that of the bets themselves is not."""
    most_insured = most = 0.0
    for way in range(2**11):
        sides = [way >> event & 1 for event in range(11)]
        chance = share ** sum(sides) * (1 - share) ** (11 - sum(sides))
        events = [Events(sum(sides[:n]), n - sum(sides[:n])) for n in range(12)]
        bets = log_means(log_bets(events, share, tolerance=1.0))
        most += chance * float(np.exp(bets).max())
        most_insured += chance * float(np.exp(log_insured(bets)).max())
    assert most_insured <= 1.0 < most


def test_little_of_much_evidence_is_lost_by_insuring_it() -> None:
    assert log_insured(np.array([-5.0, 0.0, 10.0, 30.0])) == pytest.approx([-0.693, -0.693, 5.394, 23.198], abs=1e-3)
