"""One customer of a batch: what the model says and why, and what it would say if values were others."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from churn_assets.assistant.desk import Desk, read_changes, read_text
from churn_assets.assistant.quoting import NOTE, known, quote
from churn_assets.model_server.customers import canonical_values, find_row, list_batches
from churn_assets.model_server.pages import describe_input
from churn_assets.model_server.sentences import (
    LOOKED_AT,
    NO_CUSTOMER,
    NO_REASON,
    OUTSIDE,
    describe_answer,
    describe_decision,
    describe_since,
    describe_sum,
    percent_of,
)
from churn_model.errors import ChurnError, problem
from churn_model.serving.explanation import Explanation, Part, explain_row
from churn_model.serving.fields import Field, RefusedRow, Role, describe_nested
from churn_model.serving.plan import Plan
from resources.catalog.names import ASSIGNMENTS, RETENTION_LIST
from resources.catalog.pointers import read_current
from resources.catalog.published_tables import open_published_table

MOST_PARTS = 12
WOULD = "The model says {}; with these values it would say {}."
WOULD_SAY = "What it says of changed values is what the model would say, not what would happen."


def explain_customer(desk: Desk, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the model says of a customer of a batch, why, and what became of them when the batch was scored."""
    plan, batch, key = _read_question(desk, arguments)
    values = _require_values(desk, plan, batch, key)
    found = explain_row(plan, plan.row(values))
    return {
        "batch": batch,
        "id": quote(key),
        "when_the_batch_was_scored": _find_assignment(desk, plan, batch, key),
        "now": _describe(plan, found),
        "since_the_batch_before": _find_since(desk, plan, batch, key, found),
        "values": {quote(field.name): quote(value) for field, value in zip(plan.fields, values, strict=True)},
        "about_reasons": LOOKED_AT,
        "note": NOTE,
    }


