"""Compute the cost curve of training's out-of-fold rows at today's costs, without any test row."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from churn_model.arrays import FloatArray
from churn_model.decisions.policy import Policy
from churn_model.evaluation.cost_curve import CostCurve, SearchedCutoff, cost_curve
from churn_model.spec.column_names import same_name
from churn_model.stats.bootstrap import Resamples, number_customers
from churn_model.tables import open_table
from churn_model.training.out_of_fold import OutOfFold, read_out_of_fold
from churn_model.training.splits import TRAIN, VALIDATION


def out_of_fold_curve(folder: Path, splits: Mapping[int, Path], policy: Policy) -> tuple[CostCurve, SearchedCutoff]:
    """Return the curve of the rows of the table in `folder`, with the worth of each from the table of its split, TRAIN and VALIDATION."""
    rows = read_out_of_fold(folder)
    costs = policy.outcome_costs(_read_worth(rows, splits, policy))
    return cost_curve(rows.y, rows.p, costs, Resamples(number_customers(rows.customers)))


def _read_worth(rows: OutOfFold, splits: Mapping[int, Path], policy: Policy) -> FloatArray | None:
    """Return the worth of each out-of-fold row (n,), or None if every customer is worth the same."""
    if policy.costs.value_column is None:
        return None
    worth = np.full(len(rows.rows), np.nan)
    for split in (TRAIN, VALIDATION):
        chosen = rows.splits == split
        if chosen.any():
            of_split = policy.worth(
                _read_column(splits[split], policy.costs.value_column, int(rows.rows[chosen].max()) + 1)
            )
            if of_split is None:
                return None
            worth[chosen] = of_split[rows.rows[chosen]]
    return worth


def _read_column(folder: Path, name: str, count: int) -> pa.Table:
    """Return the first `count` rows of one column of a table, without the rest; no column if there is none of that name."""
    table = open_table(folder)
    return table.first(count, [column for column in table.schema.names if same_name(column, name)])
