"""The guard of an A/B test: silent while the variants are equal, and loud for a challenger that is worse."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.ab_guard import FAULTS, Fault, Traffic, caught, false_alarms, rings_on
from churn_model.evaluation.variant_guard import ERRORS, FIGURES, Answers, Day, count_day, find_alarms
from churn_model.stats.always_valid import Events


def answers_of(size: int, seed: int = 1) -> Answers:
    random = np.random.default_rng(seed)
    return Answers(
        is_challenger=random.random(size) < 0.5,
        is_new=random.random(size) < 0.5,
        failed=np.zeros(size, dtype=bool),
        seconds=random.random(size),
        score=random.random(size),
    )


def day_of(challenger: int, champion: int) -> Day:
    """Return a day with so many errors among 1,000 customers of each variant, all of whom came before."""
    events = {ERRORS: Events(challenger, champion)}
    return Day(customers=Events(1000, 1000), events=events, new_events={})


def test_the_figures_divide_one_stake() -> None:
    """The bound on false alarms is that of an average: with more than 1 it would not hold."""
    assert sum(figure.weight for figure in FIGURES) == 1


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_equal_variants_ring_in_at_most_one_test_of_twenty(share: float) -> None:
    assert false_alarms(share, 40, seed=1, days=5, customers=5_000) <= 2


@pytest.mark.parametrize("name", FAULTS)
def test_a_worse_challenger_is_caught_on_its_first_day(name: str) -> None:
    assert caught(FAULTS[name], 0.5, 10_000, 20, seed=2) >= 0.95


def test_a_challenger_that_becomes_worse_later_is_caught_then_though_its_customers_are_not_new() -> None:
    traffic = Traffic(customers=8_000, share=0.5, random=np.random.default_rng(3))
    days = [traffic.day(8_000) for _ in range(5)]
    assert not find_alarms(days, 0.5)
    days.append(traffic.day(8_000, Fault(slower=1.4)))
    assert {alarm.figure.name for alarm in find_alarms(days, 0.5)} >= {"slow_0.75"}


def test_a_small_fault_adds_up_over_the_new_customers_of_many_days() -> None:
    traffic = Traffic(customers=20_000, share=0.5, random=np.random.default_rng(4))
    rung = rings_on(traffic, 1_000, 12, Fault(slower=1.2))
    assert rung is not None
    assert rung > 1


def test_fewer_errors_are_no_alarm_and_more_are_named_with_their_shares() -> None:
    assert not find_alarms([day_of(0, 60)], 0.5)
    (alarm,) = find_alarms([day_of(60, 2)], 0.5)
    assert (alarm.figure.name, alarm.challenger, alarm.champion) == (ERRORS, 0.06, 0.002)


def test_the_same_errors_of_the_same_customers_do_not_add_up_by_coming_again() -> None:
    """Five customers whose requests always fail, and who happen to be the challenger's."""
    assert not find_alarms([day_of(5, 0)] * 60, 0.5)


def test_a_day_counts_customers_above_its_own_quantiles() -> None:
    day = count_day(answers_of(1_000))
    assert day.events.keys() == {figure.name for figure in FIGURES}
    assert sum(day.customers) == 1_000
    assert (sum(day.events["high_0.75"]), sum(day.events["high_0.90"]), sum(day.events["low_0.10"])) == (250, 100, 100)
    assert sum(day.new_events["high_0.75"]) < 250


def test_a_twentieth_more_time_is_tolerated_however_alike_times_are() -> None:
    same = answers_of(20_000)
    alike = 0.01 + 0.0001 * same.seconds
    for slower, rings in ((1.04, False), (1.08, True)):
        slow = replace(same, seconds=np.where(same.is_challenger, slower * alike, alike))
        assert bool(find_alarms([count_day(slow)], 0.5)) is rings


def test_a_tenth_of_a_millisecond_is_nobody_s_alarm() -> None:
    same = answers_of(20_000)
    alike = 1e-4 * (1 + 0.01 * same.seconds)
    for more, rings in ((0.9e-4, False), (1.5e-4, True)):
        slow = replace(same, seconds=np.where(same.is_challenger, alike + more, alike))
        assert bool(find_alarms([count_day(slow)], 0.5)) is rings


def test_a_day_that_is_not_over_counts_errors_alone() -> None:
    assert count_day(answers_of(50), errors_alone=True).events.keys() == {ERRORS}


def test_a_day_without_an_answer_is_no_alarm() -> None:
    size = 40
    nothing = Answers(
        is_challenger=np.arange(size) % 2 == 0,
        is_new=np.ones(size, dtype=bool),
        failed=np.ones(size, dtype=bool),
        seconds=np.ones(size),
        score=np.full(size, np.nan),
    )
    assert not find_alarms([count_day(nothing)], 0.5)
    assert not find_alarms([count_day(answers_of(0))], 0.5)
    assert not find_alarms([], 0.5)
