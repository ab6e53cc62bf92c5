"""Validation rules that span several sections of a spec."""

import re
import zoneinfo
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations

from churn_model.column_types.registry import column_type, column_types
from churn_model.column_types.spelling import NO
from churn_model.decisions.list_csv import LIST_COLUMNS
from churn_model.errors import SpecError, problem
from churn_model.ingest.values import normal_label
from churn_model.spec.column_names import name_key, same_name
from churn_model.spec.dataset import Dataset, Kind
from churn_model.spec.durations import DURATION, seconds
from churn_model.spec.expressions import compile_expression
from resources.specs.cron import cron_problem
from resources.specs.yaml_lines import Document, Steps

_CELLS = ("false_negative", "false_positive", "true_positive", "true_negative")
_MOST_LIST_COLUMNS = 50


@dataclass(frozen=True)
class Finding:
    """One thing wrong: where, and what."""

    steps: Steps
    text: str


_LIKE = 60  # characters of a text for which a similar one is looked for: the search is quadratic


def wrong(steps: Steps, expected: str, found: str, todo: str) -> Finding:
    """Return a finding as one message."""
    return Finding(steps, problem(expected=expected, found=found, todo=todo))


def findings(dataset: Dataset, document: Document) -> Iterator[Finding]:
    """Yield every broken rule. A section that could not be read is its default in `dataset`, and breaks none."""
    yield from _blank_texts(document.value, ())
    yield from _columns_with_two_roles(dataset)
    yield from _ignored_roles(dataset)
    yield from _vouched_and_ignored(dataset)
    yield from _names_that_differ_in_case(dataset)
    yield from _label_values(dataset)
    yield from _derived(dataset)
    yield from _types(dataset)
    yield from _groups(dataset)
    yield from _words(dataset)
    yield from _list_columns(dataset)
    yield from _money(dataset, document)
    yield from _time(dataset)


def _roles(dataset: Dataset) -> list[tuple[Steps, str, str]]:
    """Return the columns with a role that no feature can have: where the spec names them, the column, the role."""
    roles: list[tuple[Steps, str | None, str]] = [
        (("id",), dataset.id_column, "the id"),
        (("as_of",), dataset.as_of, "the snapshot's date"),
        (("label", "column"), dataset.label.column, "the label"),
        (("split", "column"), dataset.split.column, "the split"),
    ]
    return [(steps, column, role) for steps, column, role in roles if column]


def _keys(names: Iterable[str]) -> frozenset[str]:
    """Return the names as they are compared: a question for one of thousands costs no walk over them."""
    return frozenset(map(name_key, names))


def _blank_texts(value: object, steps: Steps) -> Iterator[Finding]:
    if isinstance(value, dict):
        for key, part in value.items():
            if not key.strip():
                yield wrong(
                    (*steps, key), "a name before the colon", "none", "write the column's name, or remove the line"
                )
            yield from _blank_texts(part, (*steps, key))
    elif isinstance(value, list):
        for n, part in enumerate(value):
            yield from _blank_texts(part, (*steps, n))
    elif isinstance(value, str) and not value.strip():
        yield wrong(steps, "text", "an empty one", "write it, or remove the line")


def _columns_with_two_roles(dataset: Dataset) -> Iterator[Finding]:
    roles = _roles(dataset)
    if dataset.list.opt_out:
        roles.append((("list", "opt_out"), dataset.list.opt_out, "the opt-out"))
    if dataset.costs.value_column:
        roles.append((("costs", "contact", "value", "column"), dataset.costs.value_column, "a customer's worth"))
    for (_, first, one), (steps, second, other) in combinations(roles, 2):
        if same_name(first, second):
            yield wrong(
                steps, "a column of its own", f"{second!r}, which is {one} already", f"name the column that is {other}"
            )


def _ignored_roles(dataset: Dataset) -> Iterator[Finding]:
    for _, column, role in _roles(dataset):
        for n, name in enumerate(dataset.ignore):
            if same_name(name, column):
                yield wrong(
                    ("ignore", n),
                    "columns that would be features",
                    f"{name!r}, {role}",
                    f"remove it here; {role} is never a feature",
                )
        for n, name in enumerate(dataset.known):
            if same_name(name, column):
                yield wrong(
                    ("known", n),
                    "columns that are features",
                    f"{name!r}, {role}",
                    f"remove it here; {role} is never a feature",
                )


