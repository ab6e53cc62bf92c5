"""The body of a request as rows: JSON, JSON Lines, CSV with and without a header, Parquet, each read as a landed file of that format is.

A body that cannot be read raises `BadRequest`; a row that cannot be read is a row with its problems, and the others are answered.
"""

import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import BOM, NumberText
from churn_model.ingest.formats.csv_grammar import LINE_END, Grammar
from churn_model.ingest.formats.csv_header import Header, read_header
from churn_model.ingest.formats.csv_records import parse, scan
from churn_model.serving.fields import FieldProblem
from churn_model.serving.media import CSV, JSON, JSON_LINES, MediaType
from churn_model.serving.plan import Plan
from churn_model.spec.column_names import name_key

_OBJECT = "an object with the fields of a customer"
_KINDS = {
    list: "an array",
    dict: "an object",
    str: "text or a number",
    NumberText: "text or a number",
    bool: "true or false",
    type(None): "null",
}

Record = Mapping[str, Any] | tuple[FieldProblem, ...]
"""The fields of a customer by name, or why there are none."""


class BadRequest(Exception):
    """A request as a whole has no answer. `status`: of HTTP."""

    def __init__(self, status: int, *, expected: str, found: str, todo: str) -> None:
        super().__init__(problem(expected=expected, found=found, todo=todo))
        self.status, self.expected, self.found, self.todo = status, expected, found, todo


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The largest request: bytes as sent, bytes when inflated, rows."""

    body: int = 6_291_456  # what SageMaker lets through
    inflated: int = 64 << 20
    rows: int = 50_000


@dataclass(frozen=True, kw_only=True)
class Records:
    """Rows one by one. `is_single`: the request is one customer, and so is the answer. `ignored`: the names that no field has."""

    records: Sequence[Record]
    is_single: bool = False
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Rows as columns of landed values by the fields' own names: of the rows at `places` of `count`; `problems` of the others by place."""

    columns: Mapping[str, pa.Array]
    places: Sequence[int]
    count: int
    problems: Mapping[int, tuple[FieldProblem, ...]]
    ignored: tuple[str, ...] = ()


def inflate(body: bytes, encoding: str, limits: Limits) -> bytes:
    """Return the body without its content encoding. Raise BadRequest for an unknown one, damaged bytes, and more than the limit."""
    names = [name for name in (part.strip().lower() for part in encoding.split(",")) if name not in ("", "identity")]
    if not names:
        return body
    if names not in (["gzip"], ["x-gzip"]):
        raise BadRequest(
            415, expected="Content-Encoding gzip or none", found=encoding[:40], todo="send it as gzip, or plain"
        )
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, limits.inflated + 1)
    except zlib.error as error:
        raise BadRequest(
            400, expected="a body of gzip", found="damaged or other bytes", todo="send it again"
        ) from error
    if len(plain) > limits.inflated:
        size = f"at most {limits.inflated:,} bytes when inflated"
        raise BadRequest(413, expected=size, found="more", todo="send fewer rows at a time")
    if not inflater.eof or inflater.unused_data:
        raise BadRequest(
            400, expected="one whole gzip stream", found="one that is cut off, or more behind it", todo="send it again"
        )
    return plain


def read_request(plan: Plan, body: bytes, media: MediaType, limits: Limits) -> Records | Columns:
    """Return the rows of a body. Raise BadRequest."""
    if not body.strip():
        raise BadRequest(
            400, expected="a body with at least one row", found="an empty one", todo="send the fields of a customer"
        )
    if media.name == JSON:
        return _read_json(plan, body, limits)
    if media.name == JSON_LINES:
        return _read_json_lines(plan, body, limits)
    try:
        if media.name == CSV:
            return _read_csv(plan, body, media, limits)
        return _read_parquet(plan, body, limits)
    except InputError as error:
        raise BadRequest(
            400, expected=f"a body of {media.name}", found=f"another ({error})", todo="correct it"
        ) from error


# --- JSON


class _RepeatedKeyError(ValueError):
    """An object has a key twice."""


def _to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise _RepeatedKeyError
    return row


# As JSON Lines files are read: numbers keep their digits, NaN is missing, infinities are words that no number is read from.
def _make_decoder(number: type[str]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_to_dict,
        parse_int=number,
        parse_float=number,
        parse_constant=lambda name: None if name == "NaN" else name,
    )


_DECODER = _make_decoder(str)
_TELLING_DECODER = _make_decoder(NumberText)  # numbers from text, which may have a format of its own


