"""Write the first spec of a dataset from the profile of one file, each guess with its reason: what `churn new NAME FILE` prints."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from churn_assets.onboarding.guesses import Guesses, guess
from churn_assets.onboarding.keys import Key
from churn_assets.onboarding.profile import MOST_ROWS, Table, profile_file
from churn_model.ingest.formats.base import NO_OPTIONS, Options
from churn_model.spec.dataset import NO_ID, Dataset
from churn_model.spec.sections.costs import Costs
from churn_model.spec.sections.split import Split
from resources.errors import CommandError
from resources.specs.loader import name_problem

MORE = "# --- Further sections with their defaults. Uncomment a section to change it."
LONGEST_LINE = 120
NO_ID_MEANS = (
    "each row is a customer of its own: no customer has two rows, and nobody on the list can be called by name"
)
_NO_ID_LINE = f"id: {NO_ID} # {NO_ID_MEANS}"
_SECTIONS = ("split", "list", "search", "gate", "schedule", "watch", "source", "format")


def propose(
    name: str,
    file: Path,
    *,
    label: str | None = None,
    id: str | None = None,  # noqa: A002 - the word that the spec uses
    options: Options = NO_OPTIONS,
    folder: Path | None = None,
) -> str:
    """Return the text of datasets/<name>.yaml for a file of customers; it loads as it is.

    `label`, `id` and `options` override what is guessed; `folder` is where the text will be saved. Raise CommandError for a name that no dataset
    can have and for a file or column that does not exist; InputError for a file that cannot be read or has no column for the label.
    """
    table = examine(name, file, options)
    return write_text(name, file, table, guess(name, table, label=label, id_column=id), folder)


def examine(name: str, file: Path, options: Options) -> Table:
    """Return the profile of a file. Raise CommandError for a name that no dataset can have, and whatever profiling raises."""
    wrong = name_problem(name)
    if wrong:
        raise CommandError(wrong)
    return profile_file(file, options)


def write_text(name: str, file: Path, table: Table, guesses: Guesses, folder: Path | None) -> str:
    """Return the text of a spec that says what was guessed; `folder` is where it will be saved."""
    return (
        "\n".join(
            [
                *_schema(folder),
                *_head(name, file, table),
                *_source(table),
                *_key(guesses),
                *_columns(guesses),
                *_money(),
                "",
                MORE,
                *_more(guesses, table),
            ]
        )
        + "\n"
    )


def scalar(text: str) -> str:
    """Return a text as a YAML scalar that is valid anywhere, quoted if it must be."""
    written = yaml.safe_dump([text], default_flow_style=True, allow_unicode=True, width=100_000).strip()
    return written.removeprefix("[").removesuffix("]")


def _quoted(text: str) -> str:
    return yaml.safe_dump(
        [text], default_flow_style=True, default_style='"', allow_unicode=True, width=100_000
    ).strip()[1:-1]


def _schema(folder: Path | None) -> Iterator[str]:
    """Yield the line that tells editors the schema, if the file exists there as it does in the project."""
    if folder is None or (folder.parent / "docs" / "dataset.schema.json").is_file():
        yield "# yaml-language-server: $schema=../docs/dataset.schema.json"


def _head(name: str, file: Path, table: Table) -> Iterator[str]:
    of_which = f"{table.rows:,} rows" if table.whole else f"the first {MOST_ROWS:,} rows"
    yield f"# {name}: a first spec, guessed from {of_which} of {_in_comment(file.name[-60:])}. Correct what is wrong."
    if table.faults:
        first = table.faults[0]
        why = _in_comment(f"line {first.line}: expected {first.expected}, found {first.found}")
        yield f"# {len(table.faults):,} more records cannot be read and would go to quarantine, such as {why}."
    for remark in table.remarks:
        yield f"# {_in_comment(remark)}."
    yield ""


def _source(table: Table) -> Iterator[str]:
    """Name the sheet that was read, if there was a choice."""
    options = table.options
    if options.sheet:
        others = ", ".join(repr(sheet) for sheet in table.sheets if sheet != options.sheet)
        if others:
            yield f"# The workbook has other sheets: {_in_comment(others)}. For one of them, run churn new again with --sheet."
        yield f"source: {{sheet: {scalar(options.sheet)}}}"
        yield ""
    written = {
        **({"encoding": options.encoding} if options.encoding else {}),
        **({"quotes": "backslash"} if options.backslash else {}),
    }
    if written:
        yield f"format: {{{', '.join(f'{key}: {value}' for key, value in written.items())}}} # how text files are written"
        yield ""


def _in_comment(text: str) -> str:
    """Return a text that stays within one comment and that a terminal can show."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _key(guesses: Guesses) -> Iterator[str]:
    key = guesses.key
    if key.id:
        why = _in_comment(key.id.why)
        line = f"id: {scalar(key.id.column)} # {why}"
        yield from [line] if len(line) <= LONGEST_LINE else [f"# {why}", f"id: {scalar(key.id.column)}"]
    elif key.no_id:
        yield _NO_ID_LINE
    else:
        yield "# WHAT NAMES A CUSTOMER? No column was recognized as the id, and nothing is promoted until the spec says. Uncomment one line:"
        yield from (f"# {line}" for line in id_lines(key))
    if key.as_of:
        yield f"as_of: {scalar(key.as_of.column)} # the day a row describes: {key.as_of.why}"
        yield "horizon: 30d # how far beyond that day the label looks; check it"
    label = guesses.label
    yield ""
    yield "label:"
    yield f"  column: {scalar(label.column)}"
    if label.doubt:
        yield f"  # A GUESS: READ IT. {_in_comment(label.doubt)}."
        yield "  # If it is the other way round, swap positive and negative, or the list will name the customers who stay."
    yield from (f"  # {_in_comment(sentence)}" for sentence in label.means)
    yield f"  positive: [{', '.join(_quoted(value) for value in label.positive)}] # {label.why}"
    if label.negative:
        yield f"  negative: [{', '.join(_quoted(value) for value in label.negative)}] # rows with any other value go to quarantine"
    means = "converted" if "conver" in label.column.lower() else "left"
    yield f"  means: {means} # in words for the report, such as: cancelled within 30 days"


