"""Chunks of consecutive small files, put together: to type a column of one row costs as much as to type a thousand, and files may be many."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from churn_model.arrays import IntArray
from churn_model.ingest.formats.base import Chunk, Fault, Part

_ROWS = 4096  # of chunks that are put together


@dataclass(frozen=True)
class Block:
    """Consecutive records of one file or more, in the order of the files and within each of its lines.

    `columns` are those of the chunks, `files` (n,) the number of each readable record's file, `lines` (n,) where it begins there, and `faults`
    the others, each with the number of its file. `records` counts both.
    """

    records: int
    columns: tuple[pa.Array, ...]
    files: IntArray
    lines: IntArray
    faults: tuple[tuple[int, Fault], ...]


def read_blocks(parts: Sequence[Part], positions: Callable[[Part], Sequence[int]]) -> Iterator[Block]:
    """Read files to their ends. `positions` gives the columns to read of each."""
    held: list[tuple[int, Chunk]] = []
    rows = 0
    for number, part in enumerate(parts):
        for chunk in part.chunks(positions(part)):
            if held and (rows + len(chunk.lines) > _ROWS or _types(chunk) != _types(held[0][1])):
                yield _join(held)
                held, rows = [], 0
            held.append((number, chunk))
            rows += len(chunk.lines)
            if rows >= _ROWS:  # not to be in memory beside the next
                yield _join(held)
                held, rows = [], 0
    if held:
        yield _join(held)


def _types(chunk: Chunk) -> list[pa.DataType]:
    return [column.type for column in chunk.columns]


def _join(held: Sequence[tuple[int, Chunk]]) -> Block:
    """Return chunks, each with the number of its file, as one block. Their columns have the same types."""
    chunks = [chunk for _, chunk in held]
    columns = zip(*(chunk.columns for chunk in chunks), strict=True)
    return Block(
        records=sum(chunk.records for chunk in chunks),
        columns=tuple(column[0] if len(column) == 1 else pa.concat_arrays(column) for column in columns),
        files=np.repeat([number for number, _ in held], [len(chunk.lines) for chunk in chunks]),
        lines=np.concatenate([chunk.lines for chunk in chunks]),
        faults=tuple((number, fault) for number, chunk in held for fault in chunk.faults),
    )