def _vouched_and_ignored(dataset: Dataset) -> Iterator[Finding]:
    ignored = _keys(dataset.ignore)
    for n, name in enumerate(dataset.known):
        if name_key(name) in ignored:
            yield wrong(
                ("known", n),
                "a column that is not ignored",
                f"{name!r} under ignore too",
                "keep it under one of the two",
            )


def _names_that_differ_in_case(dataset: Dataset) -> Iterator[Finding]:
    for section, names in (
        ("types", dataset.types),
        ("derived", dataset.derived),
        ("groups", dataset.groups),
        ("words", dataset.words),
    ):
        firsts: dict[str, str] = {}
        for name in names:
            first = firsts.setdefault(name_key(name), name)
            if first != name:
                yield wrong(
                    (section, name),
                    "each column once",
                    f"{first!r} and {name!r}",
                    "remove one; case does not tell columns apart",
                )


def _label_values(dataset: Dataset) -> Iterator[Finding]:
    negative = {normal_label(value) for value in dataset.label.negative}
    for n, value in enumerate(dataset.label.positive):
        steps: Steps = ("label", "positive", n)
        if normal_label(value) in negative:
            yield wrong(
                steps, "a value that means: left", f"{value!r} under negative too", "keep it under one of the two"
            )
        elif not negative and normal_label(value) in NO:
            todo = "if it does, write what means stayed: negative: [...]"
            yield wrong(
                steps, "a value that means: left", f"{value!r}, which means stayed unless the spec says otherwise", todo
            )


def _derived(dataset: Dataset) -> Iterator[Finding]:
    ignored, derived = _keys(dataset.ignore), _keys(dataset.derived)
    categories = _keys(key for key, kind in dataset.types.items() if not kind.startswith("number"))
    for name, text in dataset.derived.items():
        steps: Steps = ("derived", name)
        for _, column, role in _roles(dataset):
            if same_name(name, column):
                yield wrong(steps, "a new column's name", f"{name!r}, {role}", "choose another name")
        if name.startswith("_"):
            yield wrong(steps, "a name that does not start with _", repr(name), "choose another name; those are ours")
        if name_key(name) in ignored:
            yield wrong(steps, "a column that is not ignored", f"{name!r} under ignore", "remove it here or there")
        try:
            columns = compile_expression(text).columns
        except SpecError as error:
            yield Finding(steps, str(error))
            continue
        yield from _derived_columns(dataset, name, columns, derived, categories)


def _derived_columns(
    dataset: Dataset, name: str, columns: tuple[str, ...], derived: frozenset[str], categories: frozenset[str]
) -> Iterator[Finding]:
    """Yield what is wrong with the columns of an expression. `derived` and `categories` are names as they are compared."""
    steps: Steps = ("derived", name)
    roles = _roles(dataset)
    for column in columns:
        for _, other, role in roles:
            if same_name(column, other):
                why = "it is what the model must predict" if role == "the label" else "it is no feature"
                yield wrong(steps, "an expression over features", f"{column!r}, {role}", f"take it out: {why}")
        if same_name(column, name):
            yield wrong(
                steps,
                "a new column's name",
                f"{name!r}, which the expression reads",
                "choose another name; a landed column is not replaced",
            )
        elif name_key(column) in derived:
            yield wrong(
                steps,
                "an expression over landed columns",
                f"{column!r}, which is derived",
                "write its expression out here",
            )
        if name_key(column) in categories:
            yield wrong(
                steps,
                "an expression over numbers",
                f"{column!r}, a category under types",
                "make it a number, or take it out",
            )


def _type(steps: Steps, kind: Kind) -> Iterator[Finding]:
    names = [one.name for one in reversed(column_types())]
    try:
        column_type(kind)
    except KeyError:
        near = get_close_matches(kind[:_LIKE].strip().lower(), names, n=1, cutoff=0.5)
        todo = f"did you mean {near[0]}?" if near else "write one of them"
        yield wrong(steps, f"one of {', '.join(names)}", repr(kind), todo)
    except ValueError as error:
        yield wrong(steps, str(error), repr(kind), "write the type alone, or what it expects after it")


