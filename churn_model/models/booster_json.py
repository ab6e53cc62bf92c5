"""Check a booster's JSON before XGBoost reads it: XGBoost trusts shapes and indices, and a wrong one ends the process.

The format is XGBoost's (its documentation, "Introduction to Model IO"), as it writes the families of this project: one output, numerical
splits, no deleted nodes.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from churn_model.errors import BundleError, problem

DEEPEST = 128
"""Most conditions on a path: deeper trees would exhaust the stack of what walks them. No search comes near it."""
_NO_PARENT = 2**31 - 1
_NUMBERS = ("base_weights", "loss_changes", "split_conditions", "sum_hessian")
_INTEGERS = ("left_children", "right_children", "parents", "split_indices", "default_left", "split_type")
_CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")

Numbers = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def require_sound_booster(text: bytes, booster: str) -> None:
    """Raise BundleError unless `text` is a model of that XGBoost booster (gbtree or gblinear) whose arrays fit each other."""
    try:
        # XGBoost might take the other one of two members of the same name.
        learner = _part(json.loads(text, object_pairs_hook=_without_repeats), "learner")
        features = _require_learner(learner)
        gradient_booster = _part(learner, "gradient_booster")
        _require(gradient_booster["name"] == booster, f"booster {booster}")
        model = _part(gradient_booster, "model")
        if booster == "gblinear":
            _numbers(model, "weights", features + 1)
        else:
            _require_trees(model, features)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        text_of_error = f"no {error}" if isinstance(error, KeyError) else str(error)[:200]
        raise BundleError(
            problem(expected="a booster as XGBoost writes it", found=text_of_error, todo="retrain the model")
        ) from error


def _without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    _require(len(values) == len(pairs), "each name once")
    return values


def _require_learner(learner: Mapping[str, Any]) -> int:
    """Return the number of features."""
    parameters = _part(learner, "learner_model_param")
    features = int(parameters["num_feature"])
    _require(1 <= features < _NO_PARENT, "at least one feature")
    _require((int(parameters["num_class"]), int(parameters["num_target"])) == (0, 1), "one output")
    base_score = np.atleast_1d(np.asarray(json.loads(parameters["base_score"]), dtype=np.float64))
    _require(base_score.shape == (1,) and 0 < base_score[0] < 1, "one base score between 0 and 1")
    _require(_part(learner, "objective")["name"] == "binary:logistic", "objective binary:logistic")
    _require(learner.get("attributes", {}) == {}, "no attributes")
    for name in ("feature_names", "feature_types"):
        _require(learner.get(name, []) == [], f"no {name}")
    return features


def _require_trees(model: Mapping[str, Any], features: int) -> None:
    trees = model["trees"]
    _require(isinstance(trees, list) and len(trees) > 0, "a list of trees")
    parameters = _part(model, "gbtree_model_param")
    _require(int(parameters["num_trees"]) == len(trees), "as many trees as num_trees")
    parallel = int(parameters["num_parallel_tree"])
    ends = _integers(model, "iteration_indptr")
    expected = np.arange(len(ends)) * parallel
    _require(parallel >= 1 and len(ends) >= 2 and np.array_equal(ends, expected), "rounds of num_parallel_tree trees")
    _require(ends[-1] == len(trees), "as many trees as there are in all rounds")
    _require(not _integers(model, "tree_info", len(trees)).any(), "trees of one output")
    _require(all(each == [] for each in _part(model, "cats").values()), "no categories")
    for number, tree in enumerate(trees):
        _require(isinstance(tree, dict) and tree["id"] == number, f"tree {number} in its place")
        _require_tree(tree, features)


def _require_tree(tree: Mapping[str, Any], features: int) -> None:
    parameters = {name: int(value) for name, value in _part(tree, "tree_param").items()}
    nodes = parameters["num_nodes"]
    sizes = (parameters["num_feature"], parameters["size_leaf_vector"], parameters["num_deleted"])
    _require(nodes >= 1 and sizes == (features, 1, 0), "the nodes and features of its tree_param")
    for name in _NUMBERS:
        _numbers(tree, name, nodes)
    left, right, parents, split, default, kind = (_integers(tree, name, nodes) for name in _INTEGERS)
    _require(((default == 0) | (default == 1)).all() and not kind.any(), "numerical splits")
    _require(all(tree[name] == [] for name in _CATEGORIES), "no categories")
    _require(((split >= 0) & (split < features)).all(), f"splits by features 0 to {features - 1}")

    inner = np.flatnonzero(left != -1)
    _require(np.array_equal(inner, np.flatnonzero(right != -1)), "two children or none")
    children = np.concatenate([left[inner], right[inner]])
    # Each node but the root is the child of one node, and that is its parent.
    _require(np.array_equal(np.sort(children), np.arange(1, nodes)), "each node once")
    _require(parents[0] in (_NO_PARENT, -1) and np.array_equal(parents[children], np.tile(inner, 2)), "true parents")
    _require_reachable(left, right)


def _require_reachable(left: Integers, right: Integers) -> None:
    """Raise ValueError if there is a circle beside the tree, or if the tree is too deep."""
    level, count = np.array([0]), 0
    for _ in range(DEEPEST + 1):
        count += len(level)
        below = level[left[level] != -1]
        if not len(below):
            break
        level = np.concatenate([left[below], right[below]])
    else:
        raise ValueError(f"a tree of more than {DEEPEST} levels")
    _require(count == len(left), "every node below the root")


def _part(values: Any, name: str) -> dict[str, Any]:
    _require(isinstance(values, dict) and isinstance(values[name], dict), f"a mapping {name}")
    part: dict[str, Any] = values[name]
    return part


def _array(values: Mapping[str, Any], name: str, length: int | None, kinds: str) -> npt.NDArray[Any]:
    array = np.asarray(values[name])
    _require(isinstance(values[name], list) and array.ndim == 1, f"a list {name}")
    _require(array.dtype.kind in kinds and length in (None, len(array)), f"{length} numbers in {name}")
    return array


def _integers(values: Mapping[str, Any], name: str, length: int | None = None) -> Integers:
    return _array(values, name, length, "i").astype(np.int64)


def _numbers(values: Mapping[str, Any], name: str, length: int) -> Numbers:
    numbers = _array(values, name, length, "if").astype(np.float64)
    _require(bool((np.abs(numbers) <= np.finfo(np.float32).max).all()), f"finite numbers in {name}")
    return numbers


def _require(holds: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"one without {expected}")
