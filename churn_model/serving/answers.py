"""Answers as bytes: JSON, JSON Lines, CSV, Parquet. A refused row keeps its place, with what is wrong with it."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring as encode_text
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from churn_model.models.reasons import REASONS
from churn_model.serving.blocks import AnswerColumns
from churn_model.serving.fields import FieldProblem
from churn_model.serving.media import CSV, JSON_LINES, PARQUET, MediaType
from churn_model.serving.plan import Answer, Plan, Reason

Outcome = Answer | str | tuple[FieldProblem, ...]
"""What became of a row: its answer, its answer as JSON already, or why it has none."""

# `json.dumps` would make one for each answer.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_FORMULA = "=+-@\t\r"
_TYPES: Mapping[str, pa.DataType] = {
    "id": pa.string(),
    "as_of": pa.date32(),
    "churn_probability": pa.float64(),
    "will_churn": pa.bool_(),
    "expected_saving": pa.float64(),
    "cutoff": pa.float64(),
    **{f"reason_{rank}": pa.string() for rank in range(1, REASONS + 1)},
    **{f"reason_{rank}_contribution": pa.float64() for rank in range(1, REASONS + 1)},
    "unknown": pa.string(),
    "error": pa.string(),
    "model_version": pa.string(),
    "costs_version": pa.string(),
}


def to_json_object(answer: Answer) -> dict[str, Any]:
    """Return an answer as JSON holds it; a cutoff that no probability reaches is null."""
    return {
        "id": answer.id,
        "as_of": None if answer.as_of is None else answer.as_of.isoformat(),
        "churn_probability": answer.churn_probability,
        "will_churn": answer.will_churn,
        "expected_saving": answer.expected_saving,
        "cutoff": answer.cutoff if math.isfinite(answer.cutoff) else None,
        "reasons": _to_objects(answer.reasons),
        "unknown": list(answer.unknown),
    }


def _to_objects(reasons: Iterable[Reason]) -> list[dict[str, Any]]:
    return [{"text": text, "contribution": size} for text, size in reasons]


def to_json(answer: Answer) -> str:
    """Return an answer as JSON: `to_json_object` as `dump_json` writes it, in a third of its time."""
    key, as_of, p, will_churn, saving, cutoff, reasons, unknown = answer
    if reasons or unknown or not math.isfinite(p + saving):
        return _ENCODER.encode(to_json_object(answer))
    day = "null" if as_of is None else f'"{as_of}"'
    return (
        f'{{"id":{"null" if key is None else encode_text(key)},"as_of":{day},"churn_probability":{p!r},'
        f'"will_churn":{"true" if will_churn else "false"},"expected_saving":{saving!r},'
        f'"cutoff":{repr(cutoff) if math.isfinite(cutoff) else "null"},"reasons":[],"unknown":[]}}'
    )


def to_json_rows(columns: AnswerColumns) -> list[str]:
    """Return what `to_json` writes of each answer, column by column: in half of its time if there are many."""
    keys, days, probabilities, decisions, savings, cutoffs, reasons, unknown = columns
    if not (all(map(math.isfinite, probabilities)) and all(map(math.isfinite, savings))):
        return [to_json(answer) for answer in map(Answer._make, zip(*columns, strict=True))]
    day_texts = {day: "null" if day is None else f'"{day}"' for day in set(days)}
    parts = zip(
        ["null" if key is None else encode_text(key) for key in keys],
        map(day_texts.__getitem__, days),
        map(repr, probabilities),
        map(("false", "true").__getitem__, decisions),
        map(repr, savings),
        [repr(cutoff) if math.isfinite(cutoff) else "null" for cutoff in cutoffs],
        [_ENCODER.encode(_to_objects(each)) if each else "[]" for each in reasons],
        [_ENCODER.encode(each) if each else "[]" for each in unknown],
        strict=True,
    )
    return [
        f'{{"id":{key},"as_of":{day},"churn_probability":{p},"will_churn":{will_churn},"expected_saving":{saving},'
        f'"cutoff":{cutoff},"reasons":{why},"unknown":{names}}}'
        for key, day, p, will_churn, saving, cutoff, why, names in parts
    ]


def describe_problems(row: int, problems: Iterable[FieldProblem]) -> list[dict[str, Any]]:
    """Return what is wrong with a row, counted from 1, as JSON holds it."""
    return [{"row": row, **problem._asdict()} for problem in problems]


def render(
    plan: Plan,
    outcomes: Sequence[Outcome],
    media: MediaType,
    *,
    is_single: bool,
    ignored: Sequence[str],
    columns: Sequence[str] = (),
    plans: Sequence[Plan] = (),
) -> bytes:
    """Return the answers of a request, in its order, as `media`.

    columns   those of CSV; none for all
    plans     who answered each row, where it was not `plan` for all: then JSON names the versions in each answer
    """
    versions = [_versions(each) for each in plans] if plans else [_versions(plan)] * len(outcomes)
    if media.name == CSV:
        has_header = media.parameters.get("header") != "absent"
        return _to_csv(outcomes, versions, columns or tuple(_TYPES), has_header=has_header)
    if media.name == PARQUET:
        return _to_parquet(outcomes, versions)
    rows = [
        outcome
        if isinstance(outcome, str)
        else to_json(outcome)
        if isinstance(outcome, Answer)
        else _ENCODER.encode({"errors": describe_problems(row, outcome)})
        for row, outcome in enumerate(outcomes, 1)
    ]
    rest = {"ignored": list(ignored)} if ignored else {}
    ends = {each.version: _ENCODER.encode({**_versions(each), **rest})[1:] for each in (plan, *plans)}
    if media.name == JSON_LINES or plans:
        rows = [f"{row[:-1]},{ends[each['model_version']]}" for row, each in zip(rows, versions, strict=True)]
    if media.name == JSON_LINES:
        return "".join(f"{row}\n" for row in rows).encode()
    if plans:
        return (rows[0] if is_single else f'{{"answers":[{",".join(rows)}]}}').encode()
    ended = ends[plan.version]
    return f"{rows[0][:-1]},{ended}".encode() if is_single else f'{{"answers":[{",".join(rows)}],{ended}'.encode()


def _versions(plan: Plan) -> dict[str, str]:
    return {"model_version": plan.version, "costs_version": plan.costs_version}


def dump_json(value: Any) -> bytes:
    """Return a value as JSON."""
    return _ENCODER.encode(value).encode()


def _to_row(outcome: Outcome, versions: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(outcome, Answer):
        return {"error": " ".join(map(str, outcome)), **versions}
    row: dict[str, Any] = {name: getattr(outcome, name) for name in list(_TYPES)[:6]}
    for rank, (text, size) in enumerate(outcome.reasons, 1):
        row |= {f"reason_{rank}": text, f"reason_{rank}_contribution": size}
    return {**row, "unknown": "; ".join(outcome.unknown) or None, **versions}


def _to_csv(
    outcomes: Iterable[Outcome], versions: Iterable[Mapping[str, str]], columns: Sequence[str], *, has_header: bool
) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if has_header:
        writer.writerow(columns)
    for outcome, version in zip(outcomes, versions, strict=True):
        row = _to_row(outcome, version)
        writer.writerow([to_cell(row.get(name)) for name in columns])
    return text.getvalue().encode()


def to_cell(value: Any) -> str:
    """Return a value as CSV. Text that a spreadsheet would run as a formula gets an apostrophe in front."""
    if value is None or value == math.inf:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}" if value[:1] in _FORMULA and value else value
    return repr(value) if isinstance(value, float) else str(value)


def _to_parquet(outcomes: Iterable[Outcome], versions: Iterable[Mapping[str, str]]) -> bytes:
    rows = [_to_row(outcome, version) for outcome, version in zip(outcomes, versions, strict=True)]
    sink = io.BytesIO()
    table = pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in _TYPES.items()})
    parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()
