"""Compute exact contributions of shallow trees by table lookup.

This is path-dependent TreeSHAP (Lundberg, Erion, Lee, Consistent Individualized Feature Attribution for Tree Ensembles, 2018) over all rows and
trees at once. `contributions` asks XGBoost for other boosters.

To a tree, a row is its answers to the tree's conditions. A leaf's contribution depends only on the answers on its own path, so a tree of up to
eight conditions, or a part of a larger tree with the path to it, is a table of at most 256 rows, computed once. A row's contributions are
then one lookup per table, summed as integers: the sum does not depend on the order, so a row has the same contributions in any block.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from churn_model.arrays import FloatArray

DEEPEST = 6
"""Trees deeper than this have too many parts for tables to pay."""

_BITS = 8
_UNIT = 2.0**-40
_CELLS = 1 << 17  # rows times table columns looked up at once, so that they stay in the cache


@dataclass(frozen=True)
class _Tree:
    """One tree as XGBoost writes it; the children of a leaf are -1, and its limit is its value."""

    left: Sequence[int]
    right: Sequence[int]
    feature: Sequence[int]
    limit: Sequence[float]
    missing_left: Sequence[int]
    cover: Sequence[float]

    @classmethod
    def read(cls, tree: Mapping[str, Any]) -> Self:
        names = ("left_children", "right_children", "split_indices", "split_conditions", "default_left", "sum_hessian")
        return cls(*(tree[name] for name in names))

    def is_leaf(self, node: int) -> bool:
        return self.left[node] < 0

    def size(self, node: int) -> int:
        """Return the number of conditions at and below a node."""
        return 0 if self.is_leaf(node) else 1 + self.size(self.left[node]) + self.size(self.right[node])

    def depth(self, node: int = 0) -> int:
        return 0 if self.is_leaf(node) else 1 + max(self.depth(self.left[node]), self.depth(self.right[node]))


@dataclass(frozen=True)
class _Part:
    """A subtree and the nodes that lead to it. `conditions`: the nodes whose answers index its table, lowest bit first."""

    tree: _Tree
    top: int
    path: tuple[tuple[int, bool], ...]
    conditions: list[int] = field(default_factory=list)

    def leaves(self) -> Iterator[tuple[int, tuple[tuple[int, bool], ...]]]:
        """Yield each leaf, and the nodes above it with whether the path turns left there."""
        waiting = [(self.top, self.path)]
        while waiting:
            node, path = waiting.pop()
            if self.tree.is_leaf(node):
                yield node, path
            else:
                waiting += [
                    (self.tree.left[node], (*path, (node, True))),
                    (self.tree.right[node], (*path, (node, False))),
                ]


@dataclass(frozen=True)
class TreeShap:
    """Tables of a booster's trees. `bias`: the expected margin, in log odds.

    feature, limit, or_missing  of each condition, which holds if the value is below the limit, or perhaps missing (parts * 8,)
    table    contributions in units of 2^-40, one column of a part after the other
    part     of each column, its part; `start`: its first cell in the table. Both ordered by the encoded column they add to (columns,)
    target   the encoded columns that any tree reads; `edges`: the first of the columns of each (k,)
    """

    width: int
    bias: float
    feature: npt.NDArray[np.int64]
    limit: npt.NDArray[np.float32]
    or_missing: npt.NDArray[np.bool_]
    table: npt.NDArray[np.int64]
    part: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]
    edges: npt.NDArray[np.int64]

    @classmethod
    def of(cls, booster: xgb.Booster) -> Self | None:
        """Return the tables of a booster; None for no trees, deeper trees, categorical splits, or nodes that no row reached."""
        learner = json.loads(bytes(booster.save_raw(raw_format="json")))["learner"]
        model = learner["gradient_booster"].get("model", {})
        written = model.get("trees", [])
        if (
            learner["gradient_booster"].get("name") != "gbtree"
            or not written
            or any(any(tree["split_type"]) for tree in written)
        ):
            return None
        trees = [_Tree.read(tree) for tree in written]
        if any(tree.depth() > DEEPEST or min(tree.cover) <= 0 for tree in trees):
            return None
        base = float(np.atleast_1d(json.loads(learner["learner_model_param"]["base_score"]))[0])
        return cls._join_parts(
            int(booster.num_features()),
            math.log(base / (1 - base)),
            [part for tree in trees for part in _parts(tree, 0, ())],
        )

    @classmethod
    def _join_parts(cls, width: int, base: float, parts: Sequence[_Part]) -> Self:
        conditions = [[*part.conditions, *[-1] * (_BITS - len(part.conditions))] for part in parts]
        nodes = [(part.tree, node) for part, own in zip(parts, conditions, strict=True) for node in own]
        columns: list[tuple[int, int, npt.NDArray[np.int64]]] = []
        bias = base
        for number, part in enumerate(parts):
            tables, expected = _tables(part)
            bias += expected
            columns += [
                (feature, number, np.rint(values / _UNIT).astype(np.int64)) for feature, values in tables.items()
            ]
        columns.sort(key=lambda column: column[:2])
        sizes = [len(values) for _, _, values in columns]
        targets = np.array([feature for feature, _, _ in columns], dtype=np.int64)
        target, edges = np.unique(targets, return_index=True)
        return cls(
            width=width,
            bias=bias,
            # A condition that a part does not have holds for no row: its bit stays 0.
            feature=np.array([tree.feature[node] if node >= 0 else 0 for tree, node in nodes], dtype=np.int64),
            limit=np.array([tree.limit[node] if node >= 0 else -np.inf for tree, node in nodes], dtype=np.float32),
            or_missing=np.array([node >= 0 and bool(tree.missing_left[node]) for tree, node in nodes], dtype=bool),
            table=np.concatenate([values for _, _, values in columns]) if columns else np.zeros(0, dtype=np.int64),
            part=np.array([number for _, number, _ in columns], dtype=np.int64),
            start=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
            if columns
            else np.zeros(0, dtype=np.int64),
            target=target,
            edges=edges,
        )

    def contributions(self, encoded: npt.NDArray[np.float32]) -> FloatArray:
        """Return contributions to the margin, float64 (n, width + 1): the encoded columns, then the bias."""
        found = np.zeros((len(encoded), self.width + 1))
        found[:, -1] = self.bias
        rows = max(1, _CELLS // max(1, len(self.part)))
        for start in range(0, len(encoded) if len(self.part) else 0, rows):
            block = encoded[start : start + rows]
            values = block[:, self.feature]
            holds = values < self.limit
            holds |= np.isnan(values) & self.or_missing
            # Eight conditions per part, packed as one row of bits: several times faster than along an axis.
            answers = np.packbits(holds.reshape(-1), bitorder="little").reshape(len(block), -1)
            sums = np.add.reduceat(self.table[answers[:, self.part] + self.start], self.edges, axis=1)
            found[start : start + rows, self.target] = sums * _UNIT
        return found


@dataclass(frozen=True)
class TreeMargins:
    """What a booster's trees say of one row, by the same parts as `TreeShap`, without the hundred microseconds that XGBoost takes to be called.

    values   of each part under every answer to its conditions: the leaf that they lead to, 0 if it is in another part (parts * 256,)
    start    where each part begins in `values` (parts,)
    """

    feature: npt.NDArray[np.int64]
    limit: npt.NDArray[np.float32]
    or_missing: npt.NDArray[np.bool_]
    values: npt.NDArray[np.float32]
    start: npt.NDArray[np.int64]

    @classmethod
    def of(cls, booster: xgb.Booster) -> Self | None:
        """Return the tables of a booster; None where it has none: no trees, deeper ones, categorical splits, or another base score than 0.5."""
        learner = json.loads(bytes(booster.save_raw(raw_format="json")))["learner"]
        written = learner["gradient_booster"].get("model", {}).get("trees", [])
        base = float(np.atleast_1d(json.loads(learner["learner_model_param"]["base_score"]))[0])
        if learner["gradient_booster"].get("name") != "gbtree" or not written or base != 0.5:
            return None
        trees = [_Tree.read(tree) for tree in written]
        if any(any(tree["split_type"]) for tree in written) or any(tree.depth() > DEEPEST for tree in trees):
            return None
        parts = [part for tree in trees for part in _parts(tree, 0, ())]
        nodes = [
            (part.tree, node) for part in parts for node in [*part.conditions, *[-1] * (_BITS - len(part.conditions))]
        ]
        return cls(
            feature=np.array([tree.feature[node] if node >= 0 else 0 for tree, node in nodes], dtype=np.int64),
            limit=np.array([tree.limit[node] if node >= 0 else -np.inf for tree, node in nodes], dtype=np.float32),
            or_missing=np.array([node >= 0 and bool(tree.missing_left[node]) for tree, node in nodes], dtype=bool),
            values=np.concatenate([_leaf_values(part) for part in parts]),
            start=np.arange(len(parts)) << _BITS,
        )

    def margin(self, encoded: npt.NDArray[np.float32]) -> FloatArray:
        """Return the margin (1,) of one encoded row (1, width), bit for bit XGBoost's: leaves are added in float32, tree by tree."""
        values = encoded[0, self.feature]
        holds = values < self.limit
        holds |= np.isnan(values) & self.or_missing
        leaves = self.values[np.packbits(holds, bitorder="little") + self.start]
        return np.add.accumulate(leaves)[-1:].astype(np.float64)


