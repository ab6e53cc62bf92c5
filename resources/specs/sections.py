"""Check the keys and types of a spec's sections with pydantic, and say what is wrong in a user's words."""

import copy
import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Any

from pydantic import TypeAdapter, ValidationError

from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.base import BrokenRules
from churn_model.spec.sections.label import Label
from resources.specs.json_schema import SCHEMA_FILE
from resources.specs.rules import Finding, findings, wrong
from resources.specs.yaml_lines import Document, Steps

_NUMBERS = {
    "float_parsing": "a number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
}
_TYPES = _NUMBERS | {
    "int_from_float": "a whole number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
}
_TODO = {
    "a number": "write digits, such as 500 or 0.2",
    "a whole number": "write digits, such as 20",
    "true or false": "write one of the two",
    "text": "write it, in quotes where it has : # ? or brackets",
    "a list": "write [one, two], or a line with - for each",
    "a mapping": "write `key: value` lines, indented below",
}


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


@cache
def _adapter(section: str) -> TypeAdapter[Any]:
    return TypeAdapter(_hints(Dataset)[section])


MOST_FINDINGS = 100
"""Of one kind. Thousands of wrong lines have one cause, and help nobody."""
_LIKE = 60  # characters of a text for which a similar one is looked for: the search is quadratic


def check_sections(name: str, document: Document) -> tuple[Dataset, list[Finding]]:
    """Return the dataset, with defaults in place of sections that cannot be read, and everything wrong with the document."""
    found: list[Finding] = []
    fields = {field.name: field for field in dataclasses.fields(Dataset) if field.name != "name"}
    sections: dict[str, Any] = {}
    for key, raw in document.value.items():
        if key not in fields:
            if len(found) < MOST_FINDINGS:
                found.append(_unknown((), key, tuple(fields)))
        # A section whose lines are all commented out is one that is not there.
        elif raw is not None or key == "label":
            value, broken = _section(key, raw)
            found += broken[:MOST_FINDINGS]
            if not broken:
                sections[key] = value
            elif key in ("id", "as_of"):
                sections[key] = ""
    if "label" not in document.value:
        found.append(
            wrong(
                (),
                "a label",
                "none",
                "add `label: {column: ..., positive: [...]}`: what is predicted, and which values mean: left",
            )
        )
    sections.setdefault("label", Label(column="", positive=("",)))
    dataset = Dataset(name=name, **sections)
    return dataset, [*found, *islice(findings(dataset, document), MOST_FINDINGS)]


def _section(key: str, raw: Any) -> tuple[Any, list[Finding]]:
    try:
        value = _adapter(key).validate_python(raw)
    except ValidationError as error:
        return None, [*_type_findings(key, error), *_broken_beside(key, raw, error)]
    return value, list(_infinite(value, (key,)))


def _broken_beside(section: str, raw: Any, error: ValidationError) -> Iterator[Finding]:
    """Return the rules that other keys of a section break, reported together with what has the wrong type, which hides them."""
    rest = copy.deepcopy(raw)
    for one in error.errors(include_url=False):
        if one["type"] != "value_error":
            _drop(rest, _written(one["loc"]))
    try:
        _adapter(section).validate_python(rest)
    except ValidationError as second:
        for one in second.errors(include_url=False):
            if one["type"] == "value_error":
                steps = (section, *_written(one["loc"]))
                # A rule between several keys may be broken only because one of them was left out.
                yield from (finding for finding in _broken_rules(steps, one) if len(finding.steps) > len(steps))


def _written(loc: Steps) -> Steps:
    """Where an error is, in keys as they are written: without the names of the types that were tried."""
    return tuple(step for step in loc if step not in ("float", "ValueColumn"))


def _drop(raw: Any, steps: Steps) -> None:
    """Remove the innermost key on a path."""
    around, key = None, None
    for step in steps:
        if not isinstance(raw, dict) or step not in raw:
            break
        around, key, raw = raw, step, raw[step]
    if around is not None:
        del around[key]


def _infinite(value: Any, steps: Steps) -> Iterator[Finding]:
    if isinstance(value, float) and not math.isfinite(value):
        yield wrong(steps, "a finite number", str(value), "write digits, such as 500 or 0.2")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _infinite(getattr(value, field.name), (*steps, field.name))


