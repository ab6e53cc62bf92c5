"""What each encoded column adds to a row's margin. Training does not import this: another way to compute it fits no model again."""

from functools import lru_cache

import numpy as np

from churn_model.arrays import FloatArray
from churn_model.features.encoding import Encoded
from churn_model.models.families import Model
from churn_model.models.tree_shap import TreeShap

_AGREE = 1e-4  # log odds by which a row's contributions may miss its margin


def contributions(model: Model, encoded: Encoded, margins: FloatArray | None = None) -> FloatArray:
    """Return exact contributions to the margin, float64 (n, width + 1): the encoded columns, then the bias. A row sums to its margin.

    From tables if the trees are shallow, which takes a tenth of the time; rows whose sum misses the margin, and all other boosters, are
    XGBoost's own. The same for a row alone and in any block. `margins` (n,) are those of the rows, if they are known already. Raise InputError
    for rows of another width.
    """
    model.require_width(encoded)
    tables = _make_tables(model)
    if tables is None:
        return _compute_by_xgboost(model, encoded)
    found = tables.contributions(encoded)
    missed = ~(np.abs(found.sum(axis=1) - (model.margins(encoded) if margins is None else margins)) <= _AGREE)
    if missed.any():
        found[missed] = _compute_by_xgboost(model, np.ascontiguousarray(encoded[missed]))
    return found


@lru_cache(
    maxsize=4
)  # a model scores many blocks; a server has two of each, and for a moment those of the next champion
def _make_tables(model: Model) -> TreeShap | None:
    return None if model.family == "linear" else TreeShap.of(model.booster)


def _compute_by_xgboost(model: Model, encoded: Encoded) -> FloatArray:
    if len(encoded) == 0:
        return np.zeros((0, model.width + 1))
    raw = model.predict(encoded, pred_contribs=True)
    return np.asarray(raw, dtype=np.float64).reshape(len(encoded), model.width + 1)
