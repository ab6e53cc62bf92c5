"""Outputs: the current list and pages of each dataset, under names that stay the same."""

from abc import ABC, abstractmethod
from typing import BinaryIO

import dagster as dg

SERVED_BELOW = "/out/"
"""Where `churn ui` serves outputs, beside the UI."""


class Outputs(dg.ConfigurableResource, ABC):
    """Files for people and for other programs to open. They are copies: what is missing here is copied again by the next run."""

    @abstractmethod
    def replace(self, key: str, content: BinaryIO) -> None:
        """Write one file, atomically and durably: readers see the old one or the new one, also after a power cut."""

    @abstractmethod
    def holds(self, key: str) -> bool:
        """Return whether there is such a file."""

    @abstractmethod
    def uri(self, key: str) -> str:
        """Return a file's address for a person to open: a path or an s3:// URI."""

    def link(self, key: str) -> str | None:
        """Return the address at which a browser that shows the UI gets a file, or None if it does not."""
        return None
