"""JSON Lines files, gzipped or not: one object per line, whose keys are the columns. Numbers keep the digits they are written with.

The standard library's decoder reads them, line by line. Arrow's reader is faster, but it passes long numbers through floating point, turns
text that looks like a time into one, and accepts bytes that are not UTF-8.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import (
    BOM,
    COLUMN_LIMIT,
    LAND_AGAIN,
    NO_OPTIONS,
    RECORD_LIMIT,
    Chunk,
    Fault,
    Format,
    LandedFile,
    NumberText,
    Options,
    Write,
    block_bytes,
    file_errors,
)
from churn_model.ingest.formats.encodings import AS_UTF8, Encoding, find_encoding, open_text

_ONE_OBJECT = "one JSON object per line"
_KINDS = {
    list: "an array",
    dict: "an object",
    str: "text or a number",
    NumberText: "text or a number",
    bool: "true or false",
    type(None): "null",
}


@dataclass(frozen=True)
class JsonLinesPart:
    """A JSON Lines file. `keys` are those of all its lines, in order of appearance."""

    file: LandedFile
    keys: tuple[str, ...]
    encoding: Encoding = AS_UTF8
    writers: Mapping[int, Write] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the keys of all lines; a line without one of them has a blank there."""
        return tuple(key.strip() for key in self.keys)

    @property
    def passed_over(self) -> frozenset[int]:
        """Return none: a value has a key."""
        return frozenset()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return its encoding, if that was not declared."""
        return (self.encoding.remark,) if self.encoding.remark else ()

    @property
    def options(self) -> Options:
        """Return its encoding."""
        return Options(encoding=self.encoding.to_name)

    @property
    def stored(self) -> tuple[pa.DataType | None, ...]:
        """Return no types: the next line may hold another one, so values are text, as in CSV."""
        return (None,) * len(self.keys)

    def rewritten(self, writers: Mapping[int, Write]) -> "JsonLinesPart":
        """Return the file with the values of columns, by their places, as text that `writers` write."""
        return replace(self, writers=writers)

    def chunks(self, wanted: Sequence[int]) -> Iterator[Chunk]:
        """Yield all records, a block of the file at a time."""
        keys = [self.keys[n] for n in wanted]
        writers = [self.writers.get(n) for n in wanted]
        with file_errors(self.file, JSON_LINES.name), open_text(self.file, self.encoding) as stream:
            for first, lines in _blocks(stream, block_bytes(len(keys))):
                yield _chunk(first, lines, keys, writers)


def _blocks(stream: BinaryIO, size: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield whole lines, about `size` bytes of them at a time, with the number of the first."""
    rest, first = b"", 1
    while chunk := stream.read(size):
        if first == 1 and not rest:
            chunk = chunk.removeprefix(BOM)
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > RECORD_LIMIT:
            text = f"records of at most {RECORD_LIMIT >> 20} MiB"
            found = f"a longer one on line {first + len(lines)}"
            raise InputError(problem(expected=text, found=found, todo=f"write {_ONE_OBJECT}"))
        if lines:
            yield first, lines
        first += len(lines)
    if rest:
        yield first, [rest]


def _chunk(first: int, lines: Sequence[bytes], keys: Sequence[str], writers: Sequence[Write | None]) -> Chunk:
    faults: list[Fault] = []
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    for number, row in _decode_lines(first, lines, _TELLING_DECODER if any(writers) else _DECODER):
        if isinstance(row, Fault):
            faults.append(row)
        else:
            rows.append(row)
            numbers.append(number)
    columns = [[row.get(key) for row in rows] for key in keys]
    wrong = _faulty_values(columns, keys, numbers)
    if wrong:
        good = [at for at in range(len(rows)) if at not in wrong]
        columns = [[column[at] for at in good] for column in columns]
        faults = sorted([*faults, *wrong.values()], key=lambda fault: fault.line)
        numbers = [numbers[at] for at in good]
    arrays = tuple(map(_to_array, columns, writers))
    return Chunk(len(numbers) + len(faults), arrays, np.array(numbers, np.int64), tuple(faults))


