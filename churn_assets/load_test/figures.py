"""What a step of a load test has shown, and whether the server held it. Arithmetic alone: no clock, no network.

A request counts from when it was due, not from when it was sent: a server that hangs for a second is late for everybody who came meanwhile.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from churn_model.wording import percent

_MOST_ERRORS = 0.001  # of the requests
_REACHED = 0.95  # of the rate asked for
_BUSY = 0.8  # of a core: a process that uses more is late for reasons of its own
_LATE = 0.1  # of the limit of the 99th percentile
_MILLISECONDS = 1e3


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is asked for: `rate` requests a second, or `users` who each ask again once they are answered. The other is 0."""

    rate: float = 0.0
    users: int = 0
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one process of the generator saw of a step, in seconds.

    waited  of each request, from when it was due until it was answered, refused or given up
    late    by how much requests were handed out after they were due: the generator's own lateness
    errors  requests without an answer of status 200, by kind
    busy    the process's processor time by the time that passed: 1 is a whole core
    took    from the begin of the step until 99 of 100 answers were there
    """

    waited: Sequence[float]
    late: Sequence[float]
    errors: Mapping[str, int]
    busy: float
    took: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A step's figures over all processes. Times are milliseconds, `reached` is answers of status 200 a second, `busy` has a value for each process."""

    step: Step
    requests: int
    reached: float
    p50: float
    p90: float
    p99: float
    longest: float
    errors: dict[str, int]
    busy: tuple[float, ...]
    late_p99: float

    @property
    def failed(self) -> int:
        """Requests without an answer of status 200."""
        return sum(self.errors.values())


class Outcome(StrEnum):
    """What a step says of the server."""

    HELD = "held"
    NOT_HELD = "not held"
    UNJUDGED = "generator was the limit"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A step with what it exceeded, and by what the generator itself was the limit, in words."""

    figures: Figures
    exceeded: tuple[str, ...]
    generator: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """Whether the server held the step. One that reached all that was asked, within the limits, was held however busy the generator was."""
        # A closed loop asks as fast as it can: there, a busy generator has set the pace.
        limited = self.generator and (self.exceeded or self.figures.step.users)
        return Outcome.UNJUDGED if limited else Outcome.NOT_HELD if self.exceeded else Outcome.HELD


def summarize(step: Step, samples: Sequence[Sample]) -> Figures:
    """Return the figures of a step that `samples` were taken of, one by each process."""
    waited = np.concatenate([np.asarray(each.waited) for each in samples]) * _MILLISECONDS
    late = np.concatenate([np.asarray(each.late) for each in samples]) * _MILLISECONDS
    errors: Counter[str] = Counter()
    for each in samples:
        errors.update(each.errors)
    p50, p90, p99 = _percentiles(waited, (50, 90, 99))
    (late_p99,) = _percentiles(late, (99,))
    took = max(step.seconds, *(each.took for each in samples))
    return Figures(
        step=step,
        requests=waited.size,
        reached=(waited.size - errors.total()) / took,
        p50=p50,
        p90=p90,
        p99=p99,
        longest=float(waited.max(initial=0.0)),
        errors=dict(errors.most_common()),
        busy=tuple(each.busy for each in samples),
        late_p99=late_p99,
    )


def judge(figures: Figures, *, limit: float) -> Judged:
    """Return what a step exceeded. `limit`: milliseconds that the 99th percentile may have."""
    step, exceeded, generator = figures.step, [], []
    if figures.failed > _MOST_ERRORS * figures.requests:
        exceeded.append(f"{percent(figures.failed / figures.requests)} of requests failed")
    if figures.p99 > limit:
        exceeded.append(f"the 99th percentile was {figures.p99:,.0f} ms, more than {limit:,.0f}")
    elif figures.reached < _REACHED * step.rate and not exceeded:
        exceeded.append(f"{figures.reached:,.0f} a second were answered")
    if is_busy(figures):
        generator.append(f"a process of it used {percent(max(figures.busy))} of a core")
    if figures.late_p99 > _LATE * limit:
        generator.append(f"it handed out requests up to {figures.late_p99:,.0f} ms late (99th percentile)")
    return Judged(figures=figures, exceeded=tuple(exceeded), generator=tuple(generator))


def is_busy(figures: Figures) -> bool:
    """Return whether a process of the generator had no processor time left in its core."""
    return max(figures.busy) >= _BUSY


def describe_errors(errors: Mapping[str, int]) -> str:
    """Return the kinds of errors with how often each came, the most frequent first."""
    return ", ".join(f"{kind}: {count:,}" for kind, count in errors.items()) or "none"


def _percentiles(values: np.ndarray, shares: Sequence[int]) -> list[float]:
    """Return percentiles that are values themselves, and 0 of nothing: no request is made up between two."""
    return (
        [float(each) for each in np.percentile(values, shares, method="higher")] if values.size else [0.0] * len(shares)
    )
