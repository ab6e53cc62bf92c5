"""The model families, each an XGBoost booster.

Belongs here: hyperparameters of a family, fitting one booster, its margins and probabilities. Does not belong here: choosing
hyperparameters (`search.py`), encoding rows (`preprocessing.py`), calibration.

boosted_trees   gradient boosting, histogram splits
random_forest   one round of many trees on samples of rows and columns
linear          logistic regression by coordinate descent (the default updater is not repeatable)
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from churn_model.arrays import FloatArray
from churn_model.errors import BundleError, InputError, problem
from churn_model.features.encoding import Encoded
from churn_model.models.booster_json import require_sound_booster
from churn_model.models.constraints import CONSTRAINED, Constraints
from churn_model.spec.sections.search import Family
from churn_model.stats.logistic import sigmoid

Block = tuple[Encoded, npt.NDArray[np.int8]]
"""Encoded rows (n, width) and their outcomes (n,)."""

_FIXED: Mapping[Family, Mapping[str, Any]] = {
    "boosted_trees": {"booster": "gbtree", "tree_method": "hist", "max_bin": 256},
    "random_forest": {"booster": "gbtree", "tree_method": "hist", "max_bin": 256, "eta": 1.0},
    "linear": {"booster": "gblinear", "updater": "coord_descent", "feature_selector": "cyclic"},
}
_TUNABLE: Mapping[Family, frozenset[str]] = {
    "boosted_trees": frozenset(
        {"eta", "max_depth", "min_child_weight", "lambda", "alpha", "gamma", "subsample", "colsample_bytree"}
        | CONSTRAINED
    ),
    "random_forest": frozenset(
        {"num_parallel_tree", "max_depth", "min_child_weight", "lambda", "subsample", "colsample_bynode"}
    ),
    "linear": frozenset({"eta", "lambda", "alpha"}),
}
_WHOLE = frozenset({"max_depth", "num_parallel_tree"})


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """A family, its rounds of boosting, and the values of its XGBoost parameters by name."""

    family: Family
    rounds: int
    values: Mapping[str, float]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.values) - _TUNABLE[self.family])
        if unknown or self.rounds < 1:
            allowed = ", ".join(sorted(_TUNABLE[self.family]))
            raise ValueError(
                f"Expected at least 1 round and, for {self.family}, any of {allowed}; found {self.rounds} rounds and {unknown}"
            )


@dataclass(frozen=True, kw_only=True)
class Model:
    """A fitted booster of a family. `threads` is what its predictions may use; results do not depend on it.

    Several threads may ask it at once.
    """

    family: Family
    booster: xgb.Booster
    threads: int = 1
    _in_use: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Once and here: a booster configures itself after each change of a parameter, and fails if two threads make it do so.
        self.booster.set_param({"nthread": self.threads})
        self.booster.num_features()

    @property
    def width(self) -> int:
        """How many encoded columns it reads."""
        return int(self.booster.num_features())

    def margins(self, encoded: Encoded) -> FloatArray:
        """Log odds, float64 (n,), of encoded rows (n, width)."""
        self.require_width(encoded)
        if len(encoded) == 0:
            return np.zeros(0)
        if self.family == "linear":
            raw = self.predict(encoded, output_margin=True)
        else:
            raw = self.booster.inplace_predict(encoded, predict_type="margin", missing=np.nan)
        return np.asarray(raw, dtype=np.float64).reshape(len(encoded))

    def probabilities(self, encoded: Encoded) -> FloatArray:
        """Return probabilities before calibration, float64 (n,)."""
        return sigmoid(self.margins(encoded))

    def to_json(self) -> bytes:
        """Return the booster as XGBoost's own JSON: the same bytes for the same booster."""
        return bytes(self.booster.save_raw(raw_format="json"))

    @classmethod
    def from_json(cls, family: Family, text: bytes, *, threads: int = 1) -> "Model":
        """Return the model that `to_json` wrote. Raise BundleError if the text is something else: XGBoost does not see it then."""
        require_sound_booster(text, str(_FIXED[family]["booster"]))
        booster = xgb.Booster()
        try:
            booster.load_model(bytearray(text))
        except (xgb.core.XGBoostError, ValueError) as error:
            raise BundleError(
                problem(expected="a booster as JSON", found="something XGBoost cannot read", todo="retrain")
            ) from error
        return cls(family=family, booster=booster, threads=threads)

    def predict(self, encoded: Encoded, **what: bool) -> npt.NDArray[np.float32]:
        """Return what XGBoost's `Booster.predict` returns for encoded rows (n, width), n > 0."""
        matrix = xgb.DMatrix(encoded, missing=np.nan, nthread=self.threads)
        # XGBoost promises predictions at the same time for trees alone.
        with self._in_use if self.family == "linear" else nullcontext():
            return self.booster.predict(matrix, **what)

    def require_width(self, encoded: Encoded) -> None:
        """Raise InputError unless the rows have as many columns as the booster reads."""
        # XGBoost itself scores a row that is too short without a word.
        if encoded.ndim != 2 or encoded.shape[1] != self.width:
            raise InputError(
                problem(
                    expected=f"rows of {self.width} encoded columns",
                    found=f"shape {encoded.shape}",
                    todo="encode with the model's own schema",
                )
            )


