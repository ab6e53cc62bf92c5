"""What trees may be forbidden: to turn a column's direction round, or to let many columns act together.

Belongs here: the encoded columns of a table as XGBoost's constraints name them. Does not belong here: which signs are clear
(`training/constraint_signs.py`), and whether a search tries constraints (`training/search_space.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

MONOTONE = "monotone"
"""A hyperparameter: 1 if the risk may only rise, or only fall, with each column whose sign is clear."""
TOGETHER = "together"
"""A hyperparameter: how many columns may act together on one path of a tree, 1 or 2. Without it: all of them."""
CONSTRAINED = frozenset({MONOTONE, TOGETHER})


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """A table's encoded columns.

    signs    1 if the risk rises with the column, -1 if it falls, 0 if neither is clear; (width,)
    columns  the places of each feature's encoded columns
    """

    signs: tuple[int, ...]
    columns: tuple[tuple[int, ...], ...]

    def to_parameters(self, values: Mapping[str, float]) -> dict[str, Any]:
        """Return XGBoost's parameters for the constraints among the hyperparameters `values`; nothing if they ask for none."""
        found: dict[str, Any] = {}
        if values.get(MONOTONE):
            found["monotone_constraints"] = f"({','.join(map(str, self.signs))})"
        if together := int(values.get(TOGETHER, 0)):
            groups = combinations(self.columns, min(together, len(self.columns)))
            found["interaction_constraints"] = json.dumps([sorted(sum(group, ())) for group in groups])
        return found
