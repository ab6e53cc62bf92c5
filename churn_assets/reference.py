"""docs/reference.md, made from the code that it describes: `python -m churn_assets.reference`.

Belongs here: gathering what specs, commands, settings, steps and predictions say of themselves. Does not belong here: anything that could be
said beside the code instead; the few words below are for columns that have no place of their own for them.
"""

import argparse
import dataclasses
import inspect
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from churn_assets.cli.app import EXIT_CODES, build_parser
from churn_model import scoring
from churn_model.checks import Check
from churn_model.decisions.retention_list import REASONS
from churn_model.ingest.files import ENDINGS
from churn_model.reports import step_report
from churn_model.spec import expressions
from churn_model.spec.dataset import Contact, Costs, Dataset
from churn_model.steps import compare, evaluate, ingest, preprocess, retention_list, score, train
from churn_model.steps import contract as layout
from resources import settings
from resources.catalog import landing, pointers
from resources.ports import lake as lake_port

PAGE = settings.PROJECT / "docs" / "reference.md"
_WIDTH = 140
_STEPS = (ingest, preprocess, train, evaluate, compare, score, retention_list)

_DEFAULTS = {
    "CHURN_HOME": "`churn_home` in the project's folder",
    "CHURN_DATASETS": "`datasets` in the project's folder",
    "CHURN_STEP_PYTHON": "the interpreter that runs `churn`",
    "CHURN_THREADS": "2; 1 on a machine with one core",
    "DAGSTER_HOME": "`dagster` in `CHURN_HOME`",
    "CHURN_EXECUTOR": "`in_process`",
    "CHURN_ALERT_COMMAND": "none; alerts are lines of `alerts.log` in `CHURN_HOME`",
    "CHURN_ALERT_WEBHOOK": "none",
    "CHURN_ALLOWED_HOSTS": "none",
}
_PREDICTIONS = {
    "id": "The customer's id, exactly as landed.",
    "as_of": "The snapshot's date, where the spec names one.",
    "churn_probability": "Calibrated, from 0 to 1.",
    "will_churn": "Whether contacting this customer is expected to pay: the probability is at or above the cutoff.",
    "expected_saving": "Money that a contact is expected to save, its cost taken off.",
    "reason": "What raised the risk most, in words. Null unless `will_churn`, and where there is no further reason.",
    "contribution": "The size of that reason, in log odds.",
    "model_version": "The model that scored the row.",
}
_ASSIGNMENTS = {
    "listed": "On the list, held out or not.",
    "held_out": "On the list, and not contacted, so that the effect can be measured.",
    "contacted": "To be contacted.",
    "propensity": "The chance of being contacted that the customer was drawn with; 0 off the list, 1 without a hold-out. Compare customers of one value.",
    "left_out": f"Why it is not on the list: {', '.join(REASONS[1:])}.",
}


def reference() -> str:
    """The page."""
    parts = (_head(), _spec(), _expressions(), _commands(), _environment(), _lake(), _reports(), _predictions())
    return "\n".join(line for part in parts for line in part)


def main(page: Path = PAGE) -> None:
    """Write the page."""
    page.write_text(reference(), "utf-8")
    sys.stdout.write(f"Written to {page}\n")


def _head() -> Iterator[str]:
    yield "<!-- Made by `python -m churn_assets.reference`. Change the code that it describes, then make it again. -->"
    yield "# Reference"
    yield ""
    yield from _wrapped(
        "[The spec](#the-spec) · [Expressions](#expressions) · [Commands](#commands) · [Environment](#environment) · [The lake](#the-lake)"
    )
    yield from _wrapped("[report.json](#reportjson) · [Predictions](#predictions)")
    yield ""


# --- the spec


