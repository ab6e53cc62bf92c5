"""Watch a challenger that answers a share of the customers: errors, latency and answers against those of the champion.

Belongs here: what is counted of a day, and when the counts are an alarm. Does not belong here: which model is better. That is the gate's word
(`promotion`): leavers are known only after the horizon, and hardly ever differ visibly among 1,000 customers.

A customer counts once a day, with the first request. "Slow" and "high" are above quantiles of that day's requests to both variants together: the
division of customers has no part in them, so that the chance of a false alarm is as stated, whatever the hour, the weekday or a loyal customer does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from churn_model.arrays import BoolArray, FloatArray
from churn_model.stats.always_valid import Events, log_average_of_days, log_bets, log_insured, log_mean, log_means

ALPHA = 0.05
"""The chance of a false alarm, over all figures and any number of looks."""
TOLERANCE = 1.1
"""How many times as frequent an error or a high probability may be: with enough traffic, any two models differ by a little."""
SLACK = 1.05
"""How many times as long the challenger may take. Times of a quiet server are so much alike that a few trees more move most of them."""
FLOOR = 1e-4
"""Seconds that it may take longer in any case: a model that is asked less often lies less near to the processor, and nobody notices."""
LOG_BOUND = float(np.log(1 / ALPHA))
ERRORS = "errors"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A share of customers that is watched.

    weight      its part of the stake; all of them are 1
    two_sided   fewer are an alarm too
    tolerance   how many times as frequent, or as rare, they may be
    """

    name: str
    words: str
    weight: float
    two_sided: bool = False
    tolerance: float = TOLERANCE


_SLOW = {0.75: "are answered slower than three quarters of all", 0.99: "are answered slower than 99% of all"}
_LOW = {0.10: "have a probability in the lowest tenth", 0.25: "have a probability in the lowest quarter"}
_HIGH = {0.75: "have a probability in the highest quarter", 0.90: "have a probability in the highest tenth"}
FIGURES: tuple[Figure, ...] = (
    Figure(name=ERRORS, words="have an error", weight=1 / 2),
    *(Figure(name=f"slow_{q:.2f}", words=words, weight=1 / 8, tolerance=1.0) for q, words in _SLOW.items()),
    *(Figure(name=f"low_{q:.2f}", words=words, weight=1 / 16, two_sided=True) for q, words in _LOW.items()),
    *(Figure(name=f"high_{q:.2f}", words=words, weight=1 / 16, two_sided=True) for q, words in _HIGH.items()),
)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The first request of each customer of one day (n,).

    is_new   whether the customer had not asked before in this test
    failed   whether there was an error in the place of an answer
    seconds  until the answer
    score    the probability; NaN where there is none
    """

    is_challenger: BoolArray
    is_new: BoolArray
    failed: BoolArray
    seconds: FloatArray
    score: FloatArray


@dataclass(frozen=True, kw_only=True)
class Day:
    """What was counted on a day: customers, and events by figure: of all of them, and of those that were new to the test.

    is_over  whether all of it was counted
    """

    customers: Events
    events: Mapping[str, Events]
    new_events: Mapping[str, Events]
    is_over: bool = True


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A figure in which the variants differ more than tolerated, and the shares of customers with it in the days so far."""

    figure: Figure
    challenger: float
    champion: float


def count_day(answers: Answers, *, errors_alone: bool = False) -> Day:
    """Return a day's counts. `errors_alone`: the day is not over, so that its quantiles are not known yet."""
    marks = {ERRORS: answers.failed} if errors_alone else {ERRORS: answers.failed, **_mark_all(answers)}
    everybody = np.ones(len(answers.failed), dtype=bool)
    return Day(
        customers=_count(everybody, answers.is_challenger),
        events={name: _count(mark, answers.is_challenger) for name, mark in marks.items()},
        new_events={name: _count(mark & answers.is_new, answers.is_challenger) for name, mark in marks.items()},
        is_over=not errors_alone,
    )


def _mark_all(answers: Answers) -> dict[str, BoolArray]:
    """Return by figure whether each customer counts (n,). New customers are judged by quantiles of all of the day."""
    answered = ~np.isnan(answers.score)
    tolerated = np.minimum(answers.seconds / SLACK, np.maximum(answers.seconds - FLOOR, 0.0))
    seconds = np.where(answers.is_challenger, tolerated, answers.seconds)
    marks = {f"slow_{q:.2f}": seconds > _quantile(seconds, q) for q in _SLOW}
    scores = answers.score[answered]
    marks |= {f"low_{q:.2f}": answered & (answers.score < _quantile(scores, q)) for q in _LOW}
    return marks | {f"high_{q:.2f}": answered & (answers.score > _quantile(scores, q)) for q in _HIGH}


def _quantile(values: FloatArray, q: float) -> float:
    return float(np.quantile(values, q)) if len(values) else float("nan")


def _count(mark: BoolArray, is_challenger: BoolArray) -> Events:
    challenger = int(np.count_nonzero(mark & is_challenger))
    return Events(challenger, int(np.count_nonzero(mark)) - challenger)


def log_evidence(figure: Figure, days: Sequence[Day], share: float) -> float:
    """Return the logarithm of the evidence that the variants differ in a figure.

    Half of the stake is on new customers, day after day, which sees small differences; half on each day by itself, which sees late ones. Half of a
    day's is insured, which counts before the day is over.
    """
    sides = (True, False) if figure.two_sided else (True,)

    def bets(events: list[Events]) -> FloatArray:
        on_sides = [log_bets(events, share, tolerance=figure.tolerance, upwards=upwards) for upwards in sides]
        return np.concatenate(on_sides, axis=1)

    none = Events(0, 0)
    steady = bets([day.new_events.get(figure.name, none) for day in days]).sum(axis=0)
    each = log_means(bets([day.events.get(figure.name, none) for day in days]))
    when_over = np.where([day.is_over for day in days], each, -np.inf)
    at_any_time = log_means(np.column_stack([when_over, log_insured(each)]))
    return log_mean([log_mean(steady), log_average_of_days(at_any_time)])


def log_evidence_of_all(days: Sequence[Day], share: float) -> dict[str, float]:
    """Return the logarithm of the evidence in each figure, by name."""
    return {figure.name: log_evidence(figure, days, share) for figure in FIGURES}


def find_alarms(days: Sequence[Day], share: float) -> list[Alarm]:
    """Return the figures that alarm after these days, the first day first. Looked at however often, one in 20 tests of equal variants has any.

    The figures' evidence is averaged by weight; once that is enough, those are named that would be by themselves, of which there is always one.
    """
    if not days:
        return []
    evidence = log_evidence_of_all(days, share)
    if average_evidence(evidence) < LOG_BOUND:
        return []
    return [measure(figure, days) for figure in FIGURES if evidence[figure.name] >= LOG_BOUND]


def average_evidence(evidence: Mapping[str, float]) -> float:
    """Return the logarithm of the figures' average, which rings from `LOG_BOUND`."""
    return float(np.logaddexp.reduce([evidence[figure.name] + np.log(figure.weight) for figure in FIGURES]))


def measure(figure: Figure, days: Sequence[Day]) -> Alarm:
    """Return the shares of customers with a figure, whether it rings or not."""
    counted = [day for day in days if figure.name in day.events]
    challenger = sum(day.events[figure.name].challenger for day in counted)
    champion = sum(day.events[figure.name].champion for day in counted)
    return Alarm(
        figure=figure,
        challenger=challenger / max(1, sum(day.customers.challenger for day in counted)),
        champion=champion / max(1, sum(day.customers.champion for day in counted)),
    )
