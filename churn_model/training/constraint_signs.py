"""Choose the direction in which a number may move the risk, from the rows of train alone."""

import numpy as np
import numpy.typing as npt

from churn_model.arrays import FloatArray, IntArray
from churn_model.column_types.number import NUMBER
from churn_model.column_types.registry import column_type
from churn_model.features.encoding import Encoded, feature_names_of
from churn_model.features.schema import FeatureSchema
from churn_model.models.constraints import Constraints

MOST_ROWS = 50_000
"""Rows that are looked at: a sign that is clear in these is as clear in millions."""
CLEAR = 1.0
"""Standard errors by which the rank correlation has to differ from 0, to the same side in every fold."""


def choose_constraints(
    encoded: Encoded, y: npt.NDArray[np.int8], folds: IntArray, schema: FeatureSchema
) -> Constraints:
    """Return the constraints of boosted trees on rows of train (n, width), in the order of their hashes, with outcomes and folds (n,)."""
    owners = feature_names_of(schema, "boosted_trees")
    columns = {name: tuple(at for at, owner in enumerate(owners) if owner == name) for name in schema.names}
    signs = np.zeros(len(owners), dtype=np.int64)
    rows, y, folds = encoded[:MOST_ROWS], y[:MOST_ROWS], folds[:MOST_ROWS]
    for feature in schema.features:
        if column_type(feature.kind).name == NUMBER.name:
            for at in columns[feature.name]:
                signs[at] = find_sign(rows[:, at], y, folds)
    return Constraints(signs=tuple(signs.tolist()), columns=tuple(columns.values()))


def find_sign(values: Encoded, y: npt.NDArray[np.int8], folds: IntArray) -> int:
    """Return 1 or -1 if the outcome's rank correlation with the values (n,) is clearly above or below 0 in every fold, else 0."""
    scores = [_score(values[folds == fold], y[folds == fold]) for fold in np.unique(folds)]
    if not scores or min(map(abs, scores)) <= CLEAR or len({score > 0 for score in scores}) > 1:
        return 0
    return 1 if scores[0] > 0 else -1


def _score(values: Encoded, y: npt.NDArray[np.int8]) -> float:
    """Return Spearman's correlation in standard errors, over the values that are known; 0 if either side is constant."""
    known = np.isfinite(values)
    ranks, outcomes = _rank(values[known]), y[known].astype(np.float64)
    if not len(ranks) or ranks.min() == ranks.max() or outcomes.min() == outcomes.max():
        return 0.0
    return float(np.corrcoef(ranks, outcomes)[0, 1] * np.sqrt(len(ranks)))


def _rank(values: Encoded) -> FloatArray:
    """Return the rank of each value (n,); equal ones share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: FloatArray = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks
