"""LightGBM and CatBoost on the rows that our model is trained on: what a data scientist would try beside it.

They are the extra `bench`, and nothing that the project needs. Each reads the raw columns, categories as such, and stops early on the
validation rows. LightGBM is tuned over twelve settings. Both are judged as they are, without calibration.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from churn_model.arrays import FloatArray
from churn_model.column_types.category import CATEGORY
from churn_model.features.schema import fit_schema, values_of
from churn_model.spec.dataset import Dataset
from churn_model.stats.logistic import log_loss

_MOST_ROUNDS = 3000
_PATIENCE = 50

Frame = Callable[[pa.Table], pd.DataFrame]


def frames(train_rows: pa.Table, dataset: Dataset) -> Frame:
    """Return what turns rows into the columns that our model reads: floats, and text for categories."""
    schema = fit_schema(train_rows, dataset)

    def make(rows: pa.Table) -> pd.DataFrame:
        columns: dict[str, Any] = {}
        for feature in schema.features:
            values = values_of(rows, feature)
            if CATEGORY.holds(values.type):
                columns[feature.name] = pd.Series(values.cast(pa.string()).to_pandas()).fillna("missing").astype(str)
            elif pa.types.is_date(values.type):
                columns[feature.name] = pd.Series(values.cast(pa.int32()).to_pandas()).astype(float)
            else:
                columns[feature.name] = pd.Series(np.asarray(values, dtype=float))
        return pd.DataFrame(columns)

    return make


def fit_catboost(train: pd.DataFrame, y: np.ndarray, validation: pd.DataFrame, held: np.ndarray) -> Any:
    """Return CatBoost's own defaults with early stopping, as a function of a frame."""
    catboost: Any = importlib.import_module("catboost")
    names = [name for name in train if train[name].dtype == object or str(train[name].dtype).startswith("str")]
    model = catboost.CatBoostClassifier(
        iterations=_MOST_ROUNDS,
        learning_rate=0.05,
        cat_features=names,
        verbose=False,
        thread_count=1,
        random_seed=0,
        allow_writing_files=False,
    )
    model.fit(train, y, eval_set=(validation, held), early_stopping_rounds=_PATIENCE)
    return lambda frame: model.predict_proba(frame)[:, 1]


def fit_lightgbm(train: pd.DataFrame, y: np.ndarray, validation: pd.DataFrame, held: np.ndarray) -> Any:
    """Return the best of twelve settings of LightGBM by log loss on the validation rows, as a function of a frame."""
    lightgbm: Any = importlib.import_module("lightgbm")
    names = [name for name in train if train[name].dtype == object or str(train[name].dtype).startswith("str")]
    levels = {name: pd.CategoricalDtype(sorted(train[name].unique())) for name in names}
    train, validation = train.astype(levels), validation.astype(levels)
    best: Any = None
    for leaves in (7, 31, 127):
        for least in (5, 20):
            for columns in (0.6, 1.0):
                model = lightgbm.LGBMClassifier(
                    n_estimators=_MOST_ROUNDS,
                    learning_rate=0.05,
                    num_leaves=leaves,
                    min_child_samples=least,
                    colsample_bytree=columns,
                    subsample=0.8,
                    subsample_freq=1,
                    n_jobs=1,
                    verbosity=-1,
                    random_state=0,
                )
                stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
                model.fit(train, y, eval_set=[(validation, held)], eval_metric="binary_logloss", callbacks=[stop])
                loss = log_loss(held, model.predict_proba(validation)[:, 1])
                if best is None or loss < best[0]:
                    best = (loss, model)
    return lambda frame: best[1].predict_proba(frame.astype(levels))[:, 1]


FITS: Mapping[str, Callable[..., Callable[[pd.DataFrame], FloatArray]]] = {
    "catboost": fit_catboost,
    "lightgbm": fit_lightgbm,
}


def available() -> tuple[str, ...]:
    """Return those that are installed."""
    return tuple(name for name in FITS if importlib.util.find_spec(name) is not None)
