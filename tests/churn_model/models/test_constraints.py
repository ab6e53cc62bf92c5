"""What trees are forbidden."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from churn_model.models.constraints import Constraints
from churn_model.models.families import Hyperparameters, Model, fit_model, fit_model_on_disk

TABLE = Constraints(signs=(1, -1, 0, 0, 0), columns=((0,), (1,), (2, 3), (4,)))
"""Five encoded columns of four features."""


def data(n: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    """Rows in which the risk rises and falls with the first column, and columns act together."""
    random = np.random.default_rng(3)
    x = random.normal(size=(n, 5)).astype(np.float32)
    risk = x[:, 0] - x[:, 0] ** 2 - x[:, 1] + x[:, 1] * x[:, 2] * x[:, 4] + x[:, 3]
    return x, (risk + random.normal(size=n) > 0).astype(np.int8)


def fit(values: Mapping[str, float], folder: Path | None = None) -> Model:
    x, y = data()
    hyper = Hyperparameters(family="boosted_trees", rounds=40, values={"max_depth": 5, "eta": 0.2, **values})
    if folder is None:
        return fit_model(x, y, hyper, seed=1, threads=1, constraints=TABLE)
    return fit_model_on_disk(lambda: iter([(x, y)]), hyper, seed=1, threads=1, folder=folder, constraints=TABLE)


def is_one_way(model: Model, column: int, sign: int) -> bool:
    """Return whether the log odds move to one side as a column rises, in forty rows."""
    rows = np.repeat(data(40)[0], 50, axis=0)
    rows[:, column] = np.tile(np.linspace(-3, 3, 50), 40)
    return bool((sign * np.diff(model.margins(rows).reshape(40, 50), axis=1) >= -1e-5).all())


def features_on_paths(model: Model) -> Iterator[set[int]]:
    """Yield the features on each path from a root to a leaf."""
    feature_of = {place: number for number, places in enumerate(TABLE.columns) for place in places}
    trees = json.loads(model.to_json())["learner"]["gradient_booster"]["model"]["trees"]
    for tree in trees:
        todo: list[tuple[int, frozenset[int]]] = [(0, frozenset())]
        while todo:
            node, found = todo.pop()
            left, right = tree["left_children"][node], tree["right_children"][node]
            if left < 0:
                yield set(found)
                continue
            found |= {feature_of[tree["split_indices"][node]]}
            todo += [(left, found), (right, found)]


@pytest.mark.parametrize("on_disk", [False, True])
def test_the_risk_moves_to_one_side_with_columns_of_a_clear_sign(on_disk: bool, tmp_path: Path) -> None:
    folder = tmp_path if on_disk else None
    free, held = fit({}, folder), fit({"monotone": 1.0}, folder)
    assert not is_one_way(free, 0, 1)
    assert is_one_way(held, 0, 1)
    assert is_one_way(held, 1, -1)
    assert not is_one_way(held, 4, 1)


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("together", [1, 2])
def test_no_more_columns_act_together_than_may(together: int, on_disk: bool, tmp_path: Path) -> None:
    folder = tmp_path if on_disk else None
    assert max(map(len, features_on_paths(fit({}, folder)))) > 2
    assert max(map(len, features_on_paths(fit({"together": together}, folder)))) == together


def test_constraints_that_no_table_explains_are_refused() -> None:
    x, y = data()
    hyper = Hyperparameters(family="boosted_trees", rounds=1, values={"together": 2})
    with pytest.raises(ValueError, match=r"Expected the constraints of the table for \{.together.: 2\}; found none"):
        fit_model(x, y, hyper, seed=1, threads=1)
