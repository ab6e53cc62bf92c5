"""Published versions as tables for readers in SQL."""

from abc import ABC, abstractmethod

import dagster as dg


class Tables(dg.ConfigurableResource, ABC):
    """Published versions as tables for readers in SQL."""

    @abstractmethod
    def publish(self, dataset: str, kind: str, version: str, prefix: str, batch: str | None = None) -> None:
        """Let the table `<dataset>.<kind>` show the Parquet files below `prefix`; with `batch`, only that batch's part of it moves.

        Repeating it changes nothing. Raises TablesError.
        """

    @abstractmethod
    def count(self, dataset: str, kind: str) -> int:
        """The rows that a reader in SQL sees. Raises TablesError."""

    @abstractmethod
    def unload(self, query: str, prefix: str) -> None:
        """Write the query's rows below `prefix` as Parquet. Raises TablesError."""
