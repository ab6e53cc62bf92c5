"""What the columns of an undescribed table are probably for, each guess with its reason.

Belongs here: guessing. Does not belong here: reading the file (`first_look.py`), the words of a spec (`new_dataset.py`), and what a leak is
(`churn_model.training.leak_detection`, which the checks of a run use too: what is set aside here is what would be found there).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from churn_assets.onboarding.profile import ColumnProfile, Table, canonical, repeats
from churn_model.arrays import IntArray
from churn_model.column_types.landed import quote_value
from churn_model.errors import InputError, TooLittleData, problem
from churn_model.ingest.values import DEFAULT_NEGATIVES, YES, normal_label
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
_NO = frozenset(DEFAULT_NEGATIVES)
_PARTS = frozenset({"train", "validation", "test"})


@dataclass(frozen=True)
class Guess:
    """A column, what the spec should say of it, and why."""

    column: str
    why: str
    says: str = ""


@dataclass(frozen=True)
class LabelGuess:
    """The label: its column, the values that mean left, those that mean stayed where they must be said, a remark, and a loud one."""

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
    """What the columns are for. Raises InputError where no column can be the label; CommandError where the one named cannot."""
    named = _label(table, label, id_column)
    key, as_of = _key(table, named.column, id_column)
    split, opt_out = _split(table), _opt_out(table, named.column)
    roles = {guessed.column for guessed in (named, key, as_of, split, opt_out) if guessed}
    others = tuple(look for look in table.columns if look.name not in roles)
    aside = {guessed.column: guessed for guessed in useless(others)}
    kept = tuple(look for look in others if look.name not in aside)
    aside |= {guessed.column: guessed for guessed in _leaks(name, table, kept, named, as_of)}
    for later, earlier, how in repeats(tuple(look for look in kept if look.name not in aside)):
        aside[later.name] = Guess(later.name, f"repeats {earlier.name} ({how})")
    features = tuple(look for look in kept if look.name not in aside)
    ignore = tuple(aside[look.name] for look in others if look.name in aside)
    commas = tuple(Guess(look.name, look.values[0]) for look in others if look.decimal_commas)
    return Guesses(named, key, as_of, split, opt_out, ignore, tuple(_types(features)), commas, features)


# --- the label


def _label(table: Table, wanted: str | None, id_column: str | None) -> LabelGuess:
    if wanted is not None:
        look = table.column(wanted)
        _require_who_stayed(look)
        if not 2 <= look.distinct <= MOST_LABEL_VALUES:
            found = f"{look.distinct} in {wanted!r}"
            raise CommandError(
                problem(
                    expected="a label of two values, or a few", found=found, todo="name another column with --label"
                )
            )
        return _label_values(look)
    two_valued = [
        look for look in table.columns if look.distinct == 2 and name_key(look.name) != name_key(id_column or "")
    ]
    ranked = [(rank, look) for look in two_valued if (rank := _label_rank(look)) is not None]
    if not ranked:
        for look in table.columns:
            if _label_rank(look) is not None:
                _require_who_stayed(look)
        candidates = ", ".join(repr(look.name[:40]) for look in two_valued[:20])
        found = f"columns of two values: {candidates}" if two_valued else "no column of two values"
        raise InputError(
            problem(
                expected="a column that says who left", found=found, todo="name it: churn new NAME FILE --label COLUMN"
            )
        )
    return _label_values(min(ranked, key=lambda one: one[0])[1])


def _require_who_stayed(look: ColumnProfile) -> None:
    """Raise InputError where a column says who left, by one value or a date, and has a blank for who stayed."""
    dates = look.holds == "date" or look.other_dates
    if 0 < look.known < look.rows and (look.distinct == 1 or dates):
        value = "a date" if dates else quote_value(look.values[0])
        raise InputError(
            problem(
                expected="a label that says who left and who stayed",
                found=f"{value} or a blank in {look.name[:40]!r}",
                todo=f"write the blanks as a value of their own, such as 0 or no{', and the dates as 1 or yes' * dates}, and look again",
            )
        )


def _label_rank(look: ColumnProfile) -> int | None:
    for rank, pattern in enumerate(_LEFT_NAMES):
        if pattern.search(look.words):
            return rank
    return len(_LEFT_NAMES) if any(_LEFT_VALUE.search(value.lower()) for value in look.values) else None


def _label_values(look: ColumnProfile) -> LabelGuess:
    yes = tuple(value for value in look.values if normal_label(value) in _YES)
    left = tuple(value for value in look.values if _LEFT_VALUE.search(value.lower()))
    rarer = (look.values[int(np.argmin(look.counts))],)
    positive = yes if len(yes) == 1 else left if 0 < len(left) < look.distinct else rarer
    positive, doubt = _doubted(look, positive, rarer) if positive is not rarer else (rarer, "")
    negative = tuple(value for value in look.values if value not in positive)
    why = f"{_share(look, positive):.1%} of the rows" + (
        "; a guess, the rarer value: check it" if positive is rarer and not doubt else ""
    )
    return LabelGuess(
        look.name, positive, () if all(normal_label(value) in _NO for value in negative) else negative, why, doubt
    )


def _doubted(look: ColumnProfile, positive: tuple[str, ...], rarer: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The values that mean left after a second thought, and what a reader must know of it: a model of the loyal looks as good as any."""
    share = _share(look, positive)
    is_yes = normal_label(positive[0]) in _YES
    says_left = not is_yes or any(pattern.search(look.words) for pattern in _LEFT_NAMES[:-1])
    named, written = repr(look.name[:40]), repr(positive[0][:40])
    if not says_left and _STAYED_NAME.search(look.words):
        no = tuple(value for value in look.values if normal_label(value) in _NO)
        return no or rarer, f"{named} sounds like customers who stayed, so {written} is taken to mean stayed"
    if share <= 0.5:
        return positive, ""
    if not says_left:
        return (
            rarer,
            f"{written} stands in {share:.1%} of the rows, and most customers stay, so the rarer value is taken to mean left",
        )
    return (
        positive,
        f"{share:.1%} of the rows would have left, and most customers stay: perhaps this value means stayed",
    )


