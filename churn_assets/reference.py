"""Make docs/reference.md from the code that it describes: `python -m churn_assets.reference`.

Its own words are in `reference.md.j2`. What specs, commands, settings, steps and predictions say of themselves is gathered here; the few texts
below are for columns that have no place of their own for them.
"""

import argparse
import dataclasses
import inspect
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa

from churn_assets.assets._columns import ASSIGNMENTS, describe_prediction_column
from churn_assets.cli.app import EXIT_CODES, build_parser
from churn_assets.cli.command import describe_argument
from churn_model import scoring
from churn_model.checks import Check
from churn_model.errors import sentence
from churn_model.ingest.files import ENDINGS
from churn_model.reports import step_report
from churn_model.spec import expression_parser, expressions
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Costs
from churn_model.spec.sections.endpoint import Endpoint
from churn_model.steps import compare, evaluate, ingest, list_layout, preprocess, retention_list, score, train
from churn_model.steps import contract as layout
from resources import settings
from resources.catalog import landing, pointers
from resources.ports import lake as lake_port

PAGE = settings.PROJECT / "docs" / "reference.md"
_TEMPLATE = Path(__file__).with_name("reference.md.j2")
_WIDTH = 140
_STEPS = (ingest, preprocess, train, evaluate, compare, score, retention_list, list_layout)
_REQUIRED = "required"


def reference() -> str:
    """Return the page."""
    markdown = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)  # noqa: S701  # no HTML
    markdown.filters |= {"wrap": _wrap, "table": _table}
    return markdown.from_string(_TEMPLATE.read_text("utf-8")).render(
        sections=list(_sections()),
        expressions=inspect.getdoc(expressions),
        functions=[
            (f"`{name}`", str(low) if low == high else f"{low} or more")
            for name, (low, high) in expression_parser.FUNCTIONS.items()
        ],
        commands=list(_commands()),
        exit_codes=EXIT_CODES,
        variables=list(_variables()),
        endings=", ".join(ENDINGS),
        results=[(f"`{step.__name__.rpartition('.')[2]}`", _result(step)) for step in _STEPS],
        blocks={"landing": _block(landing), "pointers": _block(pointers), "step": _block(layout)},
        manifest={"about": inspect.getdoc(lake_port.Manifest), "fields": list(_commented_fields(lake_port.Manifest))},
        report={"schema": step_report.REPORT_SCHEMA, "about": inspect.getdoc(step_report.StepReport)},
        check_fields=", ".join(field.name for field in dataclasses.fields(Check)),
        predictions=list(_predictions()),
        assignments=[(f"`{name}`", meaning) for name, meaning in ASSIGNMENTS.items()],
    )


def main(page: Path = PAGE) -> None:
    """Write the page."""
    page.write_text(reference(), "utf-8")
    sys.stdout.write(f"Written to {page}\n")


def _sections() -> Iterator[tuple[str, str, list[tuple[str, str, str]]]]:
    """Yield the spec and its sections: a name, what it is for, and a row per key."""
    yield "", inspect.getdoc(Dataset) or "", _keys(Dataset, "")
    for name, kind in _parts(Dataset):
        yield name, inspect.getdoc(kind) or "", _keys(kind, name)
        for inner, part in _parts(kind) if kind in (Costs, Endpoint) else ():
            yield f"{name}.{inner}", inspect.getdoc(part) or "", _keys(part, f"{name}.{inner}")


def _parts(kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys of a section that are sections, whether they may be left out or not, and what they hold."""
    for name, hint in typing.get_type_hints(kind).items():
        for part in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(part):
                yield name, part


def _keys(kind: Any, section: str) -> list[tuple[str, str, str]]:
    fields = [field for field in dataclasses.fields(kind) if field.name != "name"]  # a spec's name is that of its file
    return [(f"`{field.name}`", _default(field, section), _meaning_of_key(field)) for field in fields]


def _meaning_of_key(field: dataclasses.Field[Any]) -> str:
    text = str(field.metadata["description"])
    choices = _choices(field.type)
    return text if all(choice in text for choice in choices) else f"{text} One of: {', '.join(choices)}."


def _choices(hint: Any) -> tuple[str, ...]:
    """Return the words that a key may have, if they are a few."""
    if typing.get_origin(hint) is typing.Literal:
        return tuple(typing.get_args(hint))
    return next((found for part in typing.get_args(hint) if (found := _choices(part))), ())


def _default(field: dataclasses.Field[Any], section: str) -> str:
    if field.default_factory is not dataclasses.MISSING:
        anchor = f"{section}{field.name}".replace(".", "")
        return f"[see below](#{anchor})" if dataclasses.is_dataclass(field.default_factory) else "none"
    value = field.default
    if value is dataclasses.MISSING:
        return _REQUIRED
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(value)}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else f'{value:g}' if isinstance(value, float) else value}`"


def _commands() -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Yield each command: its name, what it does with an example, and a row per argument."""
    actions = build_parser()._actions
    for name, command in next(one for one in actions if isinstance(one, argparse._SubParsersAction)).choices.items():
        text, _, example = (command.description or "").partition("\n\n")
        arguments = [one for one in command._actions if not isinstance(one, argparse._HelpAction)]
        rows = [(f"`{_argument(one)}`", _meaning_of_argument(one)) for one in arguments]
        yield name, f"{text} Example: `{example.strip()}`", rows


def _argument(action: argparse.Action) -> str:
    value = str(action.metavar or action.dest.upper())
    if action.option_strings:
        return action.option_strings[-1] if action.nargs == 0 else f"{action.option_strings[-1]} {value}"
    return {"+": f"{value} ...", "?": f"[{value}]"}.get(str(action.nargs), value)


def _meaning_of_argument(action: argparse.Action) -> str:
    text = describe_argument(action)
    has_default = action.default not in (None, False, argparse.SUPPRESS) and "default" not in text
    return f"{text} (default {action.default})" if has_default else text


def _variables() -> Iterator[tuple[str, str, str]]:
    """Yield a row per environment variable, from the comments above the settings."""
    sections = (settings.Settings, settings.AlertSettings, settings.AwsSettings)
    source = "".join(inspect.getsource(section) for section in sections)
    for name, text, default in re.findall(r"# ([A-Z]+_\w+): (.+) \(default: (.+)\)", source):
        yield f"`{name}`", default, sentence(text)


def _result(step: types.ModuleType) -> str:
    found = re.search(r"Result: (.+)", " ".join((inspect.getdoc(step) or "").split()))
    return found[1] if found else ""


def _predictions() -> Iterator[tuple[str, str, str]]:
    for field in scoring.prediction_schema(pa.schema([pa.field("_as_of", pa.date32())])):
        yield f"`{field.name}`", str(field.type), describe_prediction_column(field.name) or ""


def _commented_fields(kind: Any) -> Iterator[tuple[str, str]]:
    """Yield a row per field of a dataclass, with the comment beside it."""
    comments = dict(re.findall(r"^    (\w+): .*?# (.+)$", inspect.getsource(kind), re.MULTILINE))
    for field in dataclasses.fields(kind):
        yield f"`{field.name}`", sentence(comments.get(field.name, f"the {field.name}"))


def _block(module: types.ModuleType) -> str:
    """Return the lines of a module's docstring that are set in columns."""
    lines = [line for line in (inspect.getdoc(module) or "").splitlines() if re.search(r"\S {3,}\S", line)]
    return textwrap.dedent("\n".join(lines))


def _table(rows: Iterable[Sequence[str]], *names: str) -> str:
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in [names, *cells]]
    return "\n".join([lines[0], "|" + "---|" * len(names), *lines[1:]])


def _wrap(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    main()
