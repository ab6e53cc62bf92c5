"""Read the tables of published versions."""

from functools import partial

from churn_model.errors import problem
from churn_model.tables import TableReader
from resources.errors import NotInLake
from resources.ports.lake import Lake


def open_published_table(lake: Lake, prefix: str) -> TableReader:
    """Return a reader of the table whose parts are below `prefix`. Raises NotInLake if there is none."""
    parts = [partial(lake.open, entry.key) for entry in lake.entries(prefix) if entry.key.endswith(".parquet")]
    if not parts:
        raise NotInLake(
            problem(expected=f"a table's parts below {lake.uri(prefix)}", found="none", todo="run the job again")
        )
    return TableReader(parts)
