"""Tables in parts: the same rows in the same order and blocks, whatever the parts."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_model.errors import ChurnError
from churn_model.tables import BLOCK_ROWS, TableReader, TableWriter, block_rows, open_table, write_table

CATEGORY = pa.dictionary(pa.int32(), pa.string())
PLAIN = pa.schema([("_hash", pa.uint64()), ("x", pa.float64()), ("c", pa.string())])
STORED = pa.schema([("_hash", pa.uint64()), ("x", pa.float64()), ("c", CATEGORY)])


def customers(rows: int, per_customer: int = 3) -> pa.Table:
    rng = np.random.default_rng(rows)
    hashes = np.sort(rng.integers(0, 2**63, -(-rows // per_customer), dtype=np.uint64)).repeat(per_customer)[:rows]
    texts = pa.array([f"level {n % 7 + (n > rows // 2)}" for n in range(rows)])
    return pa.table([pa.array(hashes), pa.array(rng.random(rows)), texts], schema=PLAIN)


def plain(blocks: list[pa.RecordBatch]) -> pa.Table:
    return pa.concat_tables([pa.Table.from_batches([block]).cast(PLAIN) for block in blocks])


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.mark.parametrize("part_bytes", [64_000_000, 400_000, 20_000, 1])
def test_rows_order_and_blocks_are_the_same_for_any_size_of_part(
    part_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("churn_model.tables.PART_BYTES", part_bytes)
    table = customers(60_000 if part_bytes > 1 else 30)
    with TableWriter(tmp_path / "t", STORED, key="_hash") as writer:
        for start in range(0, table.num_rows, 7_001):
            writer.write(table.slice(start, 7_001))
    reader = open_table(tmp_path / "t")
    assert reader.rows == writer.rows == table.num_rows
    assert reader.read().cast(PLAIN).equals(table)
    blocks = list(reader.blocks(rows=1_000))
    assert {block.num_rows for block in blocks[:-1]} <= {1_000}
    assert plain(blocks).equals(table)
    assert [block.schema.names for block in reader.blocks(["x"])] == [["x"]]
    for rows in (0, 1, 12_345, 10**6):
        assert reader.first(rows).cast(PLAIN).equals(table.slice(0, rows))
    assert (len(files(tmp_path / "t")) > 1) == (part_bytes < 64_000_000)


def test_parts_keep_the_limit_and_a_customer_is_never_in_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("churn_model.tables.PART_BYTES", 50_000)
    write_table(tmp_path / "t", customers(40_000), key="_hash")
    parts = files(tmp_path / "t")
    assert [part.name for part in parts] == [f"part-{n:05d}.parquet" for n in range(len(parts))]
    assert len(parts) > 10
    assert max(part.stat().st_size for part in parts) <= 50_000
    hashes = [pq.read_table(part)["_hash"].to_pylist() for part in parts]
    assert all(before[-1] < after[0] for before, after in pairwise(hashes))


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    per_customer=st.integers(1, 20),
    limit=st.integers(1, 900),
)
def test_any_batches_and_any_limit_give_the_rows_back(
    sizes: list[int], per_customer: int, limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("table")
    table = customers(max(1, sum(sizes)), per_customer).slice(0, sum(sizes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("churn_model.tables.PART_BYTES", limit)
        with TableWriter(folder, PLAIN, key="_hash") as writer:
            start = 0
            for size in sizes:
                writer.write(table.slice(start, size))
                start += size
    reader = open_table(folder)
    assert reader.read().equals(table)
    hashes = [set(pq.read_table(part)["_hash"].to_pylist()) for part in files(folder)]
    assert sum(map(len, hashes)) == len(set().union(*hashes))


def test_row_groups_are_full_whatever_the_sizes_of_the_batches(tmp_path: Path) -> None:
    rows = 2 * BLOCK_ROWS + 5
    table = pa.table({"n": np.arange(rows)})
    with TableWriter(tmp_path / "t", table.schema) as writer:
        for start in range(0, rows, 100_000):
            writer.write(table.slice(start, 100_000))
    written = pq.read_metadata(tmp_path / "t" / "part-00000.parquet")
    assert [written.row_group(n).num_rows for n in range(written.num_row_groups)] == [BLOCK_ROWS, BLOCK_ROWS, 5]


@pytest.mark.parametrize(
    ("columns", "rows"), [(1, BLOCK_ROWS), (64, BLOCK_ROWS), (128, BLOCK_ROWS // 2), (10**5, 1024)]
)
def test_wide_tables_have_shorter_blocks(columns: int, rows: int) -> None:
    assert block_rows(pa.schema([(f"c{n}", pa.float64()) for n in range(columns)])) == rows


def test_a_table_without_rows_has_one_part_with_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "t", PLAIN.empty_table())
    assert open_table(tmp_path / "t").schema.equals(PLAIN)
    assert open_table(tmp_path / "t").read().num_rows == 0
    assert list(open_table(tmp_path / "t").blocks()) == []


def test_a_part_may_be_a_stream(tmp_path: Path) -> None:
    table = customers(1_000)
    write_table(tmp_path / "t", table)
    reader = TableReader([lambda: (tmp_path / "t" / "part-00000.parquet").open("rb")])
    assert reader.read().equals(table)
    assert plain(list(reader.blocks(rows=300))).equals(table)


def test_a_folder_without_parts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChurnError, match="a table's parts in"):
        open_table(tmp_path)
