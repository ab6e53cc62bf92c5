"""The header of a CSV file: its delimiter, its names, and the lines above and below it that are no records."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import BLOCK_BYTES, BOM, NO_TEXT
from churn_model.ingest.formats.csv_grammar import LINE_END, Grammar
from churn_model.ingest.formats.header_rows import (
    ALL_NAMED,
    LOOKED_AT,
    Unnamed,
    count_second_headers,
    describe_titles,
    find_header,
    find_unnamed,
)

DELIMITERS = (",", ";", "\t", "|")

_SEP_LINE = re.compile(rb'"?sep=([\x21\x23-\x2f\x3a-\x40\t ^_`|~])"?[,;\t|]*+(?:\r\n|\r|\n)', re.IGNORECASE)
_MOST = 0.5


@dataclass(frozen=True)
class Header:
    """What a file's header says. `size` in bytes and `lines` count everything up to the first data record, a BOM included.

    `names` has a name for each value of a record, "" for those that `unnamed` passes over or that are an error. `remarks`: what was passed
    over to find it.
    """

    names: tuple[str, ...]
    delimiter: str
    size: int
    lines: int
    unnamed: Unnamed = ALL_NAMED
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Record:
    begin: int
    end: int  # where the next line begins
    values: tuple[bytes, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(value.decode(errors="replace").strip() for value in self.values)


@dataclass(frozen=True)
class _Reading:
    """The first records as one delimiter has them, and which of them is the header."""

    grammar: Grammar
    records: list[_Record]
    header: int

    @property
    def values(self) -> int:
        return len(self.records[self.header].values)

    @property
    def below(self) -> list[_Record]:
        return self.records[self.header + 1 :]

    @property
    def agreement(self) -> float:
        """Return the share of the rows below with as many values as the header; 1 if there are none."""
        width = self.width
        below = self.below
        return sum(len(record.values) == width for record in below) / len(below) if below else 1.0

    @property
    def width(self) -> int:
        """Return how many values a record has: one more than the header, if most end with a delimiter and the header does not."""
        counted = Counter(len(record.values) for record in self.below).most_common(1)
        usual, rows = counted[0] if counted else (self.values, 0)
        return usual if usual > self.values > 1 and rows > _MOST * len(self.below) else self.values


def read_header(stream: BinaryIO) -> Header:
    """Return the header of the CSV file that `stream` is at the start of; blank lines and titles before it are passed over.

    Raise InputError: nothing there, another encoding, a quote that is not closed, no end within a block.
    """
    head = stream.read(BLOCK_BYTES)
    begin = len(BOM) if head.startswith(BOM) else 0
    text = head if head.endswith((b"\r", b"\n")) or len(head) == BLOCK_BYTES else head + b"\n"
    named = _SEP_LINE.match(text, begin)
    start = _skip_blank(text, named.end() if named else begin)
    if not head[start:].strip():
        raise InputError(
            problem(expected="a header and records", found="an empty file", todo="remove the file, or land it again")
        )
    delimiters = (named[1].decode(),) if named else DELIMITERS
    best = _choose([reading for each in delimiters if (reading := _read(text, start, Grammar(each)))], len(delimiters))
    header = best.records[best.header]
    names = _names(header) + ("",) * (best.width - best.values)
    behind = best.header + 1 + count_second_headers([record.texts for record in best.below])
    below = [record.texts for record in best.records[behind:] if len(record.values) == best.width]
    unnamed = find_unnamed(names, below)
    if best.width > best.values and not set(range(best.values, best.width)) <= set(unnamed.blank):
        raise InputError(
            problem(
                expected="a name for every value",
                found=f"rows of {best.width} values below {best.values} names",
                todo="write a name for each column in the header, that of row numbers too",
            )
        )
    titles = _number_lines(text, begin, best.records[: best.header])
    second = _number_lines(text, begin, best.records[best.header + 1 : behind])
    remarks = (
        *(["the line sep= passed over"] if named else []),
        *describe_titles(titles),
        *describe_titles(second, "below"),
        *unnamed.remarks,
    )
    end = best.records[behind - 1].end
    lines = len(LINE_END.findall(text, begin, end))
    return Header(names, best.grammar.delimiter.decode(), min(end, len(head)), lines, unnamed, remarks)


def _number_lines(text: bytes, begin: int, records: Sequence[_Record]) -> list[tuple[int, str]]:
    """Return the records as text, each with the number of its line; `begin`: where line 1 does."""
    return [
        (
            len(LINE_END.findall(text, begin, record.begin)) + 1,
            text[record.begin : record.end].decode(errors="replace").strip(),
        )
        for record in records
    ]


def _skip_blank(text: bytes, at: int) -> int:
    blank = re.compile(rb"(?:[ \t]*+(?:\r\n|\r|\n))*+").match(text, at)
    return blank.end() if blank else at


def _read(text: bytes, start: int, grammar: Grammar) -> _Reading | None:
    """Return the first records by one delimiter, up to one that is not well-formed; None if that is the first."""
    records: list[_Record] = []
    at = start
    while len(records) < LOOKED_AT and at < len(text):
        matched = grammar.record.match(text, at)
        ended = LINE_END.match(text, matched.end()) if matched else None
        if ended is None:
            break
        records.append(_Record(at, ended.end(), grammar.split(text, at, ended.start())))
        at = _skip_blank(text, ended.end())
    return _Reading(grammar, records, find_header([record.texts for record in records])) if records else None


def _choose(readings: Sequence[_Reading], tried: int) -> _Reading:
    """Return the reading with the most names among those whose rows agree with the header, without titles above it if there is one.

    Raise InputError if no header ends.
    """
    agreeing = [one for one in readings if one.agreement >= _MOST and one.values > 1]
    best = max(agreeing or readings, key=lambda one: (one.header == 0, one.values), default=None)
    # One column only, where another delimiter would open a quote for ever, is that other delimiter's broken header.
    if best is None or (best.values == 1 and len(readings) < tried):
        raise InputError(
            problem(
                expected="a header line",
                found="a quote that is not closed, or no end",
                todo="land the file with a header",
            )
        )
    return best


def _names(header: _Record) -> tuple[str, ...]:
    if any(b"\x00" in value for value in header.values):
        raise InputError(NO_TEXT)
    try:
        return tuple(value.decode().strip() for value in header.values)
    except UnicodeDecodeError as error:
        raise InputError(
            problem(expected="column names in UTF-8", found="another encoding", todo="export the file as UTF-8")
        ) from error
