"""No booster reaches XGBoost unless its arrays fit each other: with others, XGBoost ends the process."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from churn_model.errors import BundleError
from churn_model.models.booster_json import DEEPEST, require_sound_booster
from churn_model.models.families import Hyperparameters, Model, fit_model

Tree = dict[str, Any]


def fitted(hyper: Hyperparameters) -> Model:
    random = np.random.default_rng(7)
    x = random.normal(size=(300, 3)).astype(np.float32)
    return fit_model(x, (x[:, 0] > random.normal(size=300)).astype(np.int8), hyper, seed=1, threads=1)


@pytest.fixture(scope="module")
def trees() -> bytes:
    values = {"num_parallel_tree": 2, "max_depth": 3, "subsample": 0.8}
    return fitted(Hyperparameters(family="random_forest", rounds=1, values=values)).to_json()


@pytest.fixture(scope="module")
def linear() -> bytes:
    return fitted(Hyperparameters(family="linear", rounds=2, values={})).to_json()


def test_what_xgboost_writes_is_sound(trees: bytes, linear: bytes) -> None:
    require_sound_booster(trees, "gbtree")
    require_sound_booster(linear, "gblinear")


def put(name: str, place: int, value: Any) -> Callable[[Tree], None]:
    return lambda tree: tree[name].__setitem__(place, value)


def call(name: str, method: str, *arguments: Any) -> Callable[[Tree], object]:
    return lambda tree: getattr(tree[name], method)(*arguments)


def remove(name: str) -> Callable[[Tree], object]:
    return lambda tree: tree.pop(name)


def turn(tree: Tree) -> None:
    """Two inner nodes that are each other's child, beside the tree."""
    tree["left_children"] = [-1, 2, 1]
    tree["right_children"] = [-1, -1, -1]


def chain(tree: Tree) -> None:
    """A path deeper than any stack."""
    inner = 50_000
    nodes = 2 * inner + 1
    left = [node + 1 if node % 2 == 0 and node < 2 * inner else -1 for node in range(nodes)]
    right = [node + 2 if node % 2 == 0 and node < 2 * inner else -1 for node in range(nodes)]
    parents = [2**31 - 1, *(node for n in range(inner) for node in (2 * n, 2 * n))]
    tree["tree_param"]["num_nodes"] = str(nodes)
    tree |= {"left_children": left, "right_children": right, "parents": parents}
    tree |= {name: [0] * nodes for name in ("split_indices", "default_left", "split_type")}
    tree |= {name: [0.0] * nodes for name in ("base_weights", "loss_changes", "split_conditions", "sum_hessian")}


TREES: dict[str, Callable[[Tree], object]] = {
    **{
        f"{name} {what}": change
        for name in ("left_children", "right_children", "parents", "split_indices", "default_left", "split_type")
        for what, change in {
            "beyond the nodes": put(name, 0, 10**6),
            "below zero": put(name, 0, -7),
            "no whole number": put(name, 0, 0.5),
            "null": put(name, 0, None),
            "a list": put(name, 0, [1]),
            "longer": call(name, "append", 0),
            "shorter": call(name, "pop"),
            "empty": call(name, "clear"),
            "absent": remove(name),
            "too large for 64 bits": put(name, 0, 2**70),
        }.items()
    },
    **{
        f"{name} {what}": change
        for name in ("base_weights", "loss_changes", "split_conditions", "sum_hessian")
        for what, change in {
            "not finite": put(name, 0, float("nan")),
            "too large for 32 bits": put(name, 0, 1e300),
            "text": put(name, 0, "1"),
            "shorter": call(name, "pop"),
        }.items()
    },
    "a child that is its own parent": put("left_children", 0, 0),
    "the same child twice": lambda tree: put("right_children", 0, tree["left_children"][0])(tree),
    "a circle": turn,
    "a path deeper than any stack": chain,
    "more nodes than there are": lambda tree: tree["tree_param"].update(num_nodes="1000000"),
    "no nodes": lambda tree: tree["tree_param"].update(num_nodes="0"),
    "deleted nodes": lambda tree: tree["tree_param"].update(num_deleted="1"),
    "a vector in each leaf": lambda tree: tree["tree_param"].update(size_leaf_vector="1000"),
    "other features than the model": lambda tree: tree["tree_param"].update(num_feature="2"),
    "a number that is none": lambda tree: tree["tree_param"].update(num_nodes="x"),
    "categories": lambda tree: tree["categories"].append(1),
    "another place": lambda tree: tree.update(id=7),
}


