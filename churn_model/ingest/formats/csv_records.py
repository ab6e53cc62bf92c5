r"""Where each physical record of a CSV file begins and ends, found without the parser that reads its values.

Belongs here: the header, the delimiter, record boundaries and their line numbers, records that no parser should see, and the one call
into pyarrow. Does not belong here: what a value means (`values`), which columns are wanted (`columns`), compression (`base`).

The grammar is RFC 4180 with two widenings: a line ends with \n, \r\n or \r, and a quote inside a value that does not begin with one is an
ordinary character. A value that begins with a quote and is not closed as the RFC says spoils its own line and nothing behind it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from churn_model.arrays import ByteArray, IntArray
from churn_model.column_types.landed import FIELD_LIMIT
from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import BLOCK_BYTES, BOM, RECORD_LIMIT, Fault, require_utf8

DELIMITERS = (",", ";", "\t", "|")
BROKEN_QUOTE = "a quoted value that is closed, with the quotes inside it doubled"

_LINE_END = re.compile(rb"\r\n|\r|\n")
_QUOTED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')


@dataclass(frozen=True)
class Header:
    """What a file's first record says. `size` in bytes and `lines` count everything up to the first data record, a BOM included."""

    names: tuple[str, ...]
    delimiter: str
    size: int
    lines: int


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


class Grammar:
    """One delimiter's grammar, as patterns and as a table of the bytes that may stand beside a quoted value."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter.encode()
        escaped = re.escape(self.delimiter)
        value = rb'(?:"[^"]*+(?:""[^"]*+)*+"(?=[%b\r\n])|(?!")[^%b\r\n]*+)' % (escaped, escaped)
        self.value = re.compile(value)
        self.record = re.compile(rb"%b(?:%b%b)*+" % (value, escaped, value))
        self.beside_quotes = np.zeros(256, dtype=bool)
        self.beside_quotes[[ord(delimiter), ord('"'), ord("\r"), ord("\n")]] = True


def read_header(stream: BinaryIO) -> Header:
    """The header of the CSV file that `stream` is at the start of; blank lines before it are passed over.

    Raises InputError: nothing there, another encoding, a quote that is not closed, no end within a block.
    """
    head = stream.read(BLOCK_BYTES)
    require_utf8(head)
    begin = len(BOM) if head.startswith(BOM) else 0
    blank = re.compile(rb"(?:[ \t]*+(?:\r\n|\r|\n))*+").match(head, begin)
    start = blank.end() if blank else begin
    if not head[start:].strip():
        raise InputError(
            problem(expected="a header and records", found="an empty file", todo="remove the file, or land it again")
        )
    text = head if head.endswith((b"\r", b"\n")) or len(head) == BLOCK_BYTES else head + b"\n"
    readings = [(_header_end(text, start, Grammar(delimiter)), delimiter) for delimiter in DELIMITERS]
    best = max(
        ((*ended, delimiter) for ended, delimiter in readings if ended), key=lambda reading: reading[0], default=None
    )
    # One column only, where another delimiter would open a quote for ever, is that other delimiter's broken header.
    if best is None or (best[0] == 1 and not all(ended for ended, _ in readings)):
        raise InputError(
            problem(
                expected="a header line",
                found="a quote that is not closed, or no end",
                todo="land the file with a header",
            )
        )
    _, end, delimiter = best
    names = _names(text[start:end], Grammar(delimiter))
    return Header(names, delimiter, min(end, len(head)), len(_LINE_END.findall(text, begin, end)))


def _header_end(text: bytes, start: int, grammar: Grammar) -> tuple[int, int] | None:
    """How many values the record at `start` has, and where the next one begins; None if it is not well-formed."""
    matched = grammar.record.match(text, start)
    ended = _LINE_END.match(text, matched.end()) if matched else None
    return (_count_values(text, start, ended.start(), grammar), ended.end()) if ended else None


def _names(record: bytes, grammar: Grammar) -> tuple[str, ...]:
    values, at = [], 0
    while found := grammar.value.match(record, at):
        value = found[0]
        values.append(value[1:-1].replace(b'""', b'"') if value.startswith(b'"') else value)
        at = found.end() + 1
        if record[found.end() : at] != grammar.delimiter:
            break
    try:
        return tuple(value.decode().strip() for value in values)
    except UnicodeDecodeError as error:
        raise InputError(
            problem(expected="column names in UTF-8", found="another encoding", todo="export the file as UTF-8")
        ) from error


def scan(stream: BinaryIO, header: Header, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """The records behind the header, in blocks of bounded size, wherever they are cut; `stream` stands just behind the header.

    Blank lines are no records. A record that is ragged or whose quotes are broken is a fault; all others are in `text`.
    Raises InputError for a record longer than `RECORD_LIMIT`.
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
        found = _find(data, grammar, final=final)
        consumed = int(found.ends[-1]) + 1 if found.ends.size else 0
        if consumed:
            yield _block(data, found, width, line)
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


def _find(data: bytes, grammar: Grammar, *, final: bool) -> _Found:
    """All whole records in `data`, which begins with one: by parity of quotes where all quotes are proper, one by one where not."""
    buffer: ByteArray = np.frombuffer(data, np.uint8)
    breaks = _line_breaks(buffer, data, final=final)
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
        if undecided or longest > FIELD_LIMIT or not _proper(buffer, np.flatnonzero(is_quote[: last + 1]), grammar):
            return _one_by_one(data, breaks, grammar, final=final)
        delimiters &= ~quoted
    values = np.ones(len(ends), np.int64)
    if ends.size:
        last = int(ends[-1])
        values += np.add.reduceat(delimiters[: last + 1].view(np.uint8), _starts(ends), dtype=np.int64)
    return _Found(ends, values, np.zeros(len(ends), dtype=bool), breaks)


def _starts(ends: IntArray) -> IntArray:
    """Where the records begin that end at `ends`, the first at 0."""
    return np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))


def _line_breaks(buffer: ByteArray, data: bytes, *, final: bool) -> IntArray:
    """The last byte of each line. A \r at the very end may be half of \r\n, so it waits for what follows."""
    if b"\r" not in data:
        return np.flatnonzero(buffer == ord("\n"))
    returns, feeds = buffer == ord("\r"), buffer == ord("\n")
    returns[:-1] &= ~feeds[1:]
    if not final:
        returns[-1] = False
    return np.flatnonzero(returns | feeds)


def _proper(buffer: ByteArray, quotes: IntArray, grammar: Grammar) -> bool:
    """Whether every quote opens a value, closes one, or is doubled inside one: then parity tells what is quoted."""
    opening, closing = quotes[0::2], quotes[1::2]
    before, behind = buffer[opening[opening > 0] - 1], buffer[closing + 1]
    return bool(grammar.beside_quotes[before].all() and grammar.beside_quotes[behind].all())


def _one_by_one(data: bytes, breaks: IntArray, grammar: Grammar, *, final: bool) -> _Found:
    """The exact, slower way, for blocks with stray quotes. Stops before a record whose end is not in `data`."""
    ends, values, broken = [], [], []
    at = 0
    while at < len(data):
        stop, spoiled = _next_record(data, at, grammar, final=final)
        ended = _LINE_END.search(data, stop) if stop >= 0 else None
        if ended is None or (not final and ended[0] == b"\r" and ended.end() == len(data)):
            break
        ends.append(ended.end() - 1)
        values.append(0 if spoiled else _count_values(data, at, ended.start(), grammar))
        broken.append(spoiled)
        at = ended.end()
    return _Found(np.array(ends, np.int64), np.array(values, np.int64), np.array(broken, bool), breaks)


def _next_record(data: bytes, at: int, grammar: Grammar, *, final: bool) -> tuple[int, bool]:
    """Where the line that ends the record at `at` is to be looked for (-1: not known yet), and whether the record is broken."""
    matched = grammar.record.match(data, at)
    stop = matched.end() if matched else at
    too_long = _long_quoted(data, at, stop, grammar) if stop - at > FIELD_LIMIT else -1
    if too_long >= 0:
        return too_long, True
    if stop == len(data):
        return -1, False
    if data[stop : stop + 1] in (b"\r", b"\n"):
        return stop, False
    start = stop + (data[stop : stop + 1] == grammar.delimiter)
    closed = _QUOTED.match(data, start)
    if (closed is None or closed.end() == len(data)) and not final and len(data) - start <= FIELD_LIMIT:
        return -1, False
    return start, True


def _long_quoted(data: bytes, at: int, stop: int, grammar: Grammar) -> int:
    """Where a quoted value above `FIELD_LIMIT` begins in the record, or -1. It counts as never closed, wherever blocks happen to end."""
    while at < stop and (found := grammar.value.match(data, at)):
        if len(found[0]) > FIELD_LIMIT and found[0].startswith(b'"'):
            return at
        at = found.end() + 1
    return -1


def _count_values(data: bytes, at: int, stop: int, grammar: Grammar) -> int:
    if data.find(b'"', at, stop) < 0:
        return data.count(grammar.delimiter, at, stop) + 1
    count = 0
    while found := grammar.value.match(data, at):
        count += 1
        at = found.end() + 1
        if found.end() >= stop:
            break
    return count


def _block(data: bytes, found: _Found, width: int, line: int) -> Block:
    """The records of `found`, sorted into well-formed ones, faults and blank lines; `line`: where the first begins."""
    ends = found.ends
    starts = _starts(ends)
    buffer: ByteArray = np.frombuffer(data, np.uint8)
    two_byte = (buffer[ends] == ord("\n")) & (ends > starts) & (buffer[ends - 1] == ord("\r"))
    blank = (ends - two_byte == starts) & ~found.broken
    lines = line + np.searchsorted(found.breaks, starts)
    ragged = (found.values != width) & ~blank & ~found.broken
    for row in np.flatnonzero(ragged & (found.values == 1)):
        blank[row] = not data[starts[row] : ends[row]].strip()
    ragged &= ~blank
    faults = [
        Fault(int(lines[row]), f"{_values(width)}, as in the header", _values(int(found.values[row])))
        for row in np.flatnonzero(ragged)
    ]
    faults += [Fault(int(lines[row]), BROKEN_QUOTE, "a stray quote") for row in np.flatnonzero(found.broken)]
    good = ~(blank | ragged | found.broken)
    return Block(
        int((~blank).sum()),
        _joined(data, starts, ends, good),
        lines[good],
        tuple(sorted(faults, key=lambda fault: fault.line)),
    )


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
    """The values of the columns at `wanted`, as bytes, a binary array each. Raises InputError if the parser counts other records."""
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
