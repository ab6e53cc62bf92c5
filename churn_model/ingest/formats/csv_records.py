r"""Find where each physical record of a CSV file begins and ends, without the parser that reads its values.

Belongs here: record boundaries and their line numbers, records that no parser should see, and the one call into pyarrow. Does not belong
here: the header (`csv_header`), encodings (`encodings`), what a value means (`values`), which columns are wanted (`columns`).

A value that begins with a quote and is not closed as the RFC says spoils its own line and nothing behind it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from churn_model.arrays import BoolArray, ByteArray, IntArray
from churn_model.column_types.landed import FIELD_LIMIT
from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import BLOCK_BYTES, BOM, RECORD_LIMIT, Fault
from churn_model.ingest.formats.csv_grammar import LINE_END, QUOTED, Grammar
from churn_model.ingest.formats.csv_header import Header

BROKEN_QUOTE = "a quoted value that is closed, with the quotes inside it doubled"


@dataclass(frozen=True)
class Block:
    """Consecutive records. `text` holds the well-formed ones alone, `lines` (n,) where each of them begins; `records` counts them all."""

    records: int
    text: bytes
    lines: IntArray
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class _Found:
    """Records by the position of their last byte, how many values each has, and which ones are broken. `breaks`: every line's last byte."""

    ends: IntArray
    values: IntArray
    broken: np.ndarray[Any, np.dtype[np.bool_]]
    breaks: IntArray