def _decoder_of(plan: Plan) -> json.JSONDecoder:
    return _TELLING_DECODER if any(field.column.has_format for field in plan.fields) else _DECODER


def _decode(text: bytes, decoder: json.JSONDecoder = _DECODER) -> Any:
    """Return what a JSON text holds. Raise BadRequest."""
    found, expected = "", "JSON"
    try:
        value = decoder.decode(text.decode("utf-8-sig"))
        if b"\\ud" in text or b"\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()  # only whole pairs of surrogates are text
    except UnicodeDecodeError:
        expected, found = "text in UTF-8", "another encoding"
    except UnicodeEncodeError:
        expected, found = "text", "half of a surrogate pair"
    except _RepeatedKeyError:
        expected, found = "each key once", "one twice"
    except json.JSONDecodeError as error:
        found = f"text that is not JSON ({error.msg} at character {error.pos + 1})"
    except RecursionError:
        found = "one that is nested too deeply"
    else:
        return value
    raise BadRequest(400, expected=expected, found=found, todo=f"send {_OBJECT}, or an array of them")


def decode_object(body: bytes) -> dict[str, Any]:
    """Return the one JSON object that a body holds. Raise BadRequest."""
    value = _decode(body)
    if not isinstance(value, dict):
        raise BadRequest(400, expected=_OBJECT, found=_kind(value), todo="send one")
    return value


def _read_json(plan: Plan, body: bytes, limits: Limits) -> Records:
    value = _decode(body, _decoder_of(plan))
    if isinstance(value, dict) and isinstance(value.get("instances"), list):
        value = value["instances"]
    if isinstance(value, dict):
        return Records(records=[value], is_single=True, ignored=_ignored(plan, value))
    if not isinstance(value, list):
        raise BadRequest(400, expected=f"{_OBJECT}, or an array of them", found=_kind(value), todo="send one of these")
    if not value:
        raise BadRequest(400, expected="at least one row", found="an empty array", todo=f"send {_OBJECT}")
    _require_rows(len(value), limits)
    return _records(plan, [row if isinstance(row, dict) else _no_object(_kind(row)) for row in value])


def _read_json_lines(plan: Plan, body: bytes, limits: Limits) -> Records:
    rows: list[Record] = []
    decoder = _decoder_of(plan)
    for line in body.removeprefix(BOM).split(b"\n"):
        if line and not line.isspace():
            _require_rows(len(rows) + 1, limits)
            try:
                row = _decode(line, decoder)
            except BadRequest as bad:
                rows.append((FieldProblem(None, bad.expected, bad.found, f"send {_OBJECT} on each line"),))
            else:
                rows.append(row if isinstance(row, dict) else _no_object(_kind(row)))
    if not rows:
        raise BadRequest(
            400, expected="at least one row", found="blank lines alone", todo=f"send {_OBJECT} on each line"
        )
    return _records(plan, rows)


def _records(plan: Plan, rows: Sequence[Record]) -> Records:
    names: set[str] = set().union(*(row for row in rows if isinstance(row, dict)))
    return Records(records=rows, ignored=_ignored(plan, names))


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "another value")


def _no_object(found: str) -> tuple[FieldProblem, ...]:
    return (FieldProblem(None, _OBJECT, found, "send one for each row"),)


def _ignored(plan: Plan, names: Any) -> tuple[str, ...]:
    return tuple(sorted(plan.names.unknown(names)))


def _require_rows(count: int, limits: Limits) -> None:
    if count > limits.rows:
        expected, todo = f"at most {limits.rows:,} rows", "send fewer rows at a time, or score them as a batch"
        raise BadRequest(413, expected=expected, found="more", todo=todo)


# --- CSV and Parquet


def _positions(plan: Plan, names: Sequence[str]) -> dict[str, int]:
    """Return where the fields are among the names of columns. Raise BadRequest if a required one is missing, or one is there twice."""
    place: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        place.setdefault(name_key(name), []).append(at)
    absent, twice, found = [], [], {}
    for field in plan.fields:
        at_ = place.get(name_key(field.name), [])
        if len(at_) > 1:
            twice.append(field.name)
        elif at_:
            found[field.name] = at_[0]
        elif field.is_required:
            absent.append(field.name)
    if absent or twice:
        what = [*(f"no {name!r}" for name in absent), *(f"{name!r} twice" for name in twice)]
        raise BadRequest(
            400, expected="each column that the model reads once", found=", ".join(what), todo="send it once"
        )
    return found


