"""Published versions as tables for readers in SQL, and the tables that users already have."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import dagster as dg


class Tables(dg.ConfigurableResource, ABC):
    """Shows published versions as tables, one for each dataset and kind, and reads a user's own tables, named `<database>.<table>`."""

    @abstractmethod
    def name(self, dataset: str, kind: str) -> str:
        """Return the name under which SQL reads a published table, as `<database>.<table>`."""

    @abstractmethod
    def publish(self, dataset: str, kind: str, version: str, prefix: str, batch: str | None = None) -> None:
        """Let the dataset's table of this kind show the Parquet files below `prefix`; with `batch`, move only that batch's part of it.

        Repeating a call changes nothing. Raise TablesError.
        """

    @abstractmethod
    def count(self, dataset: str, kind: str) -> int:
        """Return the number of rows that a reader in SQL sees. Raise TablesError."""

    @abstractmethod
    def version(self, table: str) -> str:
        """Return a name for the content of a user's table, of letters and digits. Raise TablesError if there is no such table.

        It differs if columns or rows differ, and is the same as long as nobody writes to the table.
        """

    @abstractmethod
    def unload(self, table: str, prefix: str) -> Sequence[str]:
        """Write all rows of a user's table below `prefix` as Parquet files, and return their keys. Raise TablesError."""

    @abstractmethod
    def crawl(self, crawler: str) -> None:
        """Run the crawler that keeps a user's table, and wait until the catalog shows what is in the table's storage. Raise TablesError."""

    def shown(self, dataset: str) -> Sequence[str]:
        """Return the prefixes that a dataset's tables show. Raise TablesError."""
        return ()
