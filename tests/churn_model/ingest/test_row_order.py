"""Rows into hash order: the same whichever way they take."""

import datetime
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_model.ingest.row_order import LIMIT_BYTES, HashOrder, OccurrenceCounter, Repeat, row_hashes, value_ids

SCHEMA = pa.schema(
    [("_id", pa.string()), ("_as_of", pa.date32()), ("_hash", pa.uint64()), ("x", pa.float64()), ("y", pa.string())]
)
Row = tuple[str, datetime.date, int, float | None, str | None]
DAY = datetime.date(2024, 1, 1)


def batch(rows: list[Row]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [()] * len(SCHEMA)
    return pa.RecordBatch.from_arrays(
        [pa.array(list(values), kind) for values, kind in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA
    )


def ordered(
    folder: Path, rows: list[Row], *, limit_bytes: int = LIMIT_BYTES, pieces: int = 3
) -> tuple[list[Row], list[Repeat]]:
    """Rows added in pieces, each a file; and what comes out."""
    kept: list[Row] = []
    repeats: list[Repeat] = []
    with HashOrder(folder / "runs", SCHEMA, limit_bytes=limit_bytes) as order:
        for file, part in enumerate(np.array_split(np.arange(len(rows)), pieces)):
            order.add(batch([rows[n] for n in part]), np.full(len(part), file), part + 2)
        for found in order:
            kept += [tuple(row.values()) for row in found.rows.to_pylist()]
            repeats += found.repeats
    assert not (folder / "runs").exists()
    return kept, repeats


rows_of_any_kind = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "é"]),
        st.sampled_from([DAY, datetime.date(2024, 2, 1)]),
        st.sampled_from([0, 1, 2**56, 2**63, 2**64 - 1]),  # any id with any hash: collisions too
        st.sampled_from([None, 1.0, 2.0]),
        st.sampled_from([None, "u"]),
    ),
    max_size=30,
)


@settings(max_examples=20, deadline=None)
@given(rows_of_any_kind)
def test_rows_come_by_hash_id_and_date_and_the_first_of_each_key_stays(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row]
) -> None:
    def key(row: Row) -> tuple[int, bytes, datetime.date]:
        return row[2], row[0].encode(), row[1]

    firsts: dict[tuple[int, bytes, datetime.date], Row] = {}
    for row in rows:
        firsts.setdefault(key(row), row)
    folder = tmp_path_factory.mktemp("order")
    in_memory, repeats = ordered(folder, rows)
    assert in_memory == [firsts[k] for k in sorted(firsts)]
    assert len(in_memory) + len(repeats) == len(rows)
    for repeat in repeats:
        assert repeat.first_line < repeat.line
        assert key(rows[repeat.line - 2]) == key(rows[repeat.first_line - 2])
        assert repeat.same == (rows[repeat.line - 2] == rows[repeat.first_line - 2])
    assert ordered(folder, rows, limit_bytes=0) == (in_memory, repeats)


def test_many_rows_take_both_ways_to_the_same_order(tmp_path: Path) -> None:
    ids = pa.array([f"c{n % 150_000}" for n in range(200_000)])
    rows = pa.RecordBatch.from_arrays(
        [ids, pa.array(row_hashes(ids, 1)), pa.array(np.arange(200_000.0))], ["_id", "_hash", "x"]
    )

    def taken(limit_bytes: int) -> tuple[pa.Table, list[Repeat]]:
        with HashOrder(tmp_path / "runs", rows.schema, limit_bytes=limit_bytes) as order:
            for start in range(0, 200_000, 9_000):
                part = rows.slice(start, 9_000)
                order.add(part, np.zeros(part.num_rows, int), np.arange(start, start + part.num_rows))
            assert (tmp_path / "runs").exists() == (limit_bytes < LIMIT_BYTES)
            found = list(order)
        return pa.Table.from_batches([piece.rows for piece in found]).combine_chunks(), [
            repeat for piece in found for repeat in piece.repeats
        ]

    in_memory, repeats = taken(LIMIT_BYTES)
    hashes = in_memory.column("_hash").to_numpy()
    assert (hashes[1:] > hashes[:-1]).all()
    assert in_memory.num_rows == 150_000
    assert [repeat.same for repeat in repeats] == [False] * 50_000
    assert taken(1 << 20) == (in_memory, repeats)


def test_a_wide_table_takes_fewer_buckets_to_the_same_order(tmp_path: Path) -> None:
    ids = pa.array([f"c{n}" for n in range(300)])
    wide = {f"x{n}": pa.array(np.arange(300.0) + n) for n in range(600)}
    rows = pa.RecordBatch.from_pydict({"_id": ids, "_hash": pa.array(row_hashes(ids, 1)), **wide})

    def taken(limit_bytes: int) -> pa.Table:
        with HashOrder(tmp_path / "runs", rows.schema, limit_bytes=limit_bytes) as order:
            for start in (0, 150):
                order.add(rows.slice(start, 150), np.full(150, start), np.arange(150))
            return pa.Table.from_batches([piece.rows for piece in order]).combine_chunks()

    assert taken(0) == taken(LIMIT_BYTES) == pa.Table.from_batches([rows]).sort_by("_hash")


def test_runs_are_removed_after_an_error_too(tmp_path: Path) -> None:
    def fail() -> None:
        with HashOrder(tmp_path / "runs", SCHEMA, limit_bytes=0) as order:
            order.add(batch([("a", DAY, 1, None, None)]), np.array([0]), np.array([2]))
            assert list((tmp_path / "runs").iterdir())
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert not list(tmp_path.iterdir())


def test_the_row_hash_is_the_one_written_down() -> None:
    ids = ["", "7590-VHVEG", "é", "007"]
    expected = [int.from_bytes(blake2b(f"1729:{value}".encode(), digest_size=8).digest(), "big") for value in ids]
    assert row_hashes(pa.array(ids), 1729).tolist() == expected
    assert row_hashes(pa.array([], pa.string()), 1729).tolist() == []


values = st.tuples(
    st.sampled_from([None, 0.0, -0.0, 1.0, 1e300]),
    st.sampled_from([None, "", "\x1f", "1:", "1", "é"]),
    st.sampled_from([None, "\x1f1:1", "1"]),
)


@given(st.lists(values, min_size=1, max_size=20))
def test_rows_have_one_value_id_exactly_where_all_their_values_are_equal(
    rows: list[tuple[float | None, str | None, str | None]],
) -> None:
    columns = [
        pa.array(list(column), kind)
        for column, kind in zip(zip(*rows, strict=True), (pa.float64(), pa.string(), pa.string()), strict=True)
    ]
    found = value_ids(columns, OccurrenceCounter()).to_pylist()
    assert len({value[:16] for value in found}) == len(set(rows))
    assert len(set(found)) == len(rows)


def test_value_ids_never_change() -> None:
    columns = [pa.array([1.5, None]), pa.array(["DSL", None])]
    assert value_ids(columns, OccurrenceCounter()).to_pylist() == ["0df90374cf7967dd", "f638d19843e7c9f9"]
