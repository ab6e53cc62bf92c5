"""The table of records that did not become rows, each with its file, line, column and reason."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from churn_model.column_types.landed import Reason
from churn_model.ingest.row_order import Repeat
from churn_model.tables import TableWriter

REPEATS = ("the same record again", "another record with the same id and date")
"""The reasons that say of a record only that another has its key."""
_QUARANTINE = pa.schema([("file", pa.string()), ("line", pa.int64()), ("column", pa.string()), ("reason", pa.string())])


class Quarantine:
    """Writes records that did not become rows, and counts their reasons without the values in them.

    Of each reason one example is kept: a count for each value found would have no end.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = TableWriter(folder, _QUARANTINE)
        self._pending: list[tuple[str, int, str | None, str]] = []
        self.count = 0
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.__exit__(kind, error, trace)

    def add(self, file: str, line: int, column: str | None, reason: Reason) -> None:
        """Add a record that holds a wrong value, or none that can be read."""
        short = (f"{column}: " if column else "") + f"expected {reason.expected}"
        if reason.found:
            self.examples.setdefault(short, reason.found + (f"; {reason.todo}" if reason.todo else ""))
        self._add(file, line, column, str(reason), short)

    def add_repeats(self, repeats: Sequence[Repeat], keys: Sequence[str]) -> None:
        """Add records whose key an earlier one has."""
        for file, line, first_file, first_line, same in repeats:
            what = REPEATS[0] if same else REPEATS[1]
            self._add(
                keys[file],
                line,
                None,
                f"{what}; kept: {keys[first_file]}:{first_line}, first by file name and line",
                what,
            )

    def commonest(self, most: int) -> dict[str, int]:
        """Return at most `most` reasons with how often each held, the commonest first."""
        return dict(sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))[:most])

    def _add(self, file: str, line: int, column: str | None, reason: str, short: str) -> None:
        self._pending.append((file, line, column, reason))
        self.count += 1
        self.reasons[short] += 1
        if len(self._pending) == 65_536:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            columns = zip(*self._pending, strict=True)
            arrays = [pa.array(values, kind) for values, kind in zip(columns, _QUARANTINE.types, strict=True)]
            self._writer.write(pa.Table.from_arrays(arrays, schema=_QUARANTINE))
            self._pending.clear()
