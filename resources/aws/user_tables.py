"""Tables that users already have, and why one cannot be copied."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from churn_model.errors import problem
from resources.errors import TablesError

_NESTED = ("array", "map", "struct")
CRAWLER, ICEBERG_METADATA = "UPDATED_BY_CRAWLER", "metadata_location"
"""Parameters of tables in the catalog."""


@dataclass(frozen=True)
class UserTable:
    """A table that a user already has, as the catalog describes it."""

    columns: Mapping[str, str]  # Athena's types by name, partition columns last
    # s3:// prefixes of the partitions by their values, or of the table by none
    locations: Mapping[tuple[str, ...], str]
    iceberg_metadata: str | None
    crawler: str | None  # the one that last wrote the table, if any has


def report_missing(table: str, found: str) -> TablesError:
    """Return the error of a table that is not in the catalog. `found`: in its words."""
    return TablesError(
        problem(
            expected=f"the table in the Glue catalog as {table}",
            found=found,
            todo="create it there, correct `source` in the spec, or remove `source` and land files: `churn land`",
        )
    )


def find_refusal(
    table: str, found: Mapping[str, Any], columns: Mapping[str, str], locations: Mapping[tuple[str, ...], str]
) -> TablesError | None:
    """Return why a table cannot be copied, if it cannot."""
    if found.get("TableType") == "VIRTUAL_VIEW":
        return TablesError(
            problem(
                expected=f"a table at {table}, which has a version of its own",
                found="a view",
                todo="name a table: `create table ... as select * from` the view, or land files",
            )
        )
    if found.get("Parameters", {}).get("projection.enabled", "").lower() == "true":
        return TablesError(
            problem(
                expected=f"a table at {table} whose partitions the Glue catalog lists",
                found="partitions that are projected, so that nothing there tells when the table changes",
                todo="add its partitions to the catalog (`msck repair table`, or a crawler) and remove `projection.enabled`, or name a copy",
            )
        )
    if not columns:
        return TablesError(
            problem(
                expected=f"columns in the table {table}", found="none", todo="run its crawler, or name another table"
            )
        )
    nested = [name for name, kind in columns.items() if kind.lower().startswith(_NESTED)]
    if nested:
        return TablesError(
            problem(
                expected=f"columns of numbers, text and dates in the table {table}",
                found=f"nested columns: {', '.join(sorted(nested))}",
                todo="make a table without them (`create table ... as select ...`) and name that one",
            )
        )
    if not all(location.startswith("s3://") for location in locations.values()):
        return TablesError(
            problem(
                expected=f"the table {table} in S3",
                found="another place: it belongs to a connector or a shared catalog",
                todo="copy it (`create table ... as select ...`) and name the copy",
            )
        )
    return None