def _spec() -> Iterator[str]:
    yield "## The spec"
    yield ""
    yield from _wrapped(
        "`datasets/<name>.yaml`. Column names are the user's own and are matched without regard to case. Durations are a whole number and a "
        "unit: s, m, h or d. For editors: [dataset.schema.json](dataset.schema.json)."
    )
    yield ""
    yield from _table(
        ("key", "default", "meaning"), (_key(field) for field in _fields(Dataset) if field.name != "name")
    )
    for field in _fields(Dataset):
        kind = typing.get_type_hints(Dataset)[field.name]
        if dataclasses.is_dataclass(kind):
            yield from _section(field.name, kind)
        if kind is Costs:
            yield from _section("costs.contact", Contact)


def _section(name: str, kind: Any) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    yield from _wrapped(_plain(inspect.getdoc(kind) or ""))
    yield ""
    yield from _table(("key", "default", "meaning"), (_key(field) for field in _fields(kind)))


def _fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind)


def _key(field: dataclasses.Field[Any]) -> tuple[str, str, str]:
    text = str(field.metadata["description"])
    choices = _choices(field.type)
    if not all(choice in text for choice in choices):
        text += f" One of: {', '.join(choices)}."
    return f"`{field.name}`", _default(field), text


def _choices(hint: Any) -> tuple[str, ...]:
    """The words that may stand at a place, where it is one of a few."""
    if typing.get_origin(hint) is typing.Literal:
        return tuple(typing.get_args(hint))
    inner = [_choices(part) for part in typing.get_args(hint)]
    return next((found for found in inner if found), ())


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"[see below](#{field.name})" if dataclasses.is_dataclass(field.default_factory) else "none"
    if field.default is dataclasses.MISSING:
        return "required"
    value = field.default
    if value is None or value == ():
        return "none"
    shown = (
        f"[{', '.join(value)}]"
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
    return f"`{shown.lower() if isinstance(value, bool) else shown}`"


def _expressions() -> Iterator[str]:
    yield "## Expressions"
    yield ""
    yield from _wrapped("What `derived` may say. " + _plain(inspect.getdoc(expressions) or ""))
    yield ""
    functions = (
        (f"`{name}`", str(least) if least == most else f"{least} or more")
        for name, (least, most) in expressions.FUNCTIONS.items()
    )
    yield from _table(("function", "arguments"), functions)


# --- the command line and the environment


def _commands() -> Iterator[str]:
    parser = build_parser()
    yield "## Commands"
    yield ""
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        text, _, example = (command.description or "").partition("\n\n")
        yield f"### churn {name}"
        yield ""
        yield from _wrapped(f"{text} Example: `{example.strip()}`")
        yield ""
        given = [action for action in command._actions if not isinstance(action, argparse._HelpAction)]
        if given:
            yield from _table(
                ("argument", "meaning"), ((f"`{_argument(action)}`", _meaning(action)) for action in given)
            )
    yield from _wrapped(EXIT_CODES)
    yield ""


def _argument(action: argparse.Action) -> str:
    value = str(action.metavar or action.dest.upper())
    if action.option_strings:
        return action.option_strings[-1] if action.nargs == 0 else f"{action.option_strings[-1]} {value}"
    return {"+": f"{value} ...", "?": f"[{value}]"}.get(str(action.nargs), value)


def _meaning(action: argparse.Action) -> str:
    text = action.help or ""
    given = action.default not in (None, False, argparse.SUPPRESS) and "default" not in text
    return f"{text} (default {action.default})" if given else text


def _environment() -> Iterator[str]:
    yield "## Environment"
    yield ""
    variables = re.findall(r"(\w+): \w+  # ((?:CHURN|DAGSTER)_\w+): (.+)", inspect.getsource(settings.Settings))
    rows = (
        (f"`{name}`", _DEFAULTS[name], _sentence(f"{field} {text}" if text.startswith("of ") else text))
        for field, name, text in variables
    )
    yield from _table(("variable", "default", "meaning"), rows)


# --- files


def _lake() -> Iterator[str]:
    yield "## The lake"
    yield ""
    yield from _wrapped("A folder, `lake` in `CHURN_HOME`. What users drop:")
    yield ""
    yield from _blocks(landing)
    yield from _wrapped(f"Files end with {', '.join(ENDINGS)}. A name that begins with `.` or `_` is passed over.")
    yield ""
    yield from _wrapped("What is published is never changed. Pointers say which version is shown:")
    yield ""
    yield from _blocks(pointers)
    yield from _wrapped(
        "Versions lie below `<dataset>/<asset>/<version>/`, those of a batch below `<dataset>/<asset>/<batch>/<version>/`:"
    )
    yield ""
    yield from _table(("step", "files"), [(f"`{_name(step)}`", _result(step)) for step in _STEPS])
    yield from _wrapped(
        "Each version holds `report.json` and `_manifest.json`. " + _plain(inspect.getdoc(lake_port.Manifest) or "")
    )
    yield ""
    yield from _fields_in_code(lake_port.Manifest)


def _name(module: types.ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _result(step: types.ModuleType) -> str:
    found = re.search(r"Result: (.+)", _plain(inspect.getdoc(step) or ""))
    return found[1] if found else ""


def _reports() -> Iterator[str]:
    yield "## report.json"
    yield ""
    yield from _wrapped(
        f"What a step says of itself; its schema is number {step_report.REPORT_SCHEMA}. {_plain(inspect.getdoc(step_report.StepReport) or '')}"
    )
    yield ""
    keys = {
        "schema": "The number above.",
        "step": "The step's name.",
        "counts": "Whole numbers, by name.",
        "metrics": "Numbers, by name; null where there is none.",
        "checks": f"Each with {', '.join(field.name for field in dataclasses.fields(Check))}. What they mean: [checks](checks.md).",
        "detail": "Tables, curves and lists: the leaderboard, leaks, the evaluation, the gate's decision and its facts.",
        "files": "Each file of the version with its size, digest and rows (null where it is no table).",
    }
    yield from _table(("key", "holds"), ((f"`{key}`", meaning) for key, meaning in keys.items()))
    yield from _wrapped("A step's folders:")
    yield ""
    yield from _blocks(layout)


def _predictions() -> Iterator[str]:
    yield "## Predictions"
    yield ""
    yield from _wrapped(
        "`batch_predictions`, one row for each row of the batch, in the order of the customers' hashes:"
    )
    yield ""
    schema = scoring.prediction_schema(pa.schema([pa.field("_as_of", pa.date32())]))
    yield from _table(
        ("column", "type", "meaning"),
        ((f"`{field.name}`", str(field.type), _prediction(field.name)) for field in schema),
    )
    yield from _wrapped("`retention_list` (the assignments) holds the same rows and columns, and:")
    yield ""
    yield from _table(("column", "meaning"), ((f"`{name}`", meaning) for name, meaning in _ASSIGNMENTS.items()))


def _prediction(name: str) -> str:
    if name.startswith("reason_"):
        return _PREDICTIONS["contribution" if name.endswith("_contribution") else "reason"]
    return _PREDICTIONS[name]


# --- writing


def _table(names: Sequence[str], rows: typing.Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(names) + " |"
    yield "|" + "---|" * len(names)
    for row in rows:
        yield "| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in row) + " |"
    yield ""


def _fields_in_code(kind: Any) -> Iterator[str]:
    """A dataclass's fields with the comments beside them."""
    comments: Mapping[str, str] = dict(re.findall(r"^    (\w+): .*?# (.+)$", inspect.getsource(kind), re.MULTILINE))
    yield from _table(
        ("key", "holds"),
        (
            (f"`{field.name}`", _sentence(comments.get(field.name, f"the {field.name}")))
            for field in dataclasses.fields(kind)
        ),
    )


def _blocks(module: types.ModuleType) -> Iterator[str]:
    """The lines of a module's docstring that are set in columns or are rules of a grammar."""
    lines = [line for line in (inspect.getdoc(module) or "").splitlines() if re.search(r"\S {3,}\S|^\w+ +=", line)]
    yield "```text"
    yield from textwrap.dedent("\n".join(lines)).splitlines()
    yield "```"
    yield ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


def _plain(text: str) -> str:
    return " ".join(text.split())


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    main()
