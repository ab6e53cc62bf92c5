"""Blocks of encoded columns, and how fast they are written: the work per row is one assignment or one lookup."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from churn_model.arrays import FloatArray

Encoded = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ComputedPart:
    """Columns that `write` computes from the values of each row."""

    values: FloatArray
    write: Callable[[FloatArray, Encoded], None]
    width: int

    def fill(self, out: Encoded, start: int, stop: int) -> None:
        """Write the columns of the rows from `start` to `stop` to `out` (stop - start, width)."""
        self.write(self.values[start:stop], out)


@dataclass(frozen=True)
class LookupPart:
    """Columns that are the same for equal codes: for each row, the row of `table` that holds them."""

    codes: npt.NDArray[np.int32]
    table: Encoded

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.table.shape[1])

    def fill(self, out: Encoded, start: int, stop: int) -> None:
        """Write the columns of the rows from `start` to `stop` to `out` (stop - start, width)."""
        out[:] = self.table.take(self.codes[start:stop], axis=0)

    def join(self, after: "LookupPart") -> "LookupPart":
        """Return this part and the one after it as one, with a row of the table for each combination."""
        here, there = len(self.table), len(after.table)
        table = np.hstack([self.table.repeat(there, axis=0), np.tile(after.table, (here, 1))])
        return LookupPart(self.codes * np.int32(there) + after.codes, table)


EncodedPart: TypeAlias = ComputedPart | LookupPart