def id_lines(key: Key) -> Iterator[str]:
    """Yield the lines of which the spec needs one if nothing says what names a customer."""
    yield from (f"id: {scalar(one.column)} # {_in_comment(one.why)}" for one in key.candidates)
    yield _NO_ID_LINE


def _columns(guesses: Guesses) -> Iterator[str]:
    if guesses.ignore:
        yield ""
        yield "ignore: # never a feature"
        for one in guesses.ignore:
            why = _in_comment(one.why)
            line = f"  - {scalar(one.column)} # {why}"
            yield from [line] if len(line) <= LONGEST_LINE else [f"  # {why}", f"  - {scalar(one.column)}"]
    if guesses.types:
        yield ""
        yield "types: # only where the values are misleading"
        yield from (f"  {scalar(one.column)}: {one.says} # {one.why}" for one in guesses.types)
    if guesses.commas:
        yield ""
        yield "# These numbers may be read in several ways: export the columns in one, or name their format under types, such as"
        yield "# `number 1.234,5`. If one of them does not hold numbers, list it under types as a category."
        yield from (f"#   {scalar(one.column)}: {_in_comment(one.why)}" for one in guesses.commas)
    if guesses.split:
        yield ""
        yield f"split: {{by: column, column: {scalar(guesses.split.column)}}} # {guesses.split.why}"
    elif _is_small(guesses):
        validation, test = guesses.shares.split.validation_share, guesses.shares.split.test_share
        yield ""
        yield f"# {guesses.shares.leavers:,} rows have the rarer outcome: this share of test holds about {guesses.shares.leavers * test:.0f} of them"
        yield f"split: {{validation: {validation:g}, test: {test:g}}}"
    elif guesses.shares.judged_on == "outer_folds":
        yield ""
        yield f"# Of the rarer outcome there are {guesses.shares.leavers:,} rows, too few for a test split. While `split` leaves its shares open,"
        yield "# models are judged by outer folds."
    if guesses.opt_out:
        yield ""
        yield "list:"
        yield f"  opt_out: {scalar(guesses.opt_out.column)} # {guesses.opt_out.why}"


def _money() -> Iterator[str]:
    yield ""
    yield "costs: # per customer, for each outcome; replace them with your own"
    described = {field.name: str(field.metadata["description"]) for field in dataclasses.fields(Costs)}
    for cell in ("false_negative", "false_positive", "true_positive", "true_negative"):
        yield f"  {cell}: {getattr(Costs(), cell):g} # {described[cell]}"


def _more(guesses: Guesses, table: Table) -> Iterator[str]:
    yield ""
    yield "# known: [] # suspected leaks that are in fact known before a customer leaves"
    numbers = _find_summands(guesses)
    if numbers:
        total = "total " + re.split(r"[\W_]+", numbers[0].lower())[-1]
        expression = " + ".join(f"`{name.replace('`', '``')}`" for name in numbers)
        yield ""
        yield "# derived: # new columns computed from numbers: a total often says more than its parts"
        yield f"#   {scalar(total)}: {_quoted(expression)}"
    if guesses.features:
        first = guesses.features[0].name
        yield ""
        yield "# words: # how a column reads as a reason on the retention list"
        yield f"#   {scalar(first)}: {_quoted(first.replace('{', '(').replace('}', ')') + ': {value}')}"
    options = table.options
    written = options.encoding or options.backslash or None
    split = guesses.split or _is_small(guesses) or None
    given = {"split": split, "list": guesses.opt_out, "source": options.sheet, "format": written}
    for section in _SECTIONS:
        if given.get(section) is None:
            yield ""
            yield from _section(section)


def _is_small(guesses: Guesses) -> bool:
    """Return whether the table needs a larger test split than others, and has the customers for it."""
    return guesses.shares.judged_on == "test" and guesses.shares.split.test_share > Split().test_share


def _find_summands(guesses: Guesses) -> list[str]:
    """Return three or more number columns whose names end with the same word, such as `Day Charge` and `Eve Charge`."""
    groups: dict[str, list[str]] = {}
    categories = {one.column for one in guesses.types if one.says == "category"}
    for column in guesses.features:
        if column.holds == "number" and column.name not in categories and " " in column.words:
            groups.setdefault(column.words.split()[-1], []).append(column.name)
    return next((names for names in groups.values() if len(names) >= 3), [])


def _section(name: str) -> Iterator[str]:
    section = next(field for field in dataclasses.fields(Dataset) if field.name == name)
    defaults: Any = section.default_factory() if callable(section.default_factory) else section.default
    yield f"# {name}: # {section.metadata['description']}"
    for field in dataclasses.fields(defaults):
        yield f"#   {field.name}:{_value(getattr(defaults, field.name))} # {field.metadata['description']}"


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return " [" + ", ".join(scalar(part) for part in value) + "]"
    if isinstance(value, bool):
        return " true" if value else " false"
    return f" {value:g}" if isinstance(value, float) else f" {scalar(value) if isinstance(value, str) else value}"