@pytest.mark.parametrize("change", TREES.values(), ids=TREES)
def test_a_tampered_tree_is_refused(trees: bytes, change: Callable[[Tree], object]) -> None:
    model = json.loads(trees)
    change(model["learner"]["gradient_booster"]["model"]["trees"][1])
    with pytest.raises(BundleError, match=r"Expected a booster as XGBoost writes it; found .*\. Retrain the model"):
        require_sound_booster(json.dumps(model).encode(), "gbtree")


def test_a_path_of_as_many_conditions_as_are_allowed_is_sound(trees: bytes) -> None:
    model = json.loads(trees)
    tree = model["learner"]["gradient_booster"]["model"]["trees"][0]
    chain(tree)
    nodes = 2 * DEEPEST + 1
    for name, values in tree.items():
        if isinstance(values, list) and values:
            tree[name] = values[:nodes]
    tree["tree_param"]["num_nodes"] = str(nodes)
    for name in ("left_children", "right_children"):
        tree[name][-1] = -1
    require_sound_booster(json.dumps(model).encode(), "gbtree")


def deeper(model: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        model = model[name]
    return model


LEARNERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no learner": lambda model: model.clear(),
    "a list": lambda model: model.update(learner=[]),
    "no features": lambda model: deeper(model, "learner", "learner_model_param").update(num_feature="0"),
    "more features": lambda model: deeper(model, "learner", "learner_model_param").update(num_feature="4"),
    "several outputs": lambda model: deeper(model, "learner", "learner_model_param").update(num_class="3"),
    "no base score": lambda model: deeper(model, "learner", "learner_model_param").update(base_score="[NaN]"),
    "another objective": lambda model: deeper(model, "learner", "objective").update(name="multi:softprob"),
    "another booster": lambda model: deeper(model, "learner", "gradient_booster").update(name="dart"),
    "names of features": lambda model: deeper(model, "learner").update(feature_names=["a"]),
    "attributes": lambda model: deeper(model, "learner").update(attributes={"best_iteration": "9999999"}),
    "no trees": lambda model: deeper(model, "learner", "gradient_booster", "model").update(trees=[]),
    "other rounds": lambda model: deeper(model, "learner", "gradient_booster", "model").update(
        iteration_indptr=[0, 99]
    ),
    "other outputs": lambda model: deeper(model, "learner", "gradient_booster", "model").update(tree_info=[0, 5]),
    "known categories": lambda model: deeper(model, "learner", "gradient_booster", "model", "cats").update(enc=[1]),
}


@pytest.mark.parametrize("change", LEARNERS.values(), ids=LEARNERS)
def test_a_tampered_model_is_refused(trees: bytes, change: Callable[[dict[str, Any]], object]) -> None:
    model = json.loads(trees)
    change(model)
    with pytest.raises(BundleError, match="Expected a booster as XGBoost writes it"):
        require_sound_booster(json.dumps(model).encode(), "gbtree")


@pytest.mark.parametrize("weights", [[], [0.0], [0.0] * 5, [float("inf")] * 4, ["1"] * 4, None, [[0.0] * 4]])
def test_tampered_weights_are_refused(linear: bytes, weights: Any) -> None:
    model = json.loads(linear)
    model["learner"]["gradient_booster"]["model"]["weights"] = weights
    with pytest.raises(BundleError, match="Expected a booster as XGBoost writes it"):
        require_sound_booster(json.dumps(model).encode(), "gblinear")


@pytest.mark.parametrize(
    "text", [b"", b"\0\0", b"{", b"[]", b"null", b"[" * 100_000, b'{"learner": {}, "learner": {}}', b"\xff"]
)
def test_other_text_is_refused(text: bytes) -> None:
    with pytest.raises(BundleError, match="Expected a booster as XGBoost writes it"):
        require_sound_booster(text, "gbtree")
