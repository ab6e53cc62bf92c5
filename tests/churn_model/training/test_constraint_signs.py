"""The direction in which a number may move the risk."""

import numpy as np
import pyarrow as pa

from churn_model.features.encoding import encode
from churn_model.features.schema import fit_schema
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.training.constraint_signs import choose_constraints, find_sign

RANDOM = np.random.default_rng(8)
ROWS = 2_000
FOLDS = np.arange(ROWS) % 5
X = RANDOM.normal(size=ROWS).astype(np.float32)
Y = (X + RANDOM.normal(size=ROWS) > 0.5).astype(np.int8)


def test_a_sign_is_that_of_the_correlation_where_every_fold_shows_it() -> None:
    assert find_sign(X, Y, FOLDS) == 1
    assert find_sign(-np.exp(3 * X), Y, FOLDS) == -1
    assert find_sign(X**2, Y, FOLDS) == 0
    assert find_sign(RANDOM.normal(size=ROWS).astype(np.float32), Y, FOLDS) == 0
    assert find_sign(np.where(FOLDS == 2, -X, X), Y, FOLDS) == 0


def test_missing_values_and_constants_have_no_say() -> None:
    assert find_sign(np.where(RANDOM.random(ROWS) < 0.3, np.nan, X).astype(np.float32), Y, FOLDS) == 1
    assert find_sign(np.where(FOLDS == 0, np.nan, X).astype(np.float32), Y, FOLDS) == 0
    assert find_sign(np.ones(ROWS, dtype=np.float32), Y, FOLDS) == 0
    assert find_sign(X, np.ones(ROWS, dtype=np.int8), FOLDS) == 0


def test_numbers_have_signs_and_levels_of_a_category_belong_together() -> None:
    table = pa.table(
        {
            "usage": -X.astype(float),
            "plan": pa.array(RANDOM.choice(["basic", "plus", "max"], ROWS)).dictionary_encode(),
            "calls": X.astype(float),
        }
    )
    schema = fit_schema(table, Dataset(name="shop", label=Label(column="left", positive=("yes",))))
    found = choose_constraints(encode(table, schema, "boosted_trees"), Y, FOLDS, schema)
    assert found.signs == (-1, 0, 0, 0, 1)
    assert found.columns == ((0,), (1, 2, 3), (4,))