def _types(dataset: Dataset) -> Iterator[Finding]:
    derived = _keys(dataset.derived)
    for name, kind in dataset.types.items():
        yield from _type(("types", name), kind)
        role = next((role for _, column, role in _roles(dataset) if same_name(name, column)), None)
        if role and not (same_name(name, dataset.as_of or "") and kind.startswith("date ")):
            yield wrong(
                ("types", name),
                "a column that is a feature",
                f"{name!r}, {role}",
                "remove the line; its type is given by its role",
            )
        if name_key(name) in derived:
            yield wrong(
                ("types", name),
                "a landed column",
                f"{name!r}, which is derived",
                "remove the line; a derived column is a number",
            )


def _groups(dataset: Dataset) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    not_features = dataset.not_features
    for group, columns in dataset.groups.items():
        for n, column in enumerate(columns):
            steps: Steps = ("groups", group, n)
            other = seen.setdefault(name_key(column), group)
            if other != group:
                yield wrong(
                    steps, "each column in one group", f"{column!r} in {other!r} too", "keep it in one of the two"
                )
            if name_key(column) in not_features:
                yield wrong(
                    steps, "a column that is a feature", f"{column!r}, which is none", "take it out of the group"
                )


def _words(dataset: Dataset) -> Iterator[Finding]:
    not_features = dataset.not_features
    for name, text in dataset.words.items():
        steps: Steps = ("words", name)
        if name_key(name) in not_features:
            yield wrong(
                steps,
                "a column that is a feature",
                f"{name!r}, which is none",
                "remove the line; it would never be read",
            )
        if re.search(r"[{}]", text.replace("{value}", "")):
            yield wrong(
                steps,
                "words in which {value} is the value",
                repr(text),
                "write no other braces than those of {value}",
            )


def _list_columns(dataset: Dataset) -> Iterator[Finding]:
    columns = dataset.list.columns
    if columns and dataset.id_column is None:
        todo = "name the column of the id under id: by it the columns are found"
        yield wrong(("list", "columns"), "an id beside columns for the list", "none", todo)
    if len(columns) > _MOST_LIST_COLUMNS:
        todo = "keep those that a caller reads"
        yield wrong(("list", "columns"), f"at most {_MOST_LIST_COLUMNS} columns", f"{len(columns):,}", todo)
    for n, column in enumerate(columns):
        if name_key(column) in _keys(LIST_COLUMNS):
            todo = "remove it, or land the column under another name"
            yield wrong(
                ("list", "columns", n), "a column that the list does not have yet", f"{column!r}, one of its own", todo
            )
        if name_key(column) in _keys(columns[:n]):
            todo = "remove one; case does not tell columns apart"
            yield wrong(("list", "columns", n), "each column once", f"{column!r} twice", todo)


def _money(dataset: Dataset, document: Document) -> Iterator[Finding]:
    costs = document.at(("costs",))
    if isinstance(costs, dict) and costs.get("contact") is not None:
        cells = [cell for cell in _CELLS if cell in costs]
        if cells:
            todo = "keep contact and remove the cells, or the other way round"
            yield wrong(("costs", "contact"), "either contact or the four cells", f"{', '.join(cells)} too", todo)
    source = document.at(("source",))
    if isinstance(source, dict) and "landing" in source and dataset.source.landing and dataset.source.table:
        yield wrong(
            ("source", "table"), "one source", "landing: true and a table", "write landing: false, or remove the table"
        )


def _time(dataset: Dataset) -> Iterator[Finding]:
    try:
        seconds(dataset.horizon)
    except ValueError:
        yield wrong(("horizon",), DURATION, repr(dataset.horizon), "write it like 30d, 12h or 60s")
    if dataset.split.by == "time" and dataset.as_of is None:
        todo = "name the snapshot's date, as_of: <column>, or split by: hash"
        yield wrong(("split", "by"), "as_of beside by: time", "no as_of", todo)
    cron = cron_problem(dataset.schedule.retrain)
    if cron:
        todo = 'write minute, hour, day, month, weekday: "0 6 * * 1" is Mondays at six'
        yield wrong(("schedule", "retrain"), "a cron line of five fields", cron, todo)
    zones = zoneinfo.available_timezones()
    if dataset.schedule.timezone not in zones:
        spelled = {zone.lower(): zone for zone in zones}
        near = get_close_matches(dataset.schedule.timezone[:_LIKE].lower().replace(" ", "_"), spelled, n=1)
        todo = (
            f"did you mean {spelled[near[0]]}?" if near else "write one such as UTC, Europe/Berlin or America/New_York"
        )
        yield wrong(("schedule", "timezone"), "an IANA time zone", repr(dataset.schedule.timezone), todo)
