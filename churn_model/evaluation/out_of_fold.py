"""Compute what follows from out-of-fold rows at today's costs: the cost curve of training, without any test row, and the scores of outer folds."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from churn_model.arrays import FloatArray
from churn_model.decisions.policy import Policy
from churn_model.evaluation.cost_curve import CostCurve, SearchedCutoff, cost_curve
from churn_model.evaluation.metrics import Scores
from churn_model.spec.column_names import same_name
from churn_model.stats.bootstrap import Resamples, number_customers
from churn_model.tables import open_table
from churn_model.training.out_of_fold import OutOfFold, read_out_of_fold


def out_of_fold_curve(folder: Path, splits: Mapping[int, Path], policy: Policy) -> tuple[CostCurve, SearchedCutoff]:
    """Return the curve of the rows of the table in `folder`, with the worth of each from the table of its split."""
    rows = read_out_of_fold(folder)
    costs = policy.outcome_costs(_read_worth(rows, splits, policy))
    return cost_curve(rows.y, rows.p, costs, Resamples(number_customers(rows.customers)))


def outer_fold_scores(folder: Path, splits: Mapping[int, Path], policy: Policy) -> Scores:
    """Return the scores of every row by a model that had not seen its customer, as `judge_by_outer_folds` left them in `folder`."""
    rows = read_out_of_fold(folder)
    return Scores(ids=rows.customers, y=rows.y, p=rows.p, worth=_read_worth(rows, splits, policy))


def _read_worth(rows: OutOfFold, splits: Mapping[int, Path], policy: Policy) -> FloatArray | None:
    """Return the worth of each out-of-fold row (n,), or None if every customer is worth the same."""
    if policy.costs.value_column is None:
        return None
    worth = np.full(len(rows.rows), np.nan)
    for split in np.unique(rows.splits):
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
