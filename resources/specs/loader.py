"""Specs: `datasets/<name>.yaml` read into `churn_model.spec.dataset.Dataset`, and what is wrong with one said all at once, by line.

A message reads `telco.yaml:12: costs.false_positive: expected ...; found ...; what to do`. Belongs here: shape, types, wording. Rules
between sections are in `spec_rules.py`, YAML itself in `yaml_document.py`.
"""

import copy
import dataclasses
import json
import math
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from churn_model.column_types.registry import column_types
from churn_model.errors import SpecError, problem
from churn_model.spec.dataset import BrokenRules, Dataset, Label
from resources.specs.rules import Finding, findings, wrong
from resources.specs.yaml_lines import Document, SpecProblem, Steps, place_of, read_document

SCHEMA_FILE = Path("docs") / "dataset.schema.json"
_NAME = re.compile(r"[a-z][a-z0-9]{1,11}")
_RESERVED = frozenset({"landing"})
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


@dataclass(frozen=True)
class Specs:
    """What a folder of specs holds: those that can be used by name, and what is wrong with each of the others."""

    datasets: Mapping[str, Dataset]
    bad: Mapping[str, SpecError]


def load_specs(folder: Path) -> Specs:
    """Every spec in a folder, by name; a bad one stops no other. Raises SpecError where there is no such folder."""
    datasets: dict[str, Dataset] = {}
    bad: dict[str, SpecError] = {}
    for path in sorted(
        path for path in _inside(folder) if path.suffix in (".yaml", ".yml") and not path.name.startswith(".")
    ):
        try:
            datasets[path.stem] = load_spec(path)
        except SpecError as error:
            bad[path.stem if path.suffix == ".yaml" else path.name] = error
    return Specs(datasets, bad)


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError) as error:
        text = problem(
            expected=f"a folder of specs at {folder}",
            found="none",
            todo="make one with `churn new`, or set CHURN_DATASETS",
        )
        raise SpecError(text) from error
    except OSError as error:
        todo = "see to its permissions, or set CHURN_DATASETS to another folder"
        raise SpecError(
            problem(expected=f"to read the folder of specs {folder}", found=error.strerror or str(error), todo=todo)
        ) from error


def load_spec(path: Path) -> Dataset:
    """The dataset that a file describes. Raises SpecError with every problem, a line each."""
    document = read_document(path)
    problems = list(document.problems)
    problems += [_problem(document, finding) for finding in _name_findings(path)]
    if isinstance(document.value, dict):
        dataset, found = _checked(path.stem, document)
        problems += [_problem(document, finding) for finding in found]
        if not problems:
            return dataset
    elif not document.problems:
        found_text = (
            "a list" if isinstance(document.value, list) else "text" if document.value is not None else "nothing"
        )
        problems.append(
            _problem(
                document,
                wrong((), "`key: value` lines", found_text, "start with `label: {column: ..., positive: [...]}`"),
            )
        )
    ordered = sorted(dict.fromkeys(problems), key=lambda one: one.line)
    raise SpecError(
        "\n".join(f"{path.name}:{one.line}: {one.place + ': ' if one.place else ''}{one.text}" for one in ordered)
    )


def schema_json() -> str:
    """The published JSON Schema of a spec, for editors; the text of docs/dataset.schema.json."""
    schema = TypeAdapter(Dataset).json_schema()
    del schema["properties"]["name"]
    schema["required"].remove("name")
    patterns = "|".join(one.pattern for one in reversed(column_types()))
    schema["properties"]["types"]["additionalProperties"]["pattern"] = f"^({patterns})$"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A dataset's spec"}
    return (
        json.dumps(
            head
            | {
                "description": "datasets/<name>.yaml",
                **{k: v for k, v in schema.items() if k not in ("title", "description")},
            },
            indent=2,
        )
        + "\n"
    )


def _problem(document: Document, finding: Finding) -> SpecProblem:
    return SpecProblem(document.line(finding.steps), place_of(finding.steps), finding.text)


def _name_findings(path: Path) -> Iterator[Finding]:
    if path.suffix != ".yaml":
        yield wrong((), "a file that ends with .yaml", path.name, f"rename it to {path.stem}.yaml")
    text = name_problem(path.stem)
    if text:
        yield Finding((), text)


def name_problem(name: str) -> str | None:
    """What is wrong with a dataset's name; None where nothing is."""
    if _NAME.fullmatch(name) and name not in _RESERVED:
        return None
    near = re.sub(r"^[0-9]+", "", re.sub(r"[^a-z0-9]", "", name.lower()))[:12]
    better = near if _NAME.fullmatch(near) and near not in _RESERVED else "customers"
    expected = "a dataset named by 2 to 12 lower-case letters and digits, a letter first, and not `landing`"
    return problem(expected=expected, found=repr(name[:40]), todo=f"name it {better}, and its file {better}.yaml")


# --- shape and types


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


@cache
def _adapter(section: str) -> TypeAdapter[Any]:
    return TypeAdapter(_hints(Dataset)[section])


def _checked(name: str, document: Document) -> tuple[Dataset, list[Finding]]:
    """The dataset with defaults in place of sections that cannot be read, and everything wrong with the document."""
    found: list[Finding] = []
    fields = {field.name: field for field in dataclasses.fields(Dataset) if field.name != "name"}
    sections: dict[str, Any] = {}
    for key, raw in document.value.items():
        if key not in fields:
            found.append(_unknown((), key, tuple(fields)))
        # A section whose lines are all commented out is one that is not there.
        elif raw is not None or key == "label":
            value, broken = _section(key, raw)
            found += broken
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
    return dataset, [*found, *findings(dataset, document)]


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
    """Take the innermost key on this way out."""
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
    near = get_close_matches(raw.strip().lower(), choices, n=1, cutoff=0.5) if isinstance(raw, str) else []
    if len(choices) == 1:
        return wrong(steps, f"only {choices[0]}", _describe_value(raw), f"write {choices[0]}, or remove the line")
    todo = f"did you mean {near[0]}?" if near else "write one of them"
    return wrong(steps, f"one of {', '.join(choices)}", _describe_value(raw), todo)


def _unknown(around: Steps, key: str, known: tuple[str, ...]) -> Finding:
    steps = (*around, key)
    if steps == ("name",):
        return wrong(steps, "no name", "one", "remove the line; the file's name is the dataset's")
    near = get_close_matches(key.strip().lower(), known, n=1)
    owner = next((section for section in _keys(()) if not around and key in _keys((section,))), None)
    if near:
        todo = f"did you mean {near[0]}?"
    elif owner:
        todo = f"move it under {owner}:"
    else:
        todo = f"remove it; {SCHEMA_FILE.as_posix()} tells what each is for"
    return wrong(steps, f"one of {', '.join(known)}" if len(known) > 1 else f"only {known[0]}", repr(key[:40]), todo)


def _describe_value(raw: Any) -> str:
    if isinstance(raw, str):
        return repr(raw if len(raw) <= 40 else raw[:39] + "…")
    return "nothing" if raw is None else "a list" if isinstance(raw, list) else "a mapping"


def _kind_at(steps: Steps) -> Any:
    """The dataclass at a place."""
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


if __name__ == "__main__":
    sys.stdout.write(schema_json())
