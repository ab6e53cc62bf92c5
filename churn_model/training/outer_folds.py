"""Judge the whole recipe by outer folds, on a table with too few leavers for a test split.

The customers are five fifths by the hash of their id. The first is the test split, held out from the candidate. For each other fifth the recipe
is repeated without it: schema, search, average, calibration, fit. So every customer has a probability from a model that never saw that
customer, and the candidate, which is shipped, has seen no test row: a later comparison on the test split is as honest as any.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.features.schema import column_named
from churn_model.spec.dataset import Dataset
from churn_model.training.fold_splits import assign_outer_folds, find_fitted
from churn_model.training.out_of_fold import OutOfFold
from churn_model.training.shares import OUTER_FOLDS
from churn_model.training.splits import TEST, TRAIN, VALIDATION
from churn_model.training.train import Candidate, read_labels, train


def judge_by_outer_folds(
    candidate: Candidate, splits: Mapping[int, pa.Table], dataset: Dataset, *, threads: int
) -> OutOfFold:
    """Return every row of the three splits with its probability by a model that had not seen its customer, fold after fold.

    `splits`: the tables of TRAIN, VALIDATION and TEST. `dataset.split` is by hash with a test share of a fifth. Raise TooLittleData if a
    fold leaves too little to learn from; `fold_splits` knows that before.
    """
    tables = [splits[split] for split in (TRAIN, VALIDATION, TEST)]
    origin = np.repeat(np.array([TRAIN, VALIDATION, TEST], dtype=np.int8), [table.num_rows for table in tables])
    numbers = np.concatenate([np.arange(table.num_rows) for table in tables])
    rows = pa.concat_tables(tables, promote_options="none")
    order = np.argsort(column_named(rows, "_hash").to_numpy(), kind="stable")
    rows, origin, numbers = rows.take(pa.array(order)), origin[order], numbers[order]
    hashes = column_named(rows, "_hash").to_numpy()
    folds = assign_outer_folds(hashes, origin == TEST)
    p = np.empty(rows.num_rows)
    for fold in range(OUTER_FOLDS):
        held = folds == fold
        if held.any():
            model = candidate if fold == 0 else _repeat(rows.filter(pa.array(~held)), fold, dataset, threads)
            p[held] = model.probabilities(rows.filter(pa.array(held)))
    return OutOfFold(splits=origin, rows=numbers, customers=hashes, y=read_labels(rows), p=p)


def _repeat(rows: pa.Table, fold: int, dataset: Dataset, threads: int) -> Candidate:
    """Return what the recipe makes of the rows outside a fold."""
    in_train = pa.array(find_fitted(column_named(rows, "_hash").to_numpy(), fold, dataset.split))
    return train(rows.filter(in_train), rows.filter(pc.invert(in_train)), dataset, threads=threads)
