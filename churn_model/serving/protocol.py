"""A request answered: bytes and headers in, a status, headers and bytes out. It knows no framework, so that each of them answers alike."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pyarrow as pa

from churn_model.scoring import ReasonsFor
from churn_model.serving.answers import Outcome, describe_problems, dump_json, render, to_json_rows
from churn_model.serving.blocks import read_alike, score_block, to_columns
from churn_model.serving.fields import FieldProblem, RefusedRow, describe_nested
from churn_model.serving.media import CSV, JSON, JSON_LINES, NAMES, MediaType, choose_media, parse_media
from churn_model.serving.plan import Answer, Plan
from churn_model.serving.requests import (
    BadRequest,
    Columns,
    Limits,
    Records,
    inflate,
    read_request,
)

ONE_BY_ONE = 24
"""Rows up to which each by itself is faster than all at once."""
AT_A_TIME = 4_096
"""Rows that are scored at once. A request that is late ends between two of these blocks."""
_TEXTS = frozenset((str, type(None)))
_REASONS = ("contacted", "all", "none")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request for answers. `query`: `reasons` (contacted, all, none) and `errors` (`row`: beside the other rows' answers; `fail`).

    `is_late` is asked before each block of rows: once it says yes, nobody waits for the answer any more. `columns`: those of an answer in CSV;
    none for all.
    """

    body: bytes
    content_type: str = JSON
    accept: str = "*/*"
    content_encoding: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    is_late: Callable[[], bool] = bool
    columns: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked about many rows. `as_json`: the answers go out as JSON, so that none has to be an object of ours in between."""

    reasons: ReasonsFor
    as_json: bool
    is_late: Callable[[], bool]

    def as_objects(self) -> "Wanted":
        """Return the same with answers as objects of ours."""
        return replace(self, as_json=False)


class TooLate(Exception):
    """A request's answer is not ready in time."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """An answer. `rows` and `refused` count for metrics."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    refused: int = 0


@dataclass(frozen=True, kw_only=True)
class Task:
    """A request that was read: its rows, and what is wanted of them. `fails`: one refused row refuses all."""

    rows: Records | Columns
    wanted: Wanted
    accepted: MediaType
    fails: bool
    columns: Sequence[str]

    @property
    def is_single(self) -> bool:
        """Whether the request is one customer, and so is the answer."""
        return isinstance(self.rows, Records) and self.rows.is_single


def respond(plan: Plan, request: Request, limits: Limits) -> Response:
    """Answer a request; whatever is wrong with it is said in the answer. Raise TooLate."""
    try:
        task = read_task(plan, request, limits)
    except BadRequest as bad:
        return refuse(bad)
    return to_response(plan, task, answer_rows(plan, task.rows, task.wanted))


def read_task(plan: Plan, request: Request, limits: Limits) -> Task:
    """Return what a request asks. Raise BadRequest."""
    media, accepted, reasons, fails = _negotiate(request)
    body = inflate(request.body, request.content_encoding, limits)
    wanted = Wanted(reasons=reasons, as_json=accepted.name in (JSON, JSON_LINES), is_late=request.is_late)
    rows = read_request(plan, body, media, limits)
    return Task(rows=rows, wanted=wanted, accepted=accepted, fails=fails, columns=request.columns)


def answer_rows(plan: Plan, rows: Records | Columns, wanted: Wanted) -> list[Outcome]:
    """Return what becomes of each row, in their order. Raise TooLate."""
    if isinstance(rows, Columns):
        return _place(rows.count, rows.problems, _score(plan, rows.columns, rows.places, wanted))
    return _answer_records(plan, rows, wanted)


def to_response(plan: Plan, task: Task, outcomes: Sequence[Outcome], plans: Sequence[Plan] = ()) -> Response:
    """Return the answer to a request. `plans`: the plan that answered each row, where it is not `plan` for all of them."""
    refused = sum(not isinstance(outcome, Answer | str) for outcome in outcomes)
    if refused and (task.is_single or task.fails or refused == len(outcomes)):
        return _refuse_rows(outcomes, refused)
    answered_by = {each.version: each for each in (plans or [plan])}.values()
    body = render(
        plan,
        outcomes,
        task.accepted,
        is_single=task.is_single,
        ignored=task.rows.ignored,
        columns=task.columns,
        plans=plans,
    )
    return Response(
        status=200,
        body=body,
        content_type=task.accepted.text,
        headers={
            "x-model-version": ", ".join(each.version for each in answered_by),
            "x-costs-version": plan.costs_version,
        },
        rows=len(outcomes),
        refused=refused,
    )


def refuse(bad: BadRequest) -> Response:
    """Return why a whole request has no answer."""
    problem = {"row": None, "field": None, "expected": bad.expected, "found": bad.found, "todo": bad.todo}
    return Response(status=bad.status, body=dump_json({"error": str(bad), "errors": [problem]}))


def answer_fault() -> Response:
    """Return the answer to a request that ran into a bug: never what was asked."""
    body = dump_json({"error": "A fault of the server; its log says where.", "errors": []})
    return Response(status=500, body=body)


