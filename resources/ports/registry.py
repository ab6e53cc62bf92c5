"""The model registry: where people and other tools look for what was decided about models.

It is a mirror. Which model scores is said by the champion's pointer alone, and what was decided by the history of decisions in the lake.
"""

from abc import ABC, abstractmethod
from enum import StrEnum

import dagster as dg


class Approval(StrEnum):
    """What a person has decided in the registry about a candidate that waits."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


class Registry(dg.ConfigurableResource, ABC):
    """Shows a dataset's history of decisions, and hears a person's approval."""

    stack: str = ""  # what the names of its groups begin with; "" where there are none

    @abstractmethod
    def mirror(self, dataset: str) -> None:
        """Show every decision that is not shown yet, oldest first. Repeating a call changes nothing, wherever the last one broke off.

        Raise RegistryError; the next call makes up for it.
        """

    @abstractmethod
    def find_approval(self, dataset: str, version: str) -> Approval:
        """Return what a person has decided there about the candidate of this version. Raise RegistryError."""
