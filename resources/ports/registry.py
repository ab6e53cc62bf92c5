"""The history of decisions about models."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg


@dataclass(frozen=True)
class ModelRecord:
    """What the registry keeps of a model that was judged."""

    version: str
    evaluation: str
    outcome: str  # first | promoted | kept | refused | rolled_back
    reason: str
    decided_at: str  # ISO time in UTC
    metrics: Mapping[str, float | None]

    @property
    def is_approved(self) -> bool:
        """Whether this model was a champion at that time."""
        return self.outcome in ("first", "promoted", "rolled_back")


class Registry(dg.ConfigurableResource, ABC):
    """The history of decisions, beside the pointer that says who is champion now."""

    @abstractmethod
    def record(self, dataset: str, record: ModelRecord) -> None:
        """Keep one decision; the same decision twice is kept once."""

    @abstractmethod
    def approved(self, dataset: str) -> Sequence[ModelRecord]:
        """The models that became champion, oldest first."""
