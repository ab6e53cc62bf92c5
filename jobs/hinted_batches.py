"""Batches that events name: looked at before the listing comes to them. An event that is lost costs a little time and nothing else."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from churn_model.spec.dataset import Dataset
from jobs.batches import SeenBatch, Sweep
from resources.catalog.landing import batch_of
from resources.catalog.names import batch_landing_prefix, score_prefix
from resources.errors import EventsError
from resources.ports.lake import Lake
from resources.ports.landing_events import LandingEvent, LandingEvents


class Hints:
    """What the queue of a dataset names. `warn` is called if the queue cannot be read: the listing shows the same a little later."""

    def __init__(self, events: LandingEvents, dataset: Dataset, warn: Callable[[str], object]) -> None:
        self._events, self._dataset, self._queue, self._warn = events, dataset.name, dataset.watch.events, warn
        self._open: dict[str, list[LandingEvent]] = {}
        self._nothing: set[str] = set()  # names that are left to the sweep

    def batches(self, lake: Lake, most_objects: int) -> Iterator[SeenBatch]:
        """Yield the batches that events name, as they are listed now. One of more than `most_objects` is left to the sweep."""
        for event in self._receive():
            for key in event.keys:
                self._open.setdefault(batch_of(self._dataset, key), []).append(event)
        for name in self._open:
            if seen := _read(lake, self._dataset, name, most_objects):
                yield seen
            else:
                self._nothing.add(name)

    def finish(self, done_batches: Iterable[str]) -> None:
        """Remove the events about batches that nothing is to be waited for. The others are to come again."""
        names = self._nothing | set(done_batches)
        held = {event.receipt for name, events in self._open.items() if name not in names for event in events}
        done = {event.receipt: event for events in self._open.values() for event in events if event.receipt not in held}
        try:
            if self._queue:
                self._events.finish(self._queue, list(done.values()))
        except EventsError as error:
            self._warn(str(error))

    def _receive(self) -> Sequence[LandingEvent]:
        try:
            return self._events.receive(self._queue, score_prefix(self._dataset)) if self._queue else ()
        except EventsError as error:
            self._warn(f"The listing alone says what has landed. {error}")
            return ()


def _read(lake: Lake, dataset: str, name: str, most_objects: int) -> SeenBatch | None:
    """Return a batch as a sweep would, or None if it has no data or too many objects."""
    sweep = Sweep()
    alone = lake.find(score_prefix(dataset) + name)  # a file straight in score/ is a batch of its own
    for number, found in enumerate([alone] if alone else lake.scan(batch_landing_prefix(dataset, name))):
        if number == most_objects:
            return None
        sweep.read(found, name)
    return sweep.end_batch()
