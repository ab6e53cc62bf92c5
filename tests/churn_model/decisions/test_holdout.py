"""What a hold-out draws, and what it can show."""

import numpy as np
import pytest

from churn_model.decisions.holdout import Power, holdout_power, sample_ratio_p
from churn_model.reports.retention_list import Holdout, describe_holdout


def of_list(size: int, share: float = 0.1, churn: float = 0.25) -> Power:
    held_out = round(size * share)
    return holdout_power([(size - held_out, held_out)], churn)


# The figures of a simulation: churn 25%, 10% held out.
@pytest.mark.parametrize(("size", "saved"), [(2840, 0.30), (11_500, 0.15)])
def test_the_smallest_effect_is_that_of_the_simulation(size: int, saved: float) -> None:
    effect = of_list(size).smallest_effect
    assert effect is not None
    assert effect / 0.25 == pytest.approx(saved, rel=0.02)


def test_the_half_width_of_a_list_of_500_is_about_61_dollars_of_500() -> None:
    half_width = of_list(500).half_width
    assert half_width is not None
    assert 500 * half_width == pytest.approx(62, abs=2)


def test_phases_add_their_information_and_do_not_pool_raw() -> None:
    one, both = holdout_power([(90, 10)], 0.2), holdout_power([(90, 10), (90, 10)], 0.2)
    assert one.half_width is not None
    assert both.half_width == pytest.approx(one.half_width / np.sqrt(2))
    mixed = holdout_power([(900, 100), (100, 100)], 0.2).half_width
    assert mixed is not None
    assert mixed < holdout_power([(900, 100)], 0.2).half_width  # type: ignore[operator]


def test_the_smallest_effect_reaches_its_power_when_simulated() -> None:
    effect = of_list(4000).smallest_effect
    assert effect is not None
    rng = np.random.default_rng(1)
    held, treated = rng.binomial(400, 0.25, 4000) / 400, rng.binomial(3600, 0.25 - effect, 4000) / 3600
    error = np.sqrt(held * (1 - held) / 400 + treated * (1 - treated) / 3600)
    assert ((held - treated) / error > 1.96).mean() == pytest.approx(0.80, abs=0.03)


@pytest.mark.parametrize(
    ("held_out", "words"), [(0, "Nobody is held out"), (9, "too few to say"), (10, "Even|even if")]
)
def test_a_small_hold_out_says_that_it_shows_nothing(held_out: int, words: str) -> None:
    power = holdout_power([(90, held_out)] if held_out else [], 0.1)
    found = describe_holdout(Holdout(drawn=90, drawn_held_out=held_out, ratio_p=None, phases=1, power=power))
    assert any(word in found for word in words.split("|"))


@pytest.mark.parametrize(
    ("held_out", "passes"), [(400, True), (352, True), (37, False), (480, False)]
)  # 37 of 2,000: what a switch from 0 to 20% gave when a list without a hold-out counted as a draw
def test_a_hold_out_of_another_size_than_its_share_is_noticed(held_out: int, passes: bool) -> None:
    p = sample_ratio_p(2000, held_out, 0.2)
    assert p is not None
    assert (p >= 0.001) == passes
    words = describe_holdout(
        Holdout(drawn=2000, drawn_held_out=held_out, ratio_p=p, phases=1, power=of_list(2000, held_out / 2000))
    )
    assert words.startswith("No effect can be read") != passes


def test_too_few_are_not_judged() -> None:
    assert sample_ratio_p(20, 9, 0.1) is None
    assert sample_ratio_p(0, 0, 0.0) is None
