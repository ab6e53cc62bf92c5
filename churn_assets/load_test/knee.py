"""Where the knee is: which rate to ask for next, and what the steps say in the end."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from churn_assets.load_test.figures import Judged, Outcome, is_busy
from churn_model.wording import counted

_NARROWED = 3  # steps between the last rate that held and the first that did not
SAFETY = 0.5
"""Share of the knee that an instance is meant to have. SageMaker's guide says to begin with it: new instances take minutes, and load comes in bursts."""


class Found(StrEnum):
    """What a load test has found."""

    KNEE = "knee"
    ALL_HELD = "all held"
    NONE_HELD = "none held"
    CLOSED_LOOP = "closed loop"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a load test has found, in words. `knee`: requests a second, None if it was not found."""

    found: Found
    text: str
    knee: float | None = None

    @property
    def is_failure(self) -> bool:
        """Whether the test has to be made again, otherwise."""
        return self.found in (Found.REFUSED, Found.NONE_HELD)


def next_rate(judged: Sequence[Judged], *, start: float, most: float) -> float | None:
    """Return the rate to ask for next, None if there is enough to say.

    Rates double until one is not held. Then three more narrow the gap: the knee is known within 9%.
    """
    if not judged:
        return start
    held, above = _highest_held(judged), _lowest_not_held(judged)
    if above is None:
        return min(2 * held, most) if held < most else None
    first = next(place for place, each in enumerate(judged) if each.outcome is not Outcome.HELD)
    if not held or len(judged) - first > _NARROWED:
        return None
    between = float(round(math.sqrt(held * _rate(above))))
    return between if held < between < _rate(above) else None


def reach_verdict(judged: Sequence[Judged], *, processes: int) -> Verdict:
    """Return what the steps of a ramp, or the one of a closed loop, say together: the lowest rate that was not held decides."""
    first = judged[0].figures
    if first.step.users:
        return _judge_closed_loop(judged[0], processes)
    held, failing = _highest_held(judged), _lowest_not_held(judged)
    if failing is None:
        text = f"It held every rate up to {held:,.0f} requests a second, the highest that was asked for. Its knee is above: raise --most."
        return Verdict(found=Found.ALL_HELD, text=text)
    if failing.outcome is Outcome.UNJUDGED:
        known = f"The server held {held:,.0f} a second" if held else "Nothing is known of the server"
        text = f"{_refuse(failing, processes)} {known}; whether it holds more, this run cannot say."
        return Verdict(found=Found.REFUSED, text=text)
    why = "; ".join(failing.exceeded)
    if not held:
        text = f"Not even {_rate(failing):,.0f} requests a second were held: {why}. Begin lower with --rate, or allow more with --p99."
        return Verdict(found=Found.NONE_HELD, text=text)
    text = f"It held {held:,.0f} requests a second, and {_rate(failing):,.0f} it did not: {why}."
    return Verdict(found=Found.KNEE, text=text, knee=held)


def propose_target(knee: float, *, instances: int) -> int:
    """Return how many requests a minute one instance is to have, from the knee of all in requests a second."""
    return max(1, math.floor(knee * 60 * SAFETY / instances))


def _judge_closed_loop(only: Judged, processes: int) -> Verdict:
    figures = only.figures
    if only.outcome is Outcome.UNJUDGED:
        text = f"{_refuse(only, processes)} The figures are the generator's, not the server's."
        return Verdict(found=Found.REFUSED, text=text)
    text = (
        f"{counted(figures.step.users, 'user')} in a closed loop got {figures.reached:,.0f} answers a second. Whoever waits asks nothing meanwhile, "
        "so these percentiles leave out who would have come: a knee is found at constant rates, without --users."
    )
    return Verdict(found=Found.CLOSED_LOOP, text=text)


def _refuse(judged: Judged, processes: int) -> str:
    """Return why there is no verdict, and what to do about it."""
    step = judged.figures.step
    where = f"{step.rate:,.0f} requests a second" if step.rate else counted(step.users, "user")
    cores = os.cpu_count() or 1
    if not is_busy(judged.figures):
        todo = "Something else needed this machine's processor, such as the server, if it runs here: ask from another machine, or with fewer --processes"
    elif processes < cores:
        todo = f"Give it more --processes than {processes} ({counted(cores, 'core')} here), or ask from another machine"
    else:
        todo = "Ask from another machine, or from one with more cores and more --processes"
    return f"No verdict: the generator was the limit at {where}: {'; '.join(judged.generator)}. {todo}."


def _rate(judged: Judged) -> float:
    return judged.figures.step.rate


def _lowest_not_held(judged: Sequence[Judged]) -> Judged | None:
    return min((each for each in judged if each.outcome is not Outcome.HELD), key=_rate, default=None)


def _highest_held(judged: Sequence[Judged]) -> float:
    """Return the highest rate that was held below all that were not; 0 if there is none."""
    above = _lowest_not_held(judged)
    below = _rate(above) if above else math.inf
    return max((_rate(each) for each in judged if each.outcome is Outcome.HELD and _rate(each) < below), default=0.0)