def _share(look: ColumnProfile, values: tuple[str, ...]) -> float:
    return sum(int(look.counts[look.values.index(value)]) for value in values) / look.known


# --- what names a row


def _key(table: Table, label: str, wanted: str | None) -> tuple[Guess | None, Guess | None]:
    """The id, and the snapshot's date where ids repeat and a date tells their rows apart."""
    columns = [look for look in table.columns if look.name != label]
    dates = [look for look in columns if look.holds == "date"]
    named = table.column(wanted) if wanted is not None else None
    candidates = [
        look
        for look in columns
        if look.distinct > 2 and look.known >= ID_SHARE * look.rows and not _ROW.search(look.words)
    ]
    scored = [(score, look) for look in candidates if look.own_share >= ID_SHARE and (score := _id_score(look)) >= 2]
    best = max(scored, key=lambda one: one[0], default=None)
    repeated = (
        [named] if named else [look for look in candidates if look.own_share < ID_SHARE and _ID.search(look.words)]
    )
    if named or best is None or not _ID.search(best[1].words):
        for look in repeated:
            for date in dates:
                if look.own_share < ID_SHARE and _pairs(look, date) >= ID_SHARE * look.rows:
                    return Guess(look.name, "one row for each customer and date"), Guess(
                        date.name, f"{date.distinct} dates"
                    )
    chosen = named or (best[1] if best else None)
    return (Guess(chosen.name, _id_remark(chosen)) if chosen else None), None


def _id_score(look: ColumnProfile) -> int:
    """How much a column with a value of its own in each row looks like an id."""
    text = look.holds == "text" and sum(map(len, look.values[:1000])) <= 40 * len(look.values[:1000])
    if not text and not look.whole_numbers:
        return 0
    hint = 4 if _ID.search(look.words) else 2 if _ID_TOO.search(look.words) else 0
    return hint + (1 if text else 0) + (1 if look.own_share == 1 else 0)


def _id_remark(look: ColumnProfile) -> str:
    more = look.known - look.distinct
    if not more:
        return f"each of {look.rows:,} rows has its own"
    return f"{more:,} of {look.rows:,} rows have one that is taken: quarantine, unless a date (as_of) tells them apart"


