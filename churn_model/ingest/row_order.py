"""Sort rows by hash in bounded memory, and find rows that repeat an earlier one's key.

Rows are ordered by (hash, id, date); of several rows with one key the first is kept. Up to a limit they stay in memory. Above it, sorted runs are
written to disk, each cut into up to 256 buckets by the hash's first byte; a bucket is then read from all runs and sorted. Both ways end in the
same function over the same rows, so that they yield the same.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import BoolArray, HashArray, IntArray

LIMIT_BYTES = 128 << 20
BUCKET_COLUMNS = 1 << 16
_PIECE_ROWS = 65_536


def row_hashes(ids: pa.Array, seed: int) -> HashArray:
    """Return the first eight bytes, big-endian, of blake2b(`seed:id`) as a number in [0, 2**64) (n,)."""
    salt = f"{seed}:".encode()
    digests = b"".join(blake2b(salt + value, digest_size=8).digest() for value in ids.cast(pa.binary()).to_pylist())
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def value_hashes(columns: Sequence[pa.Array]) -> HashArray:
    """Return blake2b-64 over the values of each row (n,), canonical columns in the order given: the same for equal rows.

    There is at least one column. A number counts by its bits, anything else by the length and bytes of its text: different rows are never written alike.
    """
    pieces = []
    for column in columns:
        if pa.types.is_floating(column.type):
            bits = (column.to_numpy(zero_copy_only=False) + 0.0).view(np.int64)
            piece = pc.if_else(column.is_null(), "", pa.array(bits).cast(pa.string()))
        else:
            text = column.cast(pa.string())
            piece = pc.binary_join_element_wise(pc.binary_length(text).cast(pa.string()), text, ":")
        pieces.append(piece)
    joined = pc.binary_join_element_wise(*pieces, "\x1f", null_handling="replace", null_replacement="")
    digests = b"".join(blake2b(value, digest_size=8).digest() for value in joined.cast(pa.binary()).to_pylist())
    return np.frombuffer(digests, ">u8").astype(np.uint64)


class OccurrenceCounter:
    """Counts how often each 64-bit value came before, over arrays that come one after another; 8 bytes per value."""

    def __init__(self) -> None:
        self._runs: list[HashArray] = []  # each sorted; a run is merged into the one before it once it is as long

    def count_before(self, values: HashArray) -> IntArray:
        """Return how often each of the values (n,) came before, earlier in the array included."""
        order = np.argsort(values, kind="stable")
        ranked = values[order]
        starts = np.flatnonzero(~_tied(ranked))
        before = np.empty(len(values), dtype=np.int64)
        before[order] = np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))
        for run in self._runs:
            before += np.searchsorted(run, values, side="right") - np.searchsorted(run, values, side="left")
        self._runs.append(ranked)
        while len(self._runs) > 1 and len(self._runs[-1]) >= len(self._runs[-2]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]), kind="stable")
        return before


def value_ids(columns: Sequence[pa.Array], counter: OccurrenceCounter) -> pa.Array:
    """Return ids (n,) of rows without one: 16 hex digits of their `value_hashes`, and `-2`, `-3` ... for those that came before.

    So equal rows are customers of their own.
    """
    hashes = value_hashes(columns)
    before = counter.count_before(hashes)
    ids = [f"{value:016x}" for value in hashes.tolist()]
    for row in np.flatnonzero(before):
        ids[row] += f"-{before[row] + 1}"
    return pa.array(ids, pa.string())


class Repeat(NamedTuple):
    """A row that is dropped because an earlier one has its key: where both landed, and whether all else is equal."""

    file: int
    line: int
    first_file: int
    first_line: int
    same: bool


@dataclass(frozen=True)
class Ordered:
    """The next rows in order, and the repeats found on the way."""

    rows: pa.RecordBatch
    repeats: list[Repeat]


class HashOrder:
    """Takes batches as they landed; iterated once, it yields their rows by (`_hash`, `_id`, `_as_of`), each key once: the one added first.

    With `several`, different rows may have one key, in the order in which they were added; only equal rows are repeats.

    Batches have `_hash` uint64, `_id` string, perhaps `_as_of` date32, and any other columns. Runs are kept in `folder`, which is made when
    the first is written and removed on leaving the context, also after an error. `limit_bytes`: rows held; the peak is about twice that.
    """

    def __init__(
        self, folder: Path, schema: pa.Schema, *, several: bool = False, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        self._folder = folder
        self._several = several
        self._schema = schema.append(pa.field("_file", pa.int32())).append(pa.field("_line", pa.int64()))
        self._limit_bytes = limit_bytes
        # Each column of each bucket costs some microseconds, so wide tables have fewer and larger ones. The order is the same.
        self._buckets = min(256, max(16, BUCKET_COLUMNS // len(schema)))
        self._held: list[list[pa.Array]] = [[] for _ in self._schema]
        self._held_bytes = 0
        self._runs: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, rows: pa.RecordBatch, files: IntArray, lines: IntArray) -> None:
        """Add rows with the file (n,) of each and the line (n,) where it begins. Files and their lines must be added in ascending order."""
        if not rows.num_rows:
            return
        places = (pa.array(files, pa.int32()), pa.array(lines, pa.int64()))
        for held, column in zip(self._held, [*rows.columns, *places], strict=True):
            held.append(column)
        self._held_bytes += rows.nbytes + 12 * rows.num_rows
        if self._held_bytes > self._limit_bytes:
            self._write_run()

    def __iter__(self) -> Iterator[Ordered]:
        if not self._runs:
            yield from _order_batch(self._take_held(), self._several)
            return
        if self._held_bytes:
            self._write_run()
        with ExitStack() as stack:
            runs = [pa.ipc.open_file(stack.enter_context(pa.OSFile(str(path)))) for path in self._runs]
            for bucket in range(self._buckets):
                pieces = [run.get_batch(bucket) for run in runs]
                columns = [[piece.column(n) for piece in pieces] for n in range(len(self._schema))]
                yield from _order_batch(_join_columns(self._schema, columns), self._several)

    def _take_held(self) -> pa.RecordBatch:
        """Return all rows in memory as one batch and forget them, column by column, so that little is in memory twice."""
        batch = _join_columns(self._schema, self._held)
        self._held = [[] for _ in self._schema]
        self._held_bytes = 0
        return batch

    def _write_run(self) -> None:
        """Write the rows in memory, in hash order, to a file of one batch per bucket."""
        rows = self._take_held()
        hashes = rows.column("_hash").to_numpy()
        order = np.argsort(hashes, kind="stable")
        buckets = (hashes[order] >> np.uint64(56)).astype(np.int64) * self._buckets // 256
        edges = np.searchsorted(buckets, np.arange(self._buckets + 1))
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"run-{len(self._runs):05d}.arrow"
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, self._schema, options=options) as writer:
            for first, behind in pairwise(edges):
                writer.write_batch(rows.take(pa.array(order[first:behind])))
        self._runs.append(path)


def _join_columns(schema: pa.Schema, columns: list[list[pa.Array]]) -> pa.RecordBatch:
    joined = []
    for n, kind in enumerate(schema.types):
        joined.append(pa.concat_arrays(columns[n]) if columns[n] else pa.array([], kind))
        columns[n] = []
    return pa.RecordBatch.from_arrays(joined, schema=schema)


def _order_batch(rows: pa.RecordBatch, several: bool) -> Iterator[Ordered]:
    """Yield the rows of one batch in order and without repeats, in pieces."""
    if not rows.num_rows:
        return
    order = _sort(rows)
    repeated = _repeated(rows, order)
    first = np.maximum.accumulate(np.where(repeated, 0, np.arange(len(order))))
    if several:
        first = _first_equal(rows, order, repeated, first)
        repeated = first < np.arange(len(order))
    for start in range(0, len(order), _PIECE_ROWS):
        piece = slice(start, start + _PIECE_ROWS)
        out = repeated[piece]
        kept, taken = order[piece][~out], order[piece][out]
        repeats = _repeats(rows, taken, order[first[piece][out]])
        yield Ordered(rows.take(pa.array(kept)).select(list(range(rows.num_columns - 2))), repeats)


def _days(rows: pa.RecordBatch) -> IntArray | None:
    if "_as_of" not in rows.schema.names:
        return None
    days: IntArray = rows.column("_as_of").cast(pa.int32()).to_numpy().astype(np.int64)
    return days


def _sort(rows: pa.RecordBatch) -> IntArray:
    """Return positions by (hash, id, date, arrival). Ids are compared only if hashes collide, which is rare."""
    hashes, days = rows.column("_hash").to_numpy(), _days(rows)
    order: IntArray = np.argsort(hashes, kind="stable") if days is None else np.lexsort((days, hashes))
    tied = _tied(hashes[order])
    if not tied.any():
        return order
    ids = rows.column("_id")
    behind = np.flatnonzero(tied)
    differs = pc.not_equal(ids.take(pa.array(order[behind])), ids.take(pa.array(order[behind - 1]))).to_numpy(
        zero_copy_only=False
    )
    for value in np.unique(hashes[order[behind[differs]]]):
        at = np.flatnonzero(hashes[order] == value)
        group = order[at]
        key = _sort_key(ids, days)
        order[at] = sorted(group.tolist(), key=key)
    return order


def _sort_key(ids: pa.Array, days: IntArray | None) -> Callable[[int], tuple[bytes, int, int]]:
    return lambda n: (ids[n].as_py().encode(), 0 if days is None else int(days[n]), n)


def _tied(values: np.ndarray[Any, Any]) -> BoolArray:
    """Return whether each value equals the one before it (n,)."""
    tied = np.zeros(len(values), dtype=bool)
    tied[1:] = values[1:] == values[:-1]
    return tied


def _repeated(rows: pa.RecordBatch, order: IntArray) -> BoolArray:
    """Return whether each row, in order, has the key of the one before it (n,)."""
    days = _days(rows)
    repeated = _tied(rows.column("_hash").to_numpy()[order])
    if days is not None:
        repeated &= _tied(days[order])
    behind = np.flatnonzero(repeated)
    ids = rows.column("_id")
    repeated[behind] = pc.equal(ids.take(pa.array(order[behind])), ids.take(pa.array(order[behind - 1]))).to_numpy(
        zero_copy_only=False
    )
    return repeated


def _first_equal(rows: pa.RecordBatch, order: IntArray, repeated: BoolArray, first: IntArray) -> IntArray:
    """Return, for each row in order, the place of the first row that equals it in everything; its own place if none before it does.

    `repeated`, `first`: the rows whose key an earlier one has, and the place of the first row with each row's key.
    """
    equal = np.arange(len(order))
    with_others = np.flatnonzero(repeated | np.append(repeated[1:], False))
    if not len(with_others):
        return equal
    sample = rows.take(pa.array(order[with_others]))
    values = value_hashes(sample.columns[:-2])
    ranked = np.lexsort((values, first[with_others]))  # stable: the first row of equal ones comes first
    same = _tied(values[ranked]) & _tied(first[with_others][ranked])
    places = with_others[ranked]
    starts = np.maximum.accumulate(np.where(same, 0, np.arange(len(places))))
    equal[places] = places[starts]
    return equal


def _repeats(rows: pa.RecordBatch, taken: IntArray, first: IntArray) -> list[Repeat]:
    if not len(taken):
        return []
    left, right = rows.take(pa.array(taken)), rows.take(pa.array(first))
    same = np.ones(len(taken), dtype=bool)
    for n in range(rows.num_columns - 2):
        one, other = left.column(n), right.column(n)
        both_missing = pc.and_(one.is_null(), other.is_null())
        same &= pc.or_(pc.fill_null(pc.equal(one, other), False), both_missing).to_numpy(zero_copy_only=False)
    places = [
        side.column(n).to_pylist() for side in (left, right) for n in (rows.num_columns - 2, rows.num_columns - 1)
    ]
    return [Repeat(*values) for values in zip(*places, same.tolist(), strict=True)]
