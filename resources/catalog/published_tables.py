"""Read the tables of published versions."""

from functools import partial
from itertools import islice

import pyarrow as pa

from churn_model.errors import listed, problem
from churn_model.tables import TableReader
from resources.catalog.integrity import compare_files, folder_above, list_version, require_version
from resources.errors import DamagedError, NotInLake
from resources.ports.lake import Lake


def open_published_table(lake: Lake, prefix: str) -> TableReader:
    """Return a reader of the table whose parts are below `prefix`, a folder of a published version.

    Raise NotInLake if the version has no such table, and DamagedError if a part is missing or has another size.
    """
    version = folder_above(prefix)
    manifest, entries = list_version(lake, version)
    if manifest is None:
        version = prefix
        manifest, entries = require_version(lake, version)
    folder = prefix.removeprefix(version)
    parts = {
        name: file for name, file in manifest.files.items() if name.startswith(folder) and name.endswith(".parquet")
    }
    if not parts:
        raise NotInLake(
            problem(expected=f"a table's parts below {lake.uri(prefix)}", found="none", todo="run the job again")
        )
    if damage := compare_files(lake, version, parts, entries):
        raise DamagedError(listed(damage))
    return TableReader([partial(lake.open, version + name) for name in sorted(parts)])


def read_first(lake: Lake, prefix: str, rows: int) -> pa.Table:
    """Return the first `rows` rows of a published table, for a page or a terminal. Raise as `open_published_table` does.

    No others are unfolded: a whole row group of a large table takes a hundred megabytes.
    """
    table = open_published_table(lake, prefix)
    return pa.Table.from_batches(islice(table.blocks(rows=rows), 1), table.schema)
