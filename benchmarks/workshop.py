"""The model of the workshop that this project answers, as it was published.

XGBoost with max_depth 5, eta 0.2, gamma 4, min_child_weight 6, subsample 0.8, 100 rounds; phone, area code and the four charges dropped;
one-hot.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import xgboost as xgb

from churn_model.arrays import FloatArray
from churn_model.column_types.category import CATEGORY
from churn_model.spec.column_names import RESERVED

PARAMETERS = {
    "objective": "binary:logistic",
    "max_depth": 5,
    "eta": 0.2,
    "gamma": 4,
    "min_child_weight": 6,
    "subsample": 0.8,
    "nthread": 1,
    "verbosity": 0,
}
ROUNDS = 100
DROPPED = frozenset({"phone", "area code", "day charge", "eve charge", "night charge", "intl charge", "split"})


@dataclass(frozen=True)
class Workshop:
    """The model, fitted on some rows of a one-hot matrix."""

    booster: xgb.Booster

    def probabilities(self, matrix: FloatArray) -> FloatArray:
        """float64 (n,)."""
        return np.asarray(self.booster.inplace_predict(matrix), dtype=np.float64)


def one_hot(rows: pa.Table) -> FloatArray:
    """Its matrix of all rows, as the workshop made it: before any split."""
    columns = []
    for name in rows.column_names:
        if name in RESERVED or name.lower() in DROPPED:
            continue
        column = rows[name]
        if CATEGORY.holds(column.type):
            codes = column.combine_chunks().cast(pa.string()).dictionary_encode().indices.fill_null(-1).to_numpy()
            columns += [codes == level for level in range(int(codes.max()) + 1)]
        else:
            is_date = pa.types.is_date(column.type)
            columns.append(np.asarray(column.cast(pa.int32()) if is_date else column, dtype=np.float64))
    return np.column_stack(columns).astype(np.float32)


def fit_workshop(matrix: FloatArray, y: np.ndarray, *, seed: int) -> Workshop:
    """The workshop's model of these rows."""
    return Workshop(xgb.train(PARAMETERS | {"seed": seed}, xgb.DMatrix(matrix, label=y), num_boost_round=ROUNDS))
