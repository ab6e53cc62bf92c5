"""Batches of the shop as text, to be written in any way, and what `churn` made of them."""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from resources.catalog.pointers import read_batch, read_current
from resources.catalog.published_tables import open_published_table
from tests.harness.home import Ended, Home

SCORED = 120
"""Customers of the batch that all variants are made of."""


@dataclass(frozen=True)
class Batch:
    """Customers as text, to be written in any way."""

    header: list[str]
    rows: list[list[str]]

    @property
    def ids(self) -> list[str]:
        return [row[0] for row in self.rows]

    def part(self, start: int, stop: int) -> "Batch":
        return Batch(list(self.header), [list(row) for row in self.rows[start:stop]])

    def with_value(self, row: int, column: str, value: str) -> "Batch":
        self.rows[row][self.header.index(column)] = value
        return self

    def text(self, **dialect: Any) -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, **{"lineterminator": "\n", **dialect})
        writer.writerow(self.header)
        writer.writerows(self.rows)
        return out.getvalue().encode()

    def parquet(self) -> bytes:
        out = io.BytesIO()
        pq.write_table(pa.table({name: [row[n] for row in self.rows] for n, name in enumerate(self.header)}), out)
        return out.getvalue()


def as_text(table: pa.Table) -> Batch:
    rows = [["" if value is None else str(value) for value in row.values()] for row in table.to_pylist()]
    return Batch(list(table.column_names), rows)


def land(home: Home, name: str, files: Mapping[str, bytes]) -> None:
    """As `churn land` does, without its two seconds."""
    for file, content in files.items():
        home.lake.put(f"landing/shop/score/{name}/{file}", content)


def clear(home: Home, name: str) -> None:
    for entry in list(home.lake.entries(f"landing/shop/score/{name}/")):
        Path(home.lake.uri(entry.key)).unlink()


def published(home: Home, asset: str, folder: str) -> pa.Table:
    current = read_current(home.lake, "shop", asset)
    assert current is not None
    return open_published_table(home.lake, current.prefix + folder).read()


def predictions(home: Home, name: str) -> dict[str, float]:
    table = published(home, f"batch_predictions/{name}", "predictions/")
    return dict(zip(table["id"].to_pylist(), table["churn_probability"].to_pylist(), strict=True))


def quarantine(home: Home, name: str) -> list[tuple[str, int, str | None, str]]:
    record = read_batch(home.lake, "shop", name)
    assert record is not None
    table = open_published_table(home.lake, record.rows.prefix + "quarantine/").read()
    return [tuple(row.values()) for row in table.to_pylist()]


def reads_well(ended: Ended, code: int, *expected: str) -> None:
    """Whether a command ended with this code and these words, and without a stack trace, markup's errors or anybody's id."""
    assert ended.code == code
    for words in expected:
        assert words in ended.said
    for unwanted in ("Traceback", "MarkupError", 'File "', "Unexpected error"):
        assert unwanted not in ended.said
    if code == 1:
        assert not re.search(r"C\d{9}", ended.said)
