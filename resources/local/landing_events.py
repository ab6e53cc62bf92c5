"""No queue on one machine: the folder is listed."""

from collections.abc import Sequence

from resources.ports.landing_events import LandingEvent, LandingEvents


class LocalLandingEvents(LandingEvents):
    """Has no events: a spec that names a queue works here too, from the listing alone."""

    def receive(self, queue: str, prefix: str) -> Sequence[LandingEvent]:
        """Return none."""
        return ()

    def finish(self, queue: str, events: Sequence[LandingEvent]) -> None:
        """Do nothing."""
