"""Alerts: one line for each failure that somebody should know of."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import dagster as dg


class Alerts(dg.ConfigurableResource, ABC):
    """Delivers lines of text. Lines hold names of datasets, batches, assets, checks and runs, and no values from data."""

    @abstractmethod
    def send(self, line: str) -> Sequence[str]:
        """Deliver a line to every destination that is set, within a minute. Return why a destination was not reached; raise nothing for it."""