def booster_parameters(
    hyper: Hyperparameters, *, seed: int, threads: int, constraints: Constraints | None = None
) -> dict[str, Any]:
    """Return the parameters for XGBoost. `base_score` is fixed, because other releases read a fitted one differently.

    Raise ValueError if the hyperparameters constrain the trees and `constraints` does not say to what.
    """
    constrained = {name: value for name, value in hyper.values.items() if name in CONSTRAINED}
    if constrained and constraints is None:
        raise ValueError(f"Expected the constraints of the table for {constrained}; found none")
    values = {
        name: int(value) if name in _WHOLE else float(value)
        for name, value in hyper.values.items()
        if name not in CONSTRAINED
    }
    return {
        "objective": "binary:logistic",
        "base_score": 0.5,
        "seed": seed,
        # Then a booster's draws do not depend on which others advance in the same thread.
        "seed_per_iteration": True,
        "nthread": threads,
        "verbosity": 0,
        **_FIXED[hyper.family],
        **values,
        **(constraints.to_parameters(constrained) if constraints else {}),
    }


def training_matrix(encoded: Encoded, y: npt.NDArray[np.int8], family: Family, *, threads: int) -> xgb.DMatrix:
    """Return encoded rows and outcomes as the family trains on them: binned for trees, unchanged for linear."""
    if family == "linear":
        return xgb.DMatrix(encoded, label=y, missing=np.nan, nthread=threads)
    return xgb.QuantileDMatrix(encoded, label=y, missing=np.nan, nthread=threads, max_bin=_FIXED[family]["max_bin"])


def fit_model(
    encoded: Encoded,
    y: npt.NDArray[np.int8],
    hyper: Hyperparameters,
    *,
    seed: int,
    threads: int,
    constraints: Constraints | None = None,
) -> Model:
    """Fit a booster to rows (n, width) and 0/1 outcomes (n,): the same bytes for the same input, seed and threads."""
    matrix = training_matrix(encoded, y, hyper.family, threads=threads)
    parameters = booster_parameters(hyper, seed=seed, threads=threads, constraints=constraints)
    booster = xgb.train(parameters, matrix, num_boost_round=hyper.rounds)
    return Model(family=hyper.family, booster=booster, threads=threads)


def fit_model_on_disk(
    blocks: Callable[[], Iterator[Block]],
    hyper: Hyperparameters,
    *,
    seed: int,
    threads: int,
    folder: Path,
    constraints: Constraints | None = None,
) -> Model:
    """Fit a booster of trees to more rows than memory should hold: binned in blocks, and read from files in `folder` in each round.

    `blocks` returns all of them on each call: bins are chosen over all rows before any row is binned. `folder` is empty afterwards.
    """
    with TemporaryDirectory(dir=folder, prefix=".bins-") as cache:
        source = _Blocks(blocks, Path(cache) / "page")
        matrix = xgb.ExtMemQuantileDMatrix(
            source, missing=np.nan, nthread=threads, max_bin=_FIXED[hyper.family]["max_bin"]
        )
        parameters = booster_parameters(hyper, seed=seed, threads=threads, constraints=constraints)
        booster = xgb.train(parameters, matrix, num_boost_round=hyper.rounds)
        del matrix  # it holds the files open
    return Model(family=hyper.family, booster=booster, threads=threads)


def average_models(models: Sequence[Model], weights: Sequence[float]) -> Model:
    """Return one booster whose margins are the weighted sum of those of boosted trees: all their trees, with scaled leaves.

    The weights sum to 1. Then contributions, too, are the weighted sums, and whatever reads a booster reads this one.
    """
    if len(models) == 1:
        return models[0]
    documents = [json.loads(model.to_json()) for model in models]
    trees: list[dict[str, Any]] = []
    for document, weight in zip(documents, weights, strict=True):
        for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
            leaves = [left < 0 for left in tree["left_children"]]
            limits = [
                weight * value if is_leaf else value
                for value, is_leaf in zip(tree["split_conditions"], leaves, strict=True)
            ]
            base = [weight * value for value in tree["base_weights"]]
            trees.append({**tree, "id": len(trees), "split_conditions": limits, "base_weights": base})
    joined = documents[0]["learner"]["gradient_booster"]["model"]
    joined["trees"], joined["tree_info"] = trees, [0] * len(trees)
    joined["iteration_indptr"] = list(range(len(trees) + 1))
    joined["gbtree_model_param"] = {"num_parallel_tree": "1", "num_trees": str(len(trees))}
    return Model.from_json(models[0].family, json.dumps(documents[0]).encode(), threads=models[0].threads)


class _Blocks(xgb.DataIter):
    """Blocks as XGBoost asks for them."""

    def __init__(self, blocks: Callable[[], Iterator[Block]], cache: Path) -> None:
        self._blocks = blocks
        self._following = blocks()
        super().__init__(cache_prefix=str(cache))

    def reset(self) -> None:
        self._following = self._blocks()

    def next(self, input_data: Callable[..., None]) -> bool:
        found = next(self._following, None)
        if found is None:
            return False
        input_data(data=found[0], label=found[1])
        return True
