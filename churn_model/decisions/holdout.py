"""Who is held out of the list so that the effect of a contact can be measured, and what such a hold-out can show.

A customer's draw is settled once and holds while its outcome is open, with the propensity with which it was made. Customers drawn at different
shares are different phases, which are compared apart. A share of 0 draws nobody: such customers take no part in a comparison.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import BoolArray, FloatArray

SMALLEST_RATIO_P = 0.001
"""Below this p-value of the sample-ratio check, a hold-out was not drawn as it says: no effect may be read from it."""
FEWEST_HELD_OUT = 10
"""With fewer customers held out nothing can be said about an effect."""
_TWO_SIDED_95, _POWER_80 = 1.959964, 0.841621
_FEWEST_EXPECTED = 5.0  # of each group: below it the chi-square distribution is too rough


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Draws that earlier lists made: ids (n,) as Arrow text, whether each is held out (n,), and the propensity of its draw (n,)."""

    ids: pa.Array
    held_out: BoolArray
    propensity: FloatArray


@dataclass(frozen=True, kw_only=True)
class HoldoutDraw:
    """What a hold-out is drawn for: the same programme and period (as long as an outcome takes) draw the same customers."""

    programme: str
    period: str


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The draws that n customers have already.

    known       (n,) whether a draw is known
    held_out    (n,) whether it holds the customer out
    propensity  (n,) the chance of being contacted that it was made with
    """

    known: BoolArray
    held_out: BoolArray
    propensity: FloatArray


@dataclass(frozen=True, kw_only=True)
class Power:
    """What a hold-out can show, computed before anybody is contacted.

    compared         customers who take part in the comparison
    held_out         of them, those who are not contacted
    expected_churn   the share of them expected to leave without a contact
    half_width       half of the 95% interval around the effect, in points of churn; None if too few are held out
    smallest_effect  the smallest effect that shows with a power of 80%, in points of churn; None if none would
    """

    compared: int
    held_out: int
    expected_churn: float | None
    half_width: float | None
    smallest_effect: float | None


def find_settled(ids: pa.Array, earlier: Iterable[Draws]) -> Settled:
    """Return the draws of customers `ids` (n,) among those of earlier lists. A propensity of 0 or 1 is no draw."""
    known, held_out = np.zeros(len(ids), dtype=bool), np.zeros(len(ids), dtype=bool)
    propensity = np.ones(len(ids))
    for draws in earlier:
        drawn = np.flatnonzero((draws.propensity > 0.0) & (draws.propensity < 1.0))
        if not len(drawn):
            continue
        places = pc.index_in(ids, value_set=draws.ids.take(pa.array(drawn)).cast(ids.type))
        rows = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))
        at = drawn[places.drop_null().to_numpy()]
        known[rows], held_out[rows], propensity[rows] = True, draws.held_out[at], draws.propensity[at]
    return Settled(known=known, held_out=held_out, propensity=propensity)


def draw_held_out(ids: pa.Array, share: float, draw: HoldoutDraw) -> BoolArray:
    """Return whether each customer (n,) is held out: by hash, with probability `share`, whatever the order."""
    edge, prefix = share * 2.0**64, f"{draw.programme}:{draw.period}:".encode()
    texts = ids.cast(pa.large_binary()).to_pylist()
    return np.fromiter((_hash(prefix + text) < edge for text in texts), dtype=bool, count=len(texts))


def _hash(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def sample_ratio_p(customers: int, held_out: int, share: float) -> float | None:
    """Return the p-value of the chi-square test that `held_out` of `customers` were drawn with probability `share`; None if too few to judge."""
    expected = customers * share
    if min(expected, customers - expected) < _FEWEST_EXPECTED:
        return None
    chi_square = (held_out - expected) ** 2 / (expected * (1.0 - share))
    return math.erfc(math.sqrt(chi_square / 2.0))  # one degree of freedom


def holdout_power(phases: Sequence[tuple[int, int]], expected_churn: float | None) -> Power:
    """Return what a hold-out can show.

    phases          (contacted, held out) per phase
    expected_churn  the share of these customers expected to leave without a contact

    Half-width and effect are those of a difference of two proportions (Wald, unpooled), the phases weighted by their information. The smallest
    effect d solves d = (z97.5 + z80) se(p, p - d), p the expected churn.
    """
    compared = sum(contacted + held_out for contacted, held_out in phases)
    held_out = sum(out for _, out in phases)
    usable = [(contacted, out) for contacted, out in phases if contacted and out]
    power = Power(
        compared=compared, held_out=held_out, expected_churn=expected_churn, half_width=None, smallest_effect=None
    )
    if held_out < FEWEST_HELD_OUT or not usable or expected_churn is None or not 0.0 < expected_churn < 1.0:
        return power
    return Power(
        compared=compared,
        held_out=held_out,
        expected_churn=expected_churn,
        half_width=_TWO_SIDED_95 * _standard_error(usable, expected_churn, 0.0),
        smallest_effect=_smallest_effect(usable, expected_churn),
    )


def _standard_error(phases: Sequence[tuple[int, int]], churn: float, effect: float) -> float:
    held, treated = churn * (1.0 - churn), (churn - effect) * (1.0 - churn + effect)
    information = sum(1.0 / (held / out + treated / contacted) for contacted, out in phases)
    return float(information**-0.5)


def _smallest_effect(phases: Sequence[tuple[int, int]], churn: float) -> float | None:
    def shows(effect: float) -> bool:
        return effect >= (_TWO_SIDED_95 + _POWER_80) * _standard_error(phases, churn, effect)

    if not shows(churn):
        return None
    low, high = 0.0, churn
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high
