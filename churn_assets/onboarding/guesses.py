"""Guess what the columns of an undescribed table are for, each guess with its reason.

Leaks are guessed by the code that checks a run (`churn_model.training.leak_detection`), so what is set aside here would be found there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from churn_assets.onboarding.keys import NUMBERS_ROWS, Guess, Key, guess_key, says_id
from churn_assets.onboarding.labels import LabelGuess, guess_label
from churn_assets.onboarding.profile import ColumnProfile, Table, find_duplicate_columns, to_canonical
from churn_model.arrays import IntArray
from churn_model.column_types.spelling import NO, YES
from churn_model.errors import TooLittleData
from churn_model.ingest.values import normal_label, parse_as_of
from churn_model.spec.dataset import NO_ID, Dataset, Kind
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.split import Split
from churn_model.training.leak_detection import MOST_ROWS, find_certain_leaks, find_suspected_leaks
from churn_model.training.shares import Shares
from churn_model.training.split_shares import choose_for_leavers

FEWEST_OF_A_CLASS = 30
"""Rows of each class below which no leak is suspected: chance alone would find some."""
OWN_SHARE = 0.9
MOST_CODES = 100

_CODE = re.compile(
    r"\b(zip|zipcode|postal|postcode|area|branch|region|store|plan|product|country|state)( ?(code|id|no|number))?$|\b(code|zip|postal)\b"
)
_LAST = re.compile(r"\b(last|latest|final)\b.*\b(activity|action|event|status|state|contact|outcome)\b")
_OPT_OUT = re.compile(
    r"\b(do not|dont|no|opt(ed)? out( of)?)\b.*\b(call|calls|contact|phone)\b|^opt(ed)? out$|werbesperre|robinson"
    r"|\b(nicht|keine?)\b.*\b(anrufen?|kontaktieren|kontakt|werbung)\b|\bne pas (appeler|contacter)\b|\bno (llamar|contactar)\b"
)
_YES = frozenset(YES)
_NO = frozenset(NO)
_PARTS = frozenset({"train", "validation", "test"})


@dataclass(frozen=True)
class Guesses:
    """Everything guessed about a table."""

    label: LabelGuess
    key: Key
    split: Guess | None
    opt_out: Guess | None
    shares: Shares
    ignore: tuple[Guess, ...]
    types: tuple[Guess, ...]
    commas: tuple[Guess, ...]  # numbers that are not read as such
    features: tuple[ColumnProfile, ...]


def guess(name: str, table: Table, *, label: str | None, id_column: str | None) -> Guesses:
    """Return what the columns are for. Raise InputError if no column can be the label; CommandError if the named one cannot."""
    named = guess_label(table, label, None if id_column == NO_ID else id_column)
    key = guess_key(table, named, id_column)
    split, opt_out = _split(table), _opt_out(table, named.column)
    roles = {guessed.column for guessed in (named, key.id, key.as_of, split, opt_out) if guessed}
    others = tuple(column for column in table.columns if column.name not in roles)
    aside = {guessed.column: guessed for guessed in (*useless(others), *key.not_ids)}
    kept = tuple(column for column in others if column.name not in aside)
    aside |= {guessed.column: guessed for guessed in _leaks(name, table, kept, named, key)}
    for later, earlier, how in find_duplicate_columns(tuple(column for column in kept if column.name not in aside)):
        aside[later.name] = Guess(later.name, f"repeats {earlier.name} ({how})")
    features = tuple(column for column in kept if column.name not in aside)
    nested = tuple(Guess(column, f"holds {what}, which is not read") for column, what in table.nested)
    ignore = nested + tuple(aside[column.name] for column in others if column.name in aside)
    commas = tuple(Guess(column.name, column.values[0]) for column in others if column.decimal_commas)
    types = (*key.types, *_types(features))
    return Guesses(named, key, split, opt_out, _shares(table, named), ignore, types, commas, features)


# --- other roles


def _split(table: Table) -> Guess | None:
    for column in table.columns:
        if {value.lower() for value in column.values} == _PARTS:
            return Guess(column.name, "says train, validation or test for each row")
    return None


def _shares(table: Table, label: LabelGuess) -> Shares:
    """Return what is chosen for a table of these labels, if no column splits it."""
    column = table.column(label.column)
    left = int(label.has_left(column).sum())
    return choose_for_leavers(Split(), min(left, column.known - left))


def _opt_out(table: Table, label: str) -> Guess | None:
    for column in table.columns:
        plain = {normal_label(value) for value in column.values}
        if column.name != label and _OPT_OUT.search(column.words) and plain and plain <= _YES | _NO:
            return Guess(column.name, "customers with a yes here are never listed")
    return None


# --- what is no feature


def useless(columns: tuple[ColumnProfile, ...]) -> Iterator[Guess]:
    """Yield the columns that cannot be features, judged by their values and names alone."""
    for column in columns:
        if column.known == 0:
            yield Guess(column.name, "has no values")
        elif column.distinct == 1 and column.known == column.rows:
            yield Guess(column.name, "has only one value")
        elif NUMBERS_ROWS.search(column.words) or column.counts_rows:
            yield Guess(column.name, "numbers the rows")
        elif column.holds == "date" or column.other_dates:
            if column.date_kind is None:
                yield Guess(
                    column.name,
                    f"a date such as {column.values[0]}, in a form that is not recognised. To use it, write its format "
                    "under types, such as `date %d/%m/%Y`",
                )
        elif column.decimal_commas:
            continue
        elif (
            column.own_share >= OWN_SHARE
            and column.distinct > 20
            and (column.holds == "text" or (column.whole_numbers and (says_id(column) or _begins_with_zero(column))))
        ):
            yield Guess(column.name, "differs in nearly every row, as an id does")


def _leaks(name: str, table: Table, columns: tuple[ColumnProfile, ...], label: LabelGuess, key: Key) -> Iterator[Guess]:
    """Yield what the checks of a run would call a leak, on a sample of the rows."""
    column = table.column(label.column)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(column.codes >= 0))[:MOST_ROWS]
    y = label.has_left(column)[rows]
    found: dict[str, str] = {}
    if min(y.sum(), (~y).sum()) >= FEWEST_OF_A_CLASS and columns:
        sample, spec = _as_canonical(table, columns, rows, y, key), _spec(name, label, key, columns)
        certain = find_certain_leaks(sample, spec)
        found = {leak.column: f"certainly a leak: {leak.why}" for leak in certain}
        try:
            suspected = find_suspected_leaks(sample.drop_columns(list(found)), spec, threads=1)
        except TooLittleData:
            suspected = ()
        found |= {
            leak.column: f"possibly a leak: {leak.why}. If it is known before a customer leaves, move it to known"
            for leak in suspected
        }
    for column in columns:
        if column.name in found:
            yield Guess(column.name, found[column.name])
        elif _LAST.search(column.words):
            yield Guess(
                column.name,
                "possibly a leak: the last event may come after the outcome. If not, move it to known",
            )


def _spec(name: str, label: LabelGuess, key: Key, columns: tuple[ColumnProfile, ...]) -> Dataset:
    kinds: dict[str, Kind] = {guessed.column: "category" for guessed in _types(columns) if guessed.says == "category"}
    return Dataset(
        name=name,
        label=Label(column=label.column, positive=label.positive),
        as_of=key.as_of.column if key.as_of else None,
        types=kinds | {guessed.column: guessed.says for guessed in key.types},
    )


def _as_canonical(
    table: Table,
    columns: tuple[ColumnProfile, ...],
    rows: IntArray,
    y: np.ndarray[tuple[int], np.dtype[np.bool_]],
    key: Key,
) -> pa.Table:
    made = {"_label": pa.array(y.astype(np.int8))}
    if key.as_of:
        date = table.column(key.as_of.column)
        days = [date.values[code] if code >= 0 else None for code in date.codes[rows]]
        kinds = {guessed.column: guessed.says for guessed in key.types}
        form = Dataset(name="", label=Label(column="", positive=("",)), as_of=date.name, types=kinds).as_of_format
        made["_as_of"] = parse_as_of(pa.array(days, pa.string()), form).values
    return pa.table(made | {column.name: to_canonical(column, rows) for column in columns})


def _begins_with_zero(column: ColumnProfile) -> bool:
    """Return whether some values begin with a 0 that no quantity would have."""
    return any(re.match(r"[+-]?0\d", value) for value in column.values)


def _types(columns: tuple[ColumnProfile, ...]) -> Iterator[Guess]:
    for column in columns:
        if column.holds != "number":
            continue
        if column.distinct == 2 and set(column.values) <= {"0", "1", "0.0", "1.0"}:
            yield Guess(column.name, "0 and 1 mean no and yes", "category")
        elif _begins_with_zero(column):
            yield Guess(column.name, "values begin with 0: codes, not quantities", "category")
        elif column.whole_numbers and _CODE.search(column.words) and column.distinct <= MOST_CODES:
            yield Guess(column.name, f"{column.distinct} codes, not a quantity", "category")
        elif column.not_numbers:
            yield Guess(
                column.name,
                f"{column.not_numbers:,} of {column.rows:,} values are not numbers: those rows go to quarantine",
                "number",
            )
