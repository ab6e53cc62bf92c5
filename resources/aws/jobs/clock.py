"""Time, as those who wait for jobs use it."""

import random
import time
from abc import ABC, abstractmethod


class Clock(ABC):
    """Seconds that pass, and chance for their jitter."""

    @abstractmethod
    def now(self) -> float:
        """Return seconds since some moment."""

    @abstractmethod
    def sleep(self, seconds: float) -> None:
        """Wait."""

    @abstractmethod
    def chance(self) -> float:
        """Return a number from 0 to below 1."""


class SystemClock(Clock):
    """The machine's own."""

    def now(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def chance(self) -> float:
        """Return a number from 0 to below 1."""
        return random.random()  # noqa: S311  # spreads calls in time


class Pace:
    """When to ask next: soon after a job has begun, ever less often later, and more rarely as long as SageMaker throttles.

    Each pause is changed by up to a tenth, so that jobs that were started together are not asked together for ever.

    has_answered   whether any call was answered so far
    """

    GROWTH, JITTER, PATIENCE = 1.2, 0.1, 8.0

    def __init__(self, clock: Clock, shortest: float, longest: float) -> None:
        self._clock, self._pause, self._longest, self._throttled = clock, shortest, longest, 1.0
        self.has_answered = False

    def wait(self) -> None:
        """Sleep until the next call is due."""
        jitter = 1 + self.JITTER * (2 * self._clock.chance() - 1)
        self._clock.sleep(self._pause * self._throttled * jitter)
        self._pause = min(self._pause * self.GROWTH, self._longest)

    def throttled(self) -> None:
        """Double the pauses, up to eightfold."""
        self._throttled = min(self._throttled * 2, self.PATIENCE)

    def answered(self) -> None:
        """Return to the ordinary pauses."""
        self._throttled, self.has_answered = 1.0, True
