"""Evidence that may be looked at as often as one likes, for events that two variants share between them.

Each customer is the challenger's with probability `share`, by a hash. While the variants behave alike, so is each event (an error, a slow answer),
whatever the traffic does. A bet that events are `ratio` times as frequent with the challenger multiplies its stake by a likelihood ratio, whose
expected value is then at most 1 before each event. So the chance that it ever reaches 1 / alpha is at most alpha (Ville's inequality): an e-process.

Sources: Howard, Ramdas, McAuliffe and Sekhon 2021 (time-uniform confidence sequences, mixtures); Ramdas, Grünwald, Vovk and Shafer 2023
(game-theoretic statistics: e-processes, their averages); Waudby-Smith and Ramdas 2024 (betting, a portfolio of bets); Dawid, de Rooij, Shafer, Shen,
Vereshchagin and Vovk 2011 (insuring against loss of evidence: what is left of the highest evidence so far).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from churn_model.arrays import FloatArray
from churn_model.errors import InputError, problem

RATIOS = (1.2, 1.5, 2.0, 3.0, 6.0)
"""The bets: how many times as frequent as tolerated events may be. The stake is divided equally."""


class Events(NamedTuple):
    """How many events fell to each variant."""

    challenger: int
    champion: int


def log_bets(days: Sequence[Events], share: float, *, tolerance: float, upwards: bool = True) -> FloatArray:
    """Return the logarithm of what a stake of 1 on each ratio has become on each of n days (n, 5).

    upwards    whether the bets are on more events with the challenger, or on fewer
    tolerance  how many times as frequent, or as rare, events may be without any bet gaining: at least 1

    Raise InputError unless the share is between 0 and 1.
    """
    if not 0 < share < 1:
        raise InputError(
            problem(expected="a share between 0 and 1", found=f"{share:g}", todo="leave customers to both variants")
        )
    sign = 1.0 if upwards else -1.0
    tolerated = tolerance**sign
    ratios = tolerated * np.asarray(RATIOS) ** sign
    # Each variant's share of events at a ratio, against its share at the tolerated one.
    champion = (1.0 - share + share * tolerated) / (1.0 - share + share * ratios)
    challenger = ratios / tolerated * champion
    counts = np.asarray(days, dtype=np.float64).reshape(-1, 2)
    return np.asarray(counts @ np.log([challenger, champion]))


def log_mean(logs: FloatArray | Sequence[float]) -> float:
    """Return the logarithm of the mean of values that are given by their logarithms."""
    return float(log_means(np.asarray(logs, dtype=np.float64)))


def log_means(logs: FloatArray) -> FloatArray:
    """Return `log_mean` of each row (n,) of logarithms (n, k)."""
    return np.asarray(np.logaddexp.reduce(logs, axis=-1) - np.log(logs.shape[-1]))


def log_insured(bets: FloatArray) -> FloatArray:
    """Return the logarithms of evidence that counts at any moment of each day, from those of what the day's bets have become by then (n,).

    The most that they ever were may not count as it is, since the stake is back at the end. `(y - 1 - ln y) / ln(y)^2` of the most, y, may: it is
    expected to be at most 1, and never falls again. What they are now is no more than the most.
    """
    most = np.maximum(bets, 1e-3)  # of 1 a half is left, as of a little more
    return np.asarray(most + np.log((-np.expm1(-most) - most * np.exp(-most)) / most**2))


def log_average_of_days(days: FloatArray | Sequence[float]) -> float:
    """Return the logarithm of an average of the days' evidence, given and returned as logarithms; -inf without a day.

    Day d weighs 1 / (d (d + 1)), so that all days there may ever be weigh 1. The same customers come again, so that days are not independent:
    their evidence must not be multiplied, but an average of it is evidence whatever they have in common.
    """
    numbers = np.arange(1, len(days) + 1, dtype=np.float64)
    return float(np.logaddexp.reduce(np.asarray(days, dtype=np.float64) - np.log(numbers * (numbers + 1))))