def ask_what_if(desk: Desk, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the model would say of a customer of a batch if some values were others."""
    plan, batch, key = _read_question(desk, arguments)
    values = _require_values(desk, plan, batch, key)
    changes = _parse_changes(plan, read_changes(arguments, "changes"))
    changed = [changes.get(field.name, value) for field, value in zip(plan.fields, values, strict=True)]
    _require_worth(plan, changed)
    before, after = explain_row(plan, plan.row(values)), explain_row(plan, plan.row(changed))
    return {
        "batch": batch,
        "id": quote(key),
        "changes": [
            {"field": quote(field.name), "from": quote(old), "to": quote(new), **_find_range(plan, field, new)}
            for field, old, new in zip(plan.fields, values, changed, strict=True)
            if field.name in changes
        ],
        "before": _describe(plan, before),
        "would_say": _describe(plan, after),
        **_compare(
            before,
            after,
            WOULD.format(percent_of(before.answer.churn_probability), percent_of(after.answer.churn_probability)),
        ),
        "about_changes": WOULD_SAY,
        "about_reasons": LOOKED_AT,
        "note": NOTE,
    }


def _read_question(desk: Desk, arguments: Mapping[str, Any]) -> tuple[Plan, str, str]:
    batch, key = read_text(arguments, "batch"), read_text(arguments, "id")
    return desk.plan(), desk.require_batch(batch), key


def _require_values(desk: Desk, plan: Plan, batch: str, key: str) -> list[Any]:
    row = find_row(desk.lake, plan, batch, key)
    if row is None:
        raise ChurnError(NO_CUSTOMER)
    values = canonical_values(plan, row)
    _require_worth(plan, values)
    return values


def _has_worth(plan: Plan, values: Sequence[Any]) -> bool:
    return not any(field.is_worth and value is None for field, value in zip(plan.fields, values, strict=True))


def _require_worth(plan: Plan, values: Sequence[Any]) -> None:
    if not _has_worth(plan, values):
        expected = "what the customer is worth, which decides at today's costs"
        todo = "score the batch again, or ask with a value for it"
        raise ChurnError(problem(expected=expected, found="none in this batch", todo=todo))


def _find_assignment(desk: Desk, plan: Plan, batch: str, key: str) -> dict[str, Any] | None:
    """Return what was decided for a customer's latest row; None if the batch has no list yet."""
    current = read_current(desk.lake, plan.dataset.name, RETENTION_LIST, batch)
    if current is None:
        return None
    found: dict[str, Any] | None = None
    for block in open_published_table(desk.lake, current.prefix + ASSIGNMENTS).blocks():
        for row in _rows_of(block, key):
            found = row  # a customer's rows are neighbours, by date: the last is the latest
    if found is None:
        return None
    decided = "contacted" if found["contacted"] else "held out" if found["held_out"] else found["left_out"]
    return {
        "decided": decided,
        "churn_probability": known(found["churn_probability"]),
        "expected_saving": known(found["expected_saving"]),
        "model_version": found["model_version"],
    }


def _find_since(desk: Desk, plan: Plan, batch: str, key: str, now: Explanation) -> dict[str, Any] | None:
    """Return what changed for a customer since the batch before; None if there is none, or they are not in it."""
    earlier = next((name for name in list_batches(desk.lake, plan.dataset.name) if name < batch), None)
    row = find_row(desk.lake, plan, earlier, key) if earlier else None
    if row is None:
        return None
    values = canonical_values(plan, row)
    if not _has_worth(plan, values):  # what it was then is not known; now is
        return None
    then = explain_row(plan, plan.row(values))
    return {"batch": earlier, **_compare(then, now, describe_since(then.answer, now.answer))}


def _rows_of(block: Any, key: str) -> list[dict[str, Any]]:
    return list(block.filter(pc.equal(block.column("id"), key)).to_pylist())


def _parse_changes(plan: Plan, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return new values, canonical, by the fields' own names. Raise RefusedRow with everything that is wrong with them."""
    fields = {field.name: field for field in plan.fields}
    resolved = plan.names.resolve(changes)
    unknown = plan.names.unknown(changes)
    fixed = [name for name in resolved if fields[name].role is Role.ID]
    if unknown or fixed:
        names = ", ".join(repr(quote(name)) for name in [*unknown, *fixed][:3])
        known_names = ", ".join(field.name for field in plan.fields if field.role is not Role.ID)
        expected = f"changes of fields of the model ({known_names})"
        raise ChurnError(problem(expected=expected, found=names, todo="name fields as they are"))
    found: dict[str, Any] = {}
    problems = []
    for name, value in resolved.items():
        try:
            parsed = fields[name].parse_value(fields[name].as_landed(value))
        except TypeError:
            problems.append(describe_nested(name, value))
            continue
        if parsed.wrong is not None:
            problems.append(fields[name].describe(parsed.wrong))
        found[name] = parsed.value
    if problems:
        raise RefusedRow(tuple(problems))
    return found


def _find_range(plan: Plan, field: Field, value: Any) -> dict[str, Any]:
    """Return the range that training saw of a number, and a sentence if the value lies outside."""
    described = describe_input(plan, field)
    if described["low"] is None:
        return {}
    outside = isinstance(value, int | float) and not described["low"] <= value <= described["high"]
    return {"seen": described["note"], **({"outside": f"{OUTSIDE}; {described['note']}"} if outside else {})}


def _describe(plan: Plan, found: Explanation) -> dict[str, Any]:
    answer = found.answer
    return {
        "says": describe_answer(answer),
        "churn_probability": answer.churn_probability,
        "decision": describe_decision(answer),
        "cutoff": known(answer.cutoff),
        "expected_saving": known(answer.expected_saving),
        "reasons": [quote(reason.text) for reason in answer.reasons] or [NO_REASON],
        "adds_in_log_odds": _describe_parts(found.parts),
        "base": known(found.base),
        "unknown": [quote(name) for name in answer.unknown],
        "model_version": plan.version,
        "costs_version": plan.costs_version,
    }


def _describe_parts(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Return the largest parts, and the sum of the others as one, so that they still add up."""
    shown = [{"name": quote(part.name), "contribution": known(part.contribution)} for part in parts[:MOST_PARTS]]
    rest = parts[MOST_PARTS:]
    if rest:
        shown.append({"name": f"{len(rest)} others", "contribution": sum(part.contribution for part in rest)})
    return shown


def _compare(before: Explanation, after: Explanation, sentence: str) -> dict[str, Any]:
    """Return what each reason adds more, or less, largest first; the differences add up."""
    old = {part.name: part.contribution for part in before.parts}
    changes = [Part(part.name, part.contribution - old[part.name]) for part in after.parts]
    moved = sorted((each for each in changes if each.contribution), key=lambda each: -abs(each.contribution))
    total = sum(each.contribution for each in changes)
    return {"says": [sentence, describe_sum(total)], "differences_in_log_odds": _describe_parts(moved)}