def _faulty_values(columns: Sequence[Sequence[Any]], keys: Sequence[str], numbers: Sequence[int]) -> dict[int, Fault]:
    """Return a fault for each row that holds a value which is not plain; `numbers` are the lines of the rows."""
    wrong: dict[int, Fault] = {}
    for key, column in zip(keys, columns, strict=True):
        if set(map(type, column)) & {dict, list}:
            for at, value in enumerate(column):
                if isinstance(value, dict | list):
                    fault = Fault(numbers[at], "text, a number, true, false or null", _KINDS[type(value)], key.strip())
                    wrong.setdefault(at, fault)
    return wrong


def _to_array(values: list[Any], write: Write | None) -> pa.Array:
    """Return plain values as JSON writes them, text without its quotes; numbers are decoded as text already."""
    if bool in set(map(type, values)):
        values = [str(value).lower() if isinstance(value, bool) else value for value in values]
    if write:
        values = [None if value is None else write(value) for value in values]
    return pa.array(values, pa.string())


def _decode_lines(
    first: int, lines: Sequence[bytes], decoder: json.JSONDecoder
) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Yield the object of each line that is not blank, or why there is none, with the line's number."""
    for number, line in enumerate(lines, first):
        if line and not line.isspace():
            yield number, _decode(line, number, decoder)


class _RepeatedKeyError(ValueError):
    """An object has a key twice."""


def _to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise _RepeatedKeyError
    return row


def _read_constant(name: str) -> str | None:
    return None if name == "NaN" else name


def _make_decoder(number: type[str]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_to_dict, parse_int=number, parse_float=number, parse_constant=_read_constant
    )


_DECODER = _make_decoder(str)
_TELLING_DECODER = _make_decoder(NumberText)  # numbers from text; it takes half as long again


def _decode(line: bytes, number: int, decoder: json.JSONDecoder) -> dict[str, Any] | Fault:
    try:
        row = decoder.decode(line.decode())
        if b"\\ud" in line or b"\\uD" in line:
            json.dumps(row, ensure_ascii=False).encode()  # only whole pairs of surrogates are text
    except UnicodeDecodeError:
        return Fault(number, "text in UTF-8", "another encoding")
    except UnicodeEncodeError:
        return Fault(number, "text", "half of a surrogate pair")
    except _RepeatedKeyError:
        return Fault(number, "each key once", "one twice")
    except json.JSONDecodeError as error:
        return Fault(number, _ONE_OBJECT, f"text that is not JSON ({error.msg} at character {error.pos + 1})")
    except RecursionError:
        return Fault(number, _ONE_OBJECT, "one that is nested too deeply")
    return row if isinstance(row, dict) else Fault(number, _ONE_OBJECT, _KINDS.get(type(row), "another value"))


def open_json_lines(file: LandedFile, options: Options = NO_OPTIONS) -> JsonLinesPart:
    """Collect the keys of all lines. Raise InputError if no line is an object."""
    encoding = find_encoding(file, options.encoding, detects=False)  # JSON is UTF-8
    keys: dict[str, None] = {}
    first_fault: Fault | None = None
    with open_text(file, encoding) as stream:
        for first, lines in _blocks(stream, block_bytes(0)):
            for _, row in _decode_lines(first, lines, _DECODER):
                if isinstance(row, Fault):
                    first_fault = first_fault or row
                elif not row.keys() <= keys.keys():
                    keys |= dict.fromkeys(row)
            if len(keys) > COLUMN_LIMIT:
                break
    if not keys:
        raise InputError(_no_object(first_fault))
    return JsonLinesPart(file, tuple(keys), encoding)


def _no_object(fault: Fault | None) -> str:
    if fault is None:
        return problem(expected="records", found="no keys and no values", todo=LAND_AGAIN)
    return problem(expected=fault.expected, found=f"{fault.found} on line {fault.line}", todo=f"write {_ONE_OBJECT}")


def _starts_with_object(head: bytes) -> bool:
    """Return whether the first line that is not blank is a JSON object, as far as `head` goes."""
    line, ended, _ = head.removeprefix(BOM).lstrip().partition(b"\n")
    return isinstance(_decode(line, 1, _DECODER), dict) if ended else line.startswith(b'{"')


JSON_LINES = Format(
    "JSON Lines", (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz"), _starts_with_object, open_json_lines
)