def _leaf_values(part: _Part) -> npt.NDArray[np.float32]:
    """Return the value of the leaf that each answer to the part's conditions leads to, 0 where that is none of its own (256,)."""
    bit = {node: number for number, node in enumerate(part.conditions)}
    patterns = np.arange(1 << _BITS)
    found = np.zeros(len(patterns), dtype=np.float32)
    for leaf, path in part.leaves():
        leads = np.ones(len(patterns), dtype=bool)
        for node, is_left in path:
            leads &= ((patterns >> bit[node]) & 1).astype(bool) == is_left
        found[leads] = part.tree.limit[leaf]
    return found


def _parts(tree: _Tree, node: int, path: tuple[tuple[int, bool], ...]) -> Iterator[_Part]:
    """Divide the tree into parts of at most eight conditions each, including the path's."""
    if tree.size(node) + len(path) > _BITS:
        yield from _parts(tree, tree.left[node], (*path, (node, True)))
        yield from _parts(tree, tree.right[node], (*path, (node, False)))
        return
    part = _Part(tree, node, path)
    part.conditions.extend(dict.fromkeys(above for _, way in part.leaves() for above, _ in way))
    yield part


def _tables(part: _Part) -> tuple[dict[int, FloatArray], float]:
    """Return each feature's contribution for every combination of answers (2^conditions,), and the part's expected value."""
    tree, bit = part.tree, {node: number for number, node in enumerate(part.conditions)}
    patterns = np.arange(1 << len(part.conditions))
    found: dict[int, FloatArray] = {}
    expected = 0.0
    for leaf, path in part.leaves():
        features = list(dict.fromkeys(tree.feature[node] for node, _ in path))
        shares = np.ones(len(features))
        reached = np.ones((len(patterns), len(features)), dtype=bool)
        below = [*(node for node, _ in path), leaf][1:]
        for (node, is_left), child in zip(path, below, strict=True):
            place = features.index(tree.feature[node])
            shares[place] *= tree.cover[child] / tree.cover[node]
            reached[:, place] &= ((patterns >> bit[node]) & 1).astype(bool) == is_left
        expected += tree.limit[leaf] * float(shares.prod())
        contributed = _shapley(tree.limit[leaf], shares)[reached @ (1 << np.arange(len(features)))]
        for place, feature in enumerate(features):
            found[feature] = found.get(feature, 0.0) + contributed[:, place]
    return found, expected


def _shapley(value: float, shares: FloatArray) -> FloatArray:
    """Return the Shapley values of a leaf's features (2^k, k) for each set of features whose conditions lead to it.

    If the features in S are known, a leaf contributes its value if all of them lead to it, times the share of rows that the others send there.
    """
    members, weights = _sets(len(shares))
    known = members[None, :, :]
    games = np.where(known, members[:, None, :], shares).prod(axis=2) * value
    return np.asarray((games[:, :, None] * weights).sum(axis=1))


@cache
def _sets(count: int) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """Return the members of every set of `count` features (2^count, count), and each set's weight in each feature's Shapley value."""
    members = (np.arange(1 << count)[:, None] >> np.arange(count)) & 1 == 1
    size = members.sum(axis=1)
    weights = np.zeros(members.shape)
    for number, inside in enumerate(members):
        for place in range(count):
            others = int(size[number]) - int(inside[place])
            weight = math.factorial(others) * math.factorial(count - others - 1) / math.factorial(count)
            weights[number, place] = weight if inside[place] else -weight
    return members, weights
