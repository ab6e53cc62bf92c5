"""Probabilities of rows from models that had not seen them, and their tables, `out_of_fold/` and `outer_folds/`.

Training publishes them so that everything that depends on costs can be computed later, at the costs of the day.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn_model.arrays import FloatArray, IntArray
from churn_model.tables import open_table, write_table

OUT_OF_FOLD, OUTER_FOLDS_TABLE = "out_of_fold", "outer_folds"


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """Rows with a probability by a model that had not seen them. All (n,).

    splits     0 for a row of train, 1 for one of validation, 2 for one of test (in outer folds only)
    rows       its number in its split's table
    customers  the hash of its id
    y          its outcome, 1 for a leaver
    p          its calibrated probability, by a model that had not seen its customer
    """

    splits: npt.NDArray[np.int8]
    rows: IntArray
    customers: npt.NDArray[np.uint64]
    y: npt.NDArray[np.int8]
    p: FloatArray


_COLUMNS = {"splits": "split", "rows": "row", "customers": "hash", "y": "label", "p": "probability"}


def write_out_of_fold(found: OutOfFold, folder: Path) -> None:
    """Write the rows in their order."""
    columns = {column: pa.array(getattr(found, name)) for name, column in _COLUMNS.items()}
    write_table(folder, pa.table(columns))


def read_out_of_fold(folder: Path) -> OutOfFold:
    """Return the rows that `write_out_of_fold` wrote."""
    table = open_table(folder).read()
    return OutOfFold(**{name: table[column].to_numpy() for name, column in _COLUMNS.items()})