def scan(stream: BinaryIO, header: Header, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Yield the records after the header in blocks of bounded size. `stream` is positioned just after the header.

    Blank lines are no records. A record that is ragged or whose quotes are broken is a fault; all others are in `text`.
    Raise InputError for a record longer than `RECORD_LIMIT`.
    """
    grammar, width, line = Grammar(header.delimiter), len(header.names), header.lines + 1
    rest = b""
    while True:
        chunk = stream.read(block_bytes)
        data, final = rest + chunk, not chunk
        if not data:
            return
        if final and not data.endswith((b"\r", b"\n")):
            data += b"\n"
        found = _find_records(data, grammar, final=final)
        consumed = int(found.ends[-1]) + 1 if found.ends.size else 0
        if consumed:
            yield _make_block(data, found, width, line)
            line += int(np.searchsorted(found.breaks, consumed))
        if final:
            return
        rest = data[consumed:]
        if len(rest) > RECORD_LIMIT:
            raise InputError(
                problem(
                    expected=f"records of at most {RECORD_LIMIT >> 20} MiB",
                    found=f"a longer one that begins on line {line}",
                    todo="land a file with one record a line",
                )
            )


def _find_records(data: bytes, grammar: Grammar, *, final: bool) -> _Found:
    """Return all whole records in `data`, which begins with one: by parity of quotes if all quotes are proper, else one by one."""
    buffer: ByteArray = np.frombuffer(data, np.uint8)
    breaks = _find_line_breaks(buffer, data, final=final)
    delimiters = buffer == grammar.delimiter[0]
    ends = breaks
    if b'"' in data:
        is_quote = buffer == ord('"')
        quoted = np.logical_xor.accumulate(is_quote)
        ends = breaks[~quoted[breaks]]
        last = int(ends[-1]) if ends.size else -1
        open_bytes = len(data) - last - 1
        longest = int(np.diff(ends, prepend=-1).max()) if ends.size else 0
        undecided = open_bytes > FIELD_LIMIT or (final and open_bytes > 0)
        if (
            undecided
            or longest > FIELD_LIMIT
            or not _are_quotes_proper(buffer, np.flatnonzero(is_quote[: last + 1]), grammar)
        ):
            return _find_one_by_one(data, breaks, grammar, final=final)
        delimiters &= ~quoted
    values = np.ones(len(ends), np.int64)
    if ends.size:
        last = int(ends[-1])
        values += np.add.reduceat(delimiters[: last + 1].view(np.uint8), _find_starts(ends), dtype=np.int64)
    return _Found(ends, values, np.zeros(len(ends), dtype=bool), breaks)


def _find_starts(ends: IntArray) -> IntArray:
    """Return where the records begin that end at `ends`; the first begins at 0."""
    return np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))


def _find_line_breaks(buffer: ByteArray, data: bytes, *, final: bool) -> IntArray:
    """Return the last byte of each line. A \r at the very end may be half of \r\n, so it waits for what follows."""
    if b"\r" not in data:
        return np.flatnonzero(buffer == ord("\n"))
    returns, feeds = buffer == ord("\r"), buffer == ord("\n")
    returns[:-1] &= ~feeds[1:]
    if not final:
        returns[-1] = False
    return np.flatnonzero(returns | feeds)


def _are_quotes_proper(buffer: ByteArray, quotes: IntArray, grammar: Grammar) -> bool:
    """Return whether every quote opens a value, closes one, or is doubled inside one: then parity tells what is quoted."""
    opening, closing = quotes[0::2], quotes[1::2]
    before, behind = buffer[opening[opening > 0] - 1], buffer[closing + 1]
    return bool(grammar.beside_quotes[before].all() and grammar.beside_quotes[behind].all())


def _find_one_by_one(data: bytes, breaks: IntArray, grammar: Grammar, *, final: bool) -> _Found:
    """Return the records of a block with stray quotes: exact, and slower. Stop before a record whose end is not in `data`."""
    ends, values, broken = [], [], []
    at = 0
    while at < len(data):
        stop, spoiled = _find_record_end(data, at, grammar, final=final)
        ended = LINE_END.search(data, stop) if stop >= 0 else None
        if ended is None or (not final and ended[0] == b"\r" and ended.end() == len(data)):
            break
        ends.append(ended.end() - 1)
        values.append(0 if spoiled else grammar.count(data, at, ended.start()))
        broken.append(spoiled)
        at = ended.end()
    return _Found(np.array(ends, np.int64), np.array(values, np.int64), np.array(broken, bool), breaks)


def _find_record_end(data: bytes, at: int, grammar: Grammar, *, final: bool) -> tuple[int, bool]:
    """Return where to look for the line that ends the record at `at` (-1: not known yet), and whether the record is broken."""
    matched = grammar.record.match(data, at)
    stop = matched.end() if matched else at
    too_long = _find_long_quoted(data, at, stop, grammar) if stop - at > FIELD_LIMIT else -1
    if too_long >= 0:
        return too_long, True
    if stop == len(data):
        return -1, False
    if data[stop : stop + 1] in (b"\r", b"\n"):
        return stop, False
    start = stop + (data[stop : stop + 1] == grammar.delimiter)
    closed = QUOTED.match(data, start)
    if (closed is None or closed.end() == len(data)) and not final and len(data) - start <= FIELD_LIMIT:
        return -1, False
    return start, True


def _find_long_quoted(data: bytes, at: int, stop: int, grammar: Grammar) -> int:
    """Return where a quoted value above `FIELD_LIMIT` begins in the record, or -1. It counts as never closed, wherever blocks happen to end."""
    while at < stop and (found := grammar.value.match(data, at)):
        if len(found[0]) > FIELD_LIMIT and found[0].startswith(b'"'):
            return at
        at = found.end() + 1
    return -1


def _make_block(data: bytes, found: _Found, width: int, line: int) -> Block:
    """Return the records of `found`, sorted into well-formed ones, faults and blank lines; `line`: where the first begins."""
    ends = found.ends
    starts = _find_starts(ends)
    buffer: ByteArray = np.frombuffer(data, np.uint8)
    two_byte = (buffer[ends] == ord("\n")) & (ends > starts) & (buffer[ends - 1] == ord("\r"))
    blank = (ends - two_byte == starts) & ~found.broken
    lines = line + np.searchsorted(found.breaks, starts)
    zeros = _find_zero_bytes(buffer, data, ends) & ~found.broken
    ragged = (found.values != width) & ~blank & ~found.broken & ~zeros
    for row in np.flatnonzero(ragged & (found.values == 1)):
        blank[row] = not data[starts[row] : ends[row]].strip()
    ragged &= ~blank
    faults = [
        Fault(int(lines[row]), f"{_values(width)}, as in the header", _values(int(found.values[row])))
        for row in np.flatnonzero(ragged)
    ]
    faults += [Fault(int(lines[row]), BROKEN_QUOTE, "a stray quote") for row in np.flatnonzero(found.broken)]
    faults += [Fault(int(lines[row]), "text", "a NUL byte") for row in np.flatnonzero(zeros)]
    good = ~(blank | ragged | found.broken | zeros)
    return Block(
        int((~blank).sum()),
        _joined(data, starts, ends, good),
        lines[good],
        tuple(sorted(faults, key=lambda fault: fault.line)),
    )


def _find_zero_bytes(buffer: ByteArray, data: bytes, ends: IntArray) -> BoolArray:
    """Return which records hold a NUL byte."""
    found = np.zeros(len(ends), dtype=bool)
    if b"\x00" in data:
        records = np.searchsorted(ends, np.flatnonzero(buffer == 0))
        found[records[records < len(ends)]] = True
    return found


def _values(count: int) -> str:
    return f"{count} value" if count == 1 else f"{count} values"


def _joined(data: bytes, starts: IntArray, ends: IntArray, good: np.ndarray[Any, np.dtype[np.bool_]]) -> bytes:
    if good.all():
        return data[: int(ends[-1]) + 1]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], good.astype(np.int8), [0]))))
    return b"".join(
        data[starts[first] : ends[behind - 1] + 1] for first, behind in zip(edges[0::2], edges[1::2], strict=True)
    )


def parse(block: Block, header: Header, wanted: Sequence[int]) -> list[pa.Array]:
    """Return the values of the columns at `wanted` as bytes, a binary array each. Raise InputError if the parser counts other records."""
    if not len(block.lines):
        return [pa.array([], pa.binary()) for _ in wanted]
    names = [str(n) for n in range(len(header.names))]
    # pyarrow takes a BOM away at the start of what it reads, which here is no file's start; it passes over the empty line.
    text = b"\n" + block.text if block.text.startswith(BOM) else block.text
    table = arrow_csv.read_csv(
        pa.BufferReader(text),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
        parse_options=arrow_csv.ParseOptions(delimiter=header.delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            check_utf8=False,
            column_types={names[n]: pa.binary() for n in wanted},
            include_columns=[names[n] for n in wanted],
            strings_can_be_null=False,
        ),
    )
    if table.num_rows != len(block.lines):
        raise InputError(
            problem(
                expected=f"{len(block.lines)} records from line {block.lines[0]} on, by their lines and quotes",
                found=f"{table.num_rows} by the parser",
                todo="land the file as Parquet, or write it again with every value quoted",
            )
        )
    return [table.column(n).combine_chunks() for n in range(table.num_columns)]
