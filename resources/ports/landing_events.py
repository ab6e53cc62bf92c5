"""Events of what lands: hints at which batches to look first. What landed is what the lake lists."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg


@dataclass(frozen=True)
class LandingEvent:
    """One message of a queue: the keys that were written, and what identifies the message to the queue."""

    keys: tuple[str, ...]
    receipt: str


class LandingEvents(dg.ConfigurableResource, ABC):
    """Reads queues of events. They may be lost, doubled, late and out of order: nothing depends on them."""

    most_messages: int = 100  # of one look

    @abstractmethod
    def receive(self, queue: str, prefix: str) -> Sequence[LandingEvent]:
        """Return events about keys below `prefix`, each with those keys alone. Others go back to the queue. Raise EventsError."""

    @abstractmethod
    def finish(self, queue: str, events: Sequence[LandingEvent]) -> None:
        """Remove events that have been looked into. Those that are not removed come again a little later. Raise EventsError."""