def _pairs(a: ColumnProfile, b: ColumnProfile) -> int:
    return len(np.unique(a.codes * (b.distinct + 1) + b.codes + 1))


# --- other roles


def _split(table: Table) -> Guess | None:
    for look in table.columns:
        if {value.lower() for value in look.values} == _PARTS:
            return Guess(look.name, "says train, validation or test for each row")
    return None


def _opt_out(table: Table, label: str) -> Guess | None:
    for look in table.columns:
        plain = {normal_label(value) for value in look.values}
        if look.name != label and _OPT_OUT.search(look.words) and plain and plain <= _YES | _NO:
            return Guess(look.name, "who says yes here is never listed")
    return None


# --- what is no feature


def useless(columns: tuple[ColumnProfile, ...]) -> Iterator[Guess]:
    """The columns that cannot be features, by their looks and names alone."""
    for look in columns:
        if look.known == 0:
            yield Guess(look.name, "has no value")
        elif look.distinct == 1 and look.known == look.rows:
            yield Guess(look.name, "has one value only")
        elif _ROW.search(look.words) or look.counts_rows:
            yield Guess(look.name, "numbers the rows")
        elif look.holds == "date":
            yield Guess(look.name, "a date: no number and no category. The days since then would be a feature")
        elif look.other_dates:
            yield Guess(
                look.name,
                f"a date such as {look.values[0]}: only one such as 2022-11-24 is read. The days since then would be a feature",
            )
        elif look.decimal_commas:
            continue
        elif (
            look.own_share >= OWN_SHARE
            and look.distinct > 20
            and (look.holds == "text" or (look.whole_numbers and _is_id(look)))
        ):
            yield Guess(look.name, "differs in nearly every row, as an id does")


def _is_id(look: ColumnProfile) -> bool:
    return bool(_ID.search(look.words) or _ID_TOO.search(look.words))


def _leaks(
    name: str, table: Table, columns: tuple[ColumnProfile, ...], label: LabelGuess, as_of: Guess | None
) -> Iterator[Guess]:
    """What the checks of a run would call a leak, on a sample of the rows."""
    look = table.column(label.column)
    codes = [code for code, value in enumerate(look.values) if value in label.positive]
    rows = np.random.default_rng(0).permutation(np.flatnonzero(look.codes >= 0))[:MOST_ROWS]
    y = np.isin(look.codes[rows], codes)
    found: dict[str, str] = {}
    if min(y.sum(), (~y).sum()) >= FEWEST_OF_A_CLASS and columns:
        sample, spec = _as_canonical(table, columns, rows, y, as_of), _spec(name, label, as_of, columns)
        certain = certain_leaks(sample, spec)
        found = {leak.column: f"surely a leak: {leak.why}" for leak in certain}
        try:
            suspected = suspected_leaks(sample.drop_columns(list(found)), spec, threads=1)
        except TooLittleData:
            suspected = ()
        found |= {
            leak.column: f"perhaps a leak: {leak.why}. If it is known before anybody leaves, move it to known"
            for leak in suspected
        }
    for column in columns:
        if column.name in found:
            yield Guess(column.name, found[column.name])
        elif _LAST.search(column.words):
            yield Guess(
                column.name,
                "perhaps a leak: the last thing noted may be from after the outcome. If not, move it to known",
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
    return pa.table(made | {look.name: canonical(look, rows) for look in columns})


def _types(columns: tuple[ColumnProfile, ...]) -> Iterator[Guess]:
    for look in columns:
        if look.holds != "number":
            continue
        if look.distinct == 2 and set(look.values) <= {"0", "1", "0.0", "1.0"}:
            yield Guess(look.name, "written 0 and 1, but means no and yes", "category")
        elif any(re.match(r"[+-]?0\d", value) for value in look.values):
            yield Guess(look.name, "begins with 0: a code, not a quantity", "category")
        elif look.whole_numbers and _CODE.search(look.words) and look.distinct <= MOST_CODES:
            yield Guess(look.name, f"{look.distinct} codes, not a quantity", "category")
        elif look.not_numbers:
            yield Guess(
                look.name,
                f"{look.not_numbers:,} of {look.rows:,} values are no numbers: those rows land in quarantine",
                "number",
            )