def _read_csv(plan: Plan, body: bytes, media: MediaType, limits: Limits) -> Columns:
    body = _with_header(plan, body, media)
    stream = io.BytesIO(body)
    header = read_header(stream)
    _require_header_first(body, header)
    positions = _positions(plan, header.names)
    stream.seek(header.size)
    parts: list[list[pa.Array]] = []
    lines: list[int] = []
    faults: dict[int, tuple[FieldProblem, ...]] = {}
    for block in scan(stream, header):
        _require_rows(len(lines) + len(faults) + block.records, limits)
        parts.append(parse(block, header, list(positions.values())))
        lines += block.lines.tolist()
        todo = "write each row with as many values as the header"
        faults |= {
            fault.line: (FieldProblem(fault.column, fault.expected, fault.found, todo),) for fault in block.faults
        }
    if not lines and not faults:
        raise BadRequest(400, expected="at least one row", found="a header alone", todo="send the values of a customer")
    row_of = {line: row for row, line in enumerate(sorted([*lines, *faults]))}
    columns = {
        name: pa.concat_arrays([part[n] for part in parts]) if parts else pa.array([], pa.binary())
        for n, name in enumerate(positions)
    }
    return Columns(
        columns=columns,
        places=[row_of[line] for line in lines],
        count=len(row_of),
        problems={row_of[line]: problems for line, problems in faults.items()},
        ignored=_ignored(plan, header.names),
    )


def _require_header_first(body: bytes, header: Header) -> None:
    """Raise BadRequest if there is text above the header. Ingest passes it over and tells of it; a request has nobody to tell."""
    begin = len(BOM) if body.startswith(BOM) else 0
    begin += len(body) - begin - len(body[begin:].lstrip(b" \t\r\n"))
    first = Grammar(header.delimiter).record.match(body, begin)
    end = first.end() if first else begin
    ended = LINE_END.match(body, end)
    if (ended.end() if ended else end) < header.size:
        todo = "send the header, or the first customer, as the first line"
        raise BadRequest(400, expected="a header in the first line", found="other text above it", todo=todo)


def _with_header(plan: Plan, body: bytes, media: MediaType) -> bytes:
    """Return the body with a header: its own, or the fields in their order if its first line names none of them."""
    declared = media.parameters.get("header")
    if declared == "present":
        return body
    names = read_header(io.BytesIO(body)).names
    known = {name_key(field.name) for field in plan.fields}
    if declared != "absent" and any(name_key(name) in known for name in names):
        return body
    orders = (plan.fields, plan.inputs)
    order = next((fields for fields in orders if len(fields) == len(names)), None)
    if order is None:
        expected = " or ".join(dict.fromkeys(f"{len(fields)} values" for fields in orders))
        todo = "send a first line with the names of the columns, or the values in the order of the document at /openapi.json"
        raise BadRequest(400, expected=f"{expected} in a row without a header", found=f"{len(names)}", todo=todo)
    header = ",".join('"' + field.name.replace('"', '""') + '"' for field in order)
    return header.encode() + b"\n" + body.removeprefix(BOM)


def _read_parquet(plan: Plan, body: bytes, limits: Limits) -> Columns:
    try:
        with parquet.ParquetFile(pa.BufferReader(body), pre_buffer=False) as opened:
            meta = opened.metadata
            _require_rows(meta.num_rows, limits)
            size = sum(meta.row_group(n).total_byte_size for n in range(meta.num_row_groups))
            if size > limits.inflated:
                text = f"at most {limits.inflated:,} bytes when inflated"
                raise BadRequest(413, expected=text, found=f"{size:,}", todo="send fewer rows at a time")
            positions = _positions(plan, opened.schema_arrow.names)
            types = [opened.schema_arrow.field(at).type for at in positions.values()]
            if nested := [str(one) for one in types if pa.types.is_nested(one)]:
                raise BadRequest(
                    400, expected="plain columns", found=nested[0][:40], todo="send text, numbers or dates"
                )
            table = opened.read(columns=[opened.schema_arrow.names[at] for at in positions.values()], use_threads=False)
            ignored = _ignored(plan, opened.schema_arrow.names)
            columns = {name: table.column(n).combine_chunks() for n, name in enumerate(positions)}
    except (pa.ArrowException, OSError) as error:
        raise BadRequest(
            400, expected="a whole Parquet file", found="one that cannot be read", todo="send it again"
        ) from error
    if not table.num_rows:
        raise BadRequest(400, expected="at least one row", found="columns alone", todo="send the values of a customer")
    return Columns(columns=columns, places=range(table.num_rows), count=table.num_rows, problems={}, ignored=ignored)