def _type_findings(section: str, error: ValidationError) -> Iterator[Finding]:
    for one in error.errors(include_url=False):
        # Where a number or {column: ...} may stand, each of the two complains; only the one that was meant is reported.
        branch = next((step for step in one["loc"] if step in ("float", "ValueColumn")), None)
        steps: Steps = (section, *_written(one["loc"]))
        raw = one["input"]
        if branch == "float" and not isinstance(raw, dict):
            yield wrong(
                steps,
                "a number, or {column: name}",
                _describe_value(raw),
                "write digits, or name the column that holds it",
            )
        elif branch == "float" or (branch == "ValueColumn" and one["type"] == "dataclass_type"):
            continue
        elif one["type"] == "value_error":
            yield from _broken_rules(steps, one)
        else:
            yield _type_finding(steps, one["type"], raw, one.get("ctx", {}))


def _type_finding(steps: Steps, kind: str, raw: Any, context: Mapping[str, Any]) -> Finding:
    if kind == "unexpected_keyword_argument":
        return _unknown(steps[:-1], str(steps[-1]), _keys(steps[:-1]))
    if kind == "missing":
        return wrong(steps, "a value", "none", f"add `{steps[-1]}: ...`: {_description(steps)}")
    if kind == "literal_error":
        return _not_one_of(steps, str(context["expected"]), raw)
    expected = _TYPES.get(kind, "something else")
    return wrong(steps, expected, _describe_value(raw), _TODO.get(expected, f"see {SCHEMA_FILE.as_posix()}"))


def _broken_rules(steps: Steps, error: Mapping[str, Any]) -> Iterator[Finding]:
    """Return the rules of its own that a section breaks, each at its key if it is about one."""
    broken: BrokenRules = error["ctx"]["error"]
    for key, expected, found, todo in broken.rules:
        yield wrong((*steps, key) if key else steps, expected, found, todo)


def _not_one_of(steps: Steps, quoted: str, raw: Any) -> Finding:
    choices = re.findall(r"'([^']*)'", quoted)
    near = get_close_matches(raw[:_LIKE].strip().lower(), choices, n=1, cutoff=0.5) if isinstance(raw, str) else []
    if len(choices) == 1:
        return wrong(steps, f"only {choices[0]}", _describe_value(raw), f"write {choices[0]}, or remove the line")
    todo = f"did you mean {near[0]}?" if near else "write one of them"
    return wrong(steps, f"one of {', '.join(choices)}", _describe_value(raw), todo)


def _unknown(around: Steps, key: str, known: tuple[str, ...]) -> Finding:
    steps = (*around, key)
    if steps == ("name",):
        return wrong(steps, "no name", "one", "remove the line; the file's name is the dataset's")
    near = get_close_matches(key[:_LIKE].strip().lower(), known, n=1)
    owner = next((section for section in _keys(()) if not around and key in _keys((section,))), None)
    if near:
        todo = f"did you mean {near[0]}?"
    elif owner:
        todo = f"move it under {owner}:"
    else:
        todo = f"remove it; {SCHEMA_FILE.as_posix()} describes them all"
    return wrong(steps, f"one of {', '.join(known)}" if len(known) > 1 else f"only {known[0]}", repr(key[:40]), todo)


def _describe_value(raw: Any) -> str:
    if isinstance(raw, str):
        return repr(raw if len(raw) <= 40 else raw[:39] + "…")
    return "nothing" if raw is None else "a list" if isinstance(raw, list) else "a mapping"


def _kind_at(steps: Steps) -> Any:
    """Return the dataclass at a place."""
    kind: Any = Dataset
    for step in steps:
        hint = _hints(kind).get(str(step)) if kind else None
        members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        kind = next((member for member in members if dataclasses.is_dataclass(member)), None)
    return kind


def _keys(steps: Steps) -> tuple[str, ...]:
    kind = _kind_at(steps)
    return tuple(field.name for field in dataclasses.fields(kind) if field.name != "name") if kind else ()


def _description(steps: Steps) -> str:
    text = next(
        str(field.metadata["description"])
        for field in dataclasses.fields(_kind_at(steps[:-1]))
        if field.name == steps[-1]
    )
    return text[:1].lower() + text[1:].rstrip(".")