def _refuse_rows(outcomes: Sequence[Outcome], refused: int) -> Response:
    errors = [
        each
        for row, outcome in enumerate(outcomes, 1)
        if not isinstance(outcome, Answer | str)
        for each in describe_problems(row, outcome)
    ]
    first = errors[0]
    where = f"{first['field']}: " if first["field"] else ""
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    error = f"Row {first['row']}: {where}expected {first['expected']}, found {first['found']}{more}."
    return Response(
        status=422, body=dump_json({"error": error, "errors": errors[:1000]}), rows=len(outcomes), refused=refused
    )


def _negotiate(request: Request) -> tuple[MediaType, MediaType, ReasonsFor, bool]:
    media = parse_media(request.content_type or JSON)
    if media.name not in NAMES:
        todo = "set Content-Type to what the body is"
        raise BadRequest(415, expected=f"Content-Type {', '.join(NAMES)}", found=media.name[:60] or "none", todo=todo)
    preferred = MediaType(
        media.name,
        {
            k: v
            for k, v in media.parameters.items()
            if media.name == CSV and k == "header" and v in ("present", "absent")
        },
    )
    accepted = choose_media(request.accept, preferred)
    if accepted is None:
        todo = "set Accept to one of these"
        raise BadRequest(406, expected=f"Accept of {', '.join(NAMES)}", found=request.accept[:60], todo=todo)
    reasons = request.query.get("reasons", "contacted")
    if reasons not in _REASONS:
        raise BadRequest(400, expected=f"reasons={'|'.join(_REASONS)}", found=reasons[:40], todo="correct the query")
    errors = request.query.get("errors", "row")
    if errors not in ("row", "fail"):
        raise BadRequest(400, expected="errors=row|fail", found=errors[:40], todo="correct the query")
    return media, accepted, cast(ReasonsFor, reasons), errors == "fail"


def _answer_records(plan: Plan, rows: Records, wanted: Wanted) -> list[Outcome]:
    if len(rows.records) <= ONE_BY_ONE:
        return [
            _answer_one(plan, record, wanted.reasons) if isinstance(record, Mapping) else record
            for record in rows.records
        ]
    columns = read_alike(plan, rows.records)
    if columns is not None:
        return _place(len(rows.records), {}, _score(plan, columns, range(len(rows.records)), wanted))
    problems: dict[int, tuple[FieldProblem, ...]] = {}
    good: list[Mapping[str, Any]] = []
    places: list[int] = []
    for place, record in enumerate(rows.records):
        if not isinstance(record, Mapping):
            problems[place] = record
            continue
        try:
            good.append(_plain(plan, record))
            places.append(place)
        except RefusedRow as refused:
            problems[place] = refused.problems
    return _place(len(rows.records), problems, _score(plan, to_columns(plan, good), places, wanted))


def _answer_one(plan: Plan, record: Mapping[str, Any], reasons: ReasonsFor) -> Outcome:
    try:
        return plan.answer(record, reasons=reasons)
    except RefusedRow as refused:
        return refused.problems


def _plain(plan: Plan, record: Mapping[str, Any]) -> Mapping[str, str | None]:
    """Return a record's fields as landed text. Raise RefusedRow if one is missing or holds more than a value."""
    resolved = plan.names.resolve(record)
    if resolved.keys() >= plan.names.required and _TEXTS.issuperset(map(type, resolved.values())):
        return resolved
    problems = list(plan.names.missing(resolved))
    texts: dict[str, str | None] = {}
    for field_ in plan.fields:
        if field_.name in resolved:
            try:
                texts[field_.name] = field_.as_landed(resolved[field_.name])
            except TypeError:
                problems.append(describe_nested(field_.name, resolved[field_.name]))
    if problems:
        # Everything that is wrong with the row, as if it had come alone.
        outcome = _answer_one(plan, record, "none")
        raise RefusedRow(cast("tuple[Any, ...]", outcome))
    return texts


def _place(count: int, problems: Mapping[int, Outcome], answered: Iterable[tuple[int, Outcome]]) -> list[Outcome]:
    """Return what became of each of `count` rows, in their order."""
    outcomes: list[Outcome | None] = [problems.get(place) for place in range(count)]
    for place, outcome in answered:
        outcomes[place] = outcome
    return cast("list[Outcome]", outcomes)


def _score(
    plan: Plan, columns: Mapping[str, pa.Array], places: Sequence[int], wanted: Wanted
) -> Iterator[tuple[int, Outcome]]:
    for start in range(0, len(places), AT_A_TIME):
        if wanted.is_late():
            raise TooLate
        some = places[start : start + AT_A_TIME]
        block = {name: column.slice(start, AT_A_TIME) for name, column in columns.items()}
        scored = score_block(plan, block, len(some), wanted=wanted.reasons)
        for row, problems in scored.block.problems.items():
            yield some[row], problems
        answers = to_json_rows(scored.columns(plan)) if wanted.as_json else scored.answers(plan)
        yield from zip(map(some.__getitem__, scored.block.places.tolist()), answers, strict=True)
