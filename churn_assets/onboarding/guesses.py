"""Guess what the columns of an undescribed table are for, each guess with its reason.

Leaks are guessed by the code that checks a run (`churn_model.training.leak_detection`), so what is set aside here would be found there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from churn_assets.onboarding.profile import ColumnProfile, Table, find_duplicate_columns, to_canonical
from churn_model.arrays import IntArray
from churn_model.column_types.landed import quote_value
from churn_model.column_types.spelling import NO, YES
from churn_model.errors import InputError, TooLittleData, problem
from churn_model.ingest.values import normal_label
from churn_model.spec.column_names import name_key
from churn_model.spec.dataset import Dataset, Kind, Label
from churn_model.training.leak_detection import MOST_ROWS, certain_leaks, suspected_leaks
from resources.errors import CommandError

FEWEST_OF_A_CLASS = 30
"""Rows of each class below which no leak is suspected: chance alone would find some."""
ID_SHARE = 0.98
OWN_SHARE = 0.9
MOST_CODES = 100
MOST_LABEL_VALUES = 20

_ID = re.compile(
    r"\b(id|uuid|guid)$|^id\b|\b(customer|client|user|account|member|subscriber|prospect|lead|person)s?( ?(id|key|no|nr|number|code))$"
)
_ID_TOO = re.compile(
    r"\b(key|phone( number)?|msisdn|e ?mail( address)?|account|customer|client|member|subscriber|user|number|no|nr)$|id$"
)
_ROW = re.compile(r"^(row|record|line|serial|index|unnamed)( ?(number|no|nr|id|index|\d+))?$|^(s ?no|sr ?no)$")
_CODE = re.compile(
    r"\b(zip|zipcode|postal|postcode|area|branch|region|store|plan|product|country|state)( ?(code|id|no|number))?$|\b(code|zip|postal)\b"
)
_LAST = re.compile(r"\b(last|latest|final)\b.*\b(activity|action|event|status|state|contact|outcome)\b")
_OPT_OUT = re.compile(r"\b(do not|dont|no|opt(ed)? out( of)?)\b.*\b(call|calls|contact|phone)\b|^opt(ed)? out$")
_LEFT_NAMES = (
    re.compile(r"^(is |has )?churn(ed|er)?( ?(flag|label|value|yn|status))?$"),
    re.compile(r"\bchurn|\battrit|\bexited\b|\bleft\b|\bleaver\b"),
    re.compile(r"\b(convert(ed)?|conversion|cancel(l?ed|lation)?|lapsed|closed|terminated|unsubscribed|deactivated)\b"),
    re.compile(r"^(target|label|outcome|response|class|default|y)$"),
)
_LEFT_VALUE = re.compile(
    r"churn|attrit|\b(left|exited|leaver|gone|lost|cancel|lapsed|closed|convert|terminated|inactive)"
)
_STAYED_NAME = re.compile(
    r"(?<!not )(?<!non )(?<!no longer )\b(is|still)?(active|retain(ed)?|stay(s|ed)?|remain(s|ed)?|subscribed|renew(s|ed)?|loyal)\b"
    r"|^(is|still|current|existing)( a)? ?(customer|client|member|subscriber|user)$"
)
_YES = frozenset(YES)
_NO = frozenset(NO)
_PARTS = frozenset({"train", "validation", "test"})


@dataclass(frozen=True)
class Guess:
    """A column, what the spec should say about it, and why."""

    column: str
    why: str
    says: str = ""


@dataclass(frozen=True)
class LabelGuess:
    """The label: its column, the values that mean left, those that mean stayed if the spec must list them, a remark, and a doubt that must be read."""

    column: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    why: str
    doubt: str = ""


@dataclass(frozen=True)
class Guesses:
    """Everything guessed about a table."""

    label: LabelGuess
    id: Guess | None
    as_of: Guess | None
    split: Guess | None
    opt_out: Guess | None
    ignore: tuple[Guess, ...]
    types: tuple[Guess, ...]
    commas: tuple[Guess, ...]  # numbers that are not read as such
    features: tuple[ColumnProfile, ...]


def guess(name: str, table: Table, *, label: str | None, id_column: str | None) -> Guesses:
    """Return what the columns are for. Raise InputError if no column can be the label; CommandError if the named one cannot."""
    named = _label(table, label, id_column)
    key, as_of = _key(table, named.column, id_column)
    split, opt_out = _split(table), _opt_out(table, named.column)
    roles = {guessed.column for guessed in (named, key, as_of, split, opt_out) if guessed}
    others = tuple(column for column in table.columns if column.name not in roles)
    aside = {guessed.column: guessed for guessed in useless(others)}
    kept = tuple(column for column in others if column.name not in aside)
    aside |= {guessed.column: guessed for guessed in _leaks(name, table, kept, named, as_of)}
    for later, earlier, how in find_duplicate_columns(tuple(column for column in kept if column.name not in aside)):
        aside[later.name] = Guess(later.name, f"repeats {earlier.name} ({how})")
    features = tuple(column for column in kept if column.name not in aside)
    ignore = tuple(aside[column.name] for column in others if column.name in aside)
    commas = tuple(Guess(column.name, column.values[0]) for column in others if column.decimal_commas)
    return Guesses(named, key, as_of, split, opt_out, ignore, tuple(_types(features)), commas, features)


# --- the label


def _label(table: Table, wanted: str | None, id_column: str | None) -> LabelGuess:
    if wanted is not None:
        column = table.column(wanted)
        _require_who_stayed(column)
        if not 2 <= column.distinct <= MOST_LABEL_VALUES:
            found = f"{column.distinct} in {wanted!r}"
            raise CommandError(
                problem(
                    expected="a label of two values, or a few", found=found, todo="name another column with --label"
                )
            )
        return _label_values(column)
    two_valued = [
        column
        for column in table.columns
        if column.distinct == 2 and name_key(column.name) != name_key(id_column or "")
    ]
    ranked = [(rank, column) for column in two_valued if (rank := _label_rank(column)) is not None]
    if not ranked:
        for column in table.columns:
            if _label_rank(column) is not None:
                _require_who_stayed(column)
        candidates = ", ".join(repr(column.name[:40]) for column in two_valued[:20])
        found = f"columns of two values: {candidates}" if two_valued else "no column of two values"
        raise InputError(
            problem(
                expected="a column that says who left", found=found, todo="name it: churn new NAME FILE --label COLUMN"
            )
        )
    return _label_values(min(ranked, key=lambda one: one[0])[1])


def _require_who_stayed(column: ColumnProfile) -> None:
    """Raise InputError if a column says who left, by one value or a date, and has a blank for who stayed."""
    dates = column.holds == "date" or column.other_dates
    if 0 < column.known < column.rows and (column.distinct == 1 or dates):
        value = "a date" if dates else quote_value(column.values[0])
        raise InputError(
            problem(
                expected="a label that says who left and who stayed",
                found=f"{value} or a blank in {column.name[:40]!r}",
                todo=f"write the blanks as a value of their own, such as 0 or no{', and the dates as 1 or yes' * dates}, and run churn new again",
            )
        )


def _label_rank(column: ColumnProfile) -> int | None:
    for rank, pattern in enumerate(_LEFT_NAMES):
        if pattern.search(column.words):
            return rank
    return len(_LEFT_NAMES) if any(_LEFT_VALUE.search(value.lower()) for value in column.values) else None


def _label_values(column: ColumnProfile) -> LabelGuess:
    yes = tuple(value for value in column.values if normal_label(value) in _YES)
    left = tuple(value for value in column.values if _LEFT_VALUE.search(value.lower()))
    rarer = (column.values[int(np.argmin(column.counts))],)
    positive = yes if len(yes) == 1 else left if 0 < len(left) < column.distinct else rarer
    positive, doubt = _reconsider(column, positive, rarer) if positive is not rarer else (rarer, "")
    negative = tuple(value for value in column.values if value not in positive)
    why = f"{_share(column, positive):.1%} of the rows" + (
        "; a guess, the rarer value: check it" if positive is rarer and not doubt else ""
    )
    return LabelGuess(
        column.name, positive, () if all(normal_label(value) in _NO for value in negative) else negative, why, doubt
    )


def _reconsider(
    column: ColumnProfile, positive: tuple[str, ...], rarer: tuple[str, ...]
) -> tuple[tuple[str, ...], str]:
    """Return the values that mean left after a second thought, and a doubt to show: a model of who stays looks as good as one of who leaves."""
    share = _share(column, positive)
    is_yes = normal_label(positive[0]) in _YES
    says_left = not is_yes or any(pattern.search(column.words) for pattern in _LEFT_NAMES[:-1])
    named, written = repr(column.name[:40]), repr(positive[0][:40])
    if not says_left and _STAYED_NAME.search(column.words):
        no = tuple(value for value in column.values if normal_label(value) in _NO)
        return no or rarer, f"{named} sounds like customers who stayed, so {written} is taken to mean stayed"
    if share <= 0.5:
        return positive, ""
    if not says_left:
        return (
            rarer,
            f"{written} is in {share:.1%} of the rows, and most customers stay, so the rarer value is taken to mean left",
        )
    return (
        positive,
        f"{share:.1%} of the rows would have left, and most customers stay: perhaps this value means stayed",
    )


def _share(column: ColumnProfile, values: tuple[str, ...]) -> float:
    return sum(int(column.counts[column.values.index(value)]) for value in values) / column.known


# --- what names a row


def _key(table: Table, label: str, wanted: str | None) -> tuple[Guess | None, Guess | None]:
    """Return the id, and the date of the snapshot if ids repeat and a date tells their rows apart."""
    columns = [column for column in table.columns if column.name != label]
    dates = [column for column in columns if column.holds == "date"]
    named = table.column(wanted) if wanted is not None else None
    candidates = [
        column
        for column in columns
        if column.distinct > 2 and column.known >= ID_SHARE * column.rows and not _ROW.search(column.words)
    ]
    scored = [
        (score, column) for column in candidates if column.own_share >= ID_SHARE and (score := _id_score(column)) >= 2
    ]
    best = max(scored, key=lambda one: one[0], default=None)
    repeated = (
        [named]
        if named
        else [column for column in candidates if column.own_share < ID_SHARE and _ID.search(column.words)]
    )
    if named or best is None or not _ID.search(best[1].words):
        for column in repeated:
            for date in dates:
                if column.own_share < ID_SHARE and _pairs(column, date) >= ID_SHARE * column.rows:
                    return Guess(column.name, "one row for each customer and date"), Guess(
                        date.name, f"{date.distinct} dates"
                    )
    chosen = named or (best[1] if best else None)
    return (Guess(chosen.name, _id_remark(chosen)) if chosen else None), None


def _id_score(column: ColumnProfile) -> int:
    """Return how much a column with a different value in each row looks like an id."""
    text = column.holds == "text" and sum(map(len, column.values[:1000])) <= 40 * len(column.values[:1000])
    if not text and not column.whole_numbers:
        return 0
    hint = 4 if _ID.search(column.words) else 2 if _ID_TOO.search(column.words) else 0
    return hint + (1 if text else 0) + (1 if column.own_share == 1 else 0)


def _id_remark(column: ColumnProfile) -> str:
    more = column.known - column.distinct
    if not more:
        return f"each of the {column.rows:,} rows has its own"
    return (
        f"{more:,} of {column.rows:,} rows repeat an id: they go to quarantine unless a date (as_of) tells them apart"
    )


def _pairs(a: ColumnProfile, b: ColumnProfile) -> int:
    return len(np.unique(a.codes * (b.distinct + 1) + b.codes + 1))


# --- other roles


def _split(table: Table) -> Guess | None:
    for column in table.columns:
        if {value.lower() for value in column.values} == _PARTS:
            return Guess(column.name, "says train, validation or test for each row")
    return None


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
        elif _ROW.search(column.words) or column.counts_rows:
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
            and (column.holds == "text" or (column.whole_numbers and _is_id(column)))
        ):
            yield Guess(column.name, "differs in nearly every row, as an id does")


def _is_id(column: ColumnProfile) -> bool:
    return bool(_ID.search(column.words) or _ID_TOO.search(column.words))


def _leaks(
    name: str, table: Table, columns: tuple[ColumnProfile, ...], label: LabelGuess, as_of: Guess | None
) -> Iterator[Guess]:
    """Yield what the checks of a run would call a leak, on a sample of the rows."""
    column = table.column(label.column)
    codes = [code for code, value in enumerate(column.values) if value in label.positive]
    rows = np.random.default_rng(0).permutation(np.flatnonzero(column.codes >= 0))[:MOST_ROWS]
    y = np.isin(column.codes[rows], codes)
    found: dict[str, str] = {}
    if min(y.sum(), (~y).sum()) >= FEWEST_OF_A_CLASS and columns:
        sample, spec = _as_canonical(table, columns, rows, y, as_of), _spec(name, label, as_of, columns)
        certain = certain_leaks(sample, spec)
        found = {leak.column: f"certainly a leak: {leak.why}" for leak in certain}
        try:
            suspected = suspected_leaks(sample.drop_columns(list(found)), spec, threads=1)
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


def _spec(name: str, label: LabelGuess, as_of: Guess | None, columns: tuple[ColumnProfile, ...]) -> Dataset:
    kinds: dict[str, Kind] = {guessed.column: "category" for guessed in _types(columns) if guessed.says == "category"}
    return Dataset(
        name=name,
        label=Label(column=label.column, positive=label.positive),
        as_of=as_of.column if as_of else None,
        types=kinds,
    )


def _as_canonical(
    table: Table,
    columns: tuple[ColumnProfile, ...],
    rows: IntArray,
    y: np.ndarray[tuple[int], np.dtype[np.bool_]],
    as_of: Guess | None,
) -> pa.Table:
    made = {"_label": pa.array(y.astype(np.int8))}
    if as_of:
        date = table.column(as_of.column)
        days = [date.values[code][:10] if code >= 0 else None for code in date.codes[rows]]
        made["_as_of"] = pa.array(days, pa.string()).cast(pa.date32())
    return pa.table(made | {column.name: to_canonical(column, rows) for column in columns})


def _types(columns: tuple[ColumnProfile, ...]) -> Iterator[Guess]:
    for column in columns:
        if column.holds != "number":
            continue
        if column.distinct == 2 and set(column.values) <= {"0", "1", "0.0", "1.0"}:
            yield Guess(column.name, "0 and 1 mean no and yes", "category")
        elif any(re.match(r"[+-]?0\d", value) for value in column.values):
            yield Guess(column.name, "values begin with 0: codes, not quantities", "category")
        elif column.whole_numbers and _CODE.search(column.words) and column.distinct <= MOST_CODES:
            yield Guess(column.name, f"{column.distinct} codes, not a quantity", "category")
        elif column.not_numbers:
            yield Guess(
                column.name,
                f"{column.not_numbers:,} of {column.rows:,} values are not numbers: those rows go to quarantine",
                "number",
            )
