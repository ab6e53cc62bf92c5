"""Guess which column says who left, and which of its values mean so, by what the words mean in several languages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from churn_assets.onboarding.profile import ColumnProfile, Table
from churn_model.arrays import BoolArray
from churn_model.column_types.landed import quote_value
from churn_model.column_types.spelling import NO, YES
from churn_model.errors import InputError, problem
from churn_model.ingest.values import normal_label
from churn_model.spec.column_names import name_key
from resources.errors import CommandError

MOST_LABEL_VALUES = 20
MOST_GUESSED_VALUES = 5
"""Values of a label that nobody named; a column of more is not guessed to be one."""

_LEFT = (
    r"churn|attrit|ge?kündigt|kuendig|kündig"
    r"|\b(?:exit(ed|s)?\b|left\b|leaver|gone\b|lost\b|cancel|lapsed|closed|convert|conversion|terminat|unsubscrib|deactivat|inactive"
    r"|ausgetreten|verloren|abgewandert|r[ée]sili|d[ée]sabonn|parti\b|perdu|baja\b|abandon|dado de baja"
    r"|cancelad|rescind|desist|disdett|recess[oi]\b|abbandon|opgezegd|opzeg|vertrokken|odejsc|odejśc|zrezygn)"
)
_LEFT_NAMES = (
    re.compile(r"^(is |has )?churn(ed|er)?( ?(flag|label|value|yn|status))?$"),
    re.compile(r"\bchurn|\battrit|\bexited\b|\bleft\b|\bleaver\b"),
    re.compile(_LEFT),
    re.compile(r"^(target|label|outcome|response|class|default|y|status)$"),
)
_LEFT_VALUE = re.compile(rf"(?<!not )(?<!not_)(?<!non )(?:{_LEFT})")
_STAYED_NAME = re.compile(
    r"(?<!not )(?<!non )(?<!no longer )\b(is|still)?(active|retain(ed)?|stay(s|ed)?|remain(s|ed)?|subscribed|renew(s|ed)?|loyal|aktiv|actif|activo|attivo"
    r"|vigente|verlängert|fid[èe]le)\b"
    r"|^(is|still|current|existing)?( a)? ?(customer|client|member|subscriber|user|kunde|abonn[ée]|abonnent|cliente|socio)$"
)
_YES = frozenset(YES) | {"tak"}
_NO = frozenset(NO)


@dataclass(frozen=True)
class LabelGuess:
    """The label: its column, the values that mean left, those that mean stayed if the spec must list them, and what a person should check.

    why    the share of the rows, and how certain the guess is
    doubt  what must be read; "" if the guess is sure
    means  sentences that say which rows count as left and as stayed
    """

    column: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    why: str
    doubt: str = ""
    means: tuple[str, ...] = ()

    def has_left(self, column: ColumnProfile) -> BoolArray:
        """Return whether each row of the label's column (n,) says that the customer left."""
        positive = {normal_label(value) for value in self.positive}
        codes = [code for code, value in enumerate(column.values) if normal_label(value) in positive]
        found: BoolArray = np.isin(column.codes, codes)
        return found


@dataclass(frozen=True)
class _Spellings:
    """The values of a column as the product compares them: each with the rows that hold it and the commonest way to write it."""

    rows: dict[str, int]
    written: dict[str, str]

    def share(self, values: tuple[str, ...]) -> float:
        return sum(self.rows[value] for value in values) / sum(self.rows.values())

    def write(self, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.written[value] for value in values)


def guess_label(table: Table, wanted: str | None, id_column: str | None) -> LabelGuess:
    """Return the label. Raise InputError if no column can be it, CommandError if the column `wanted` cannot."""
    if len(table.columns) == 1:
        found = f"one column alone, {quote_value(table.columns[0].name)}"
        todo = "give the file a first line such as sep=^ if a sign other than comma, semicolon, tab or bar separates its values"
        raise InputError(problem(expected="a column that says who left, and others", found=found, todo=todo))
    if wanted is not None:
        column = table.column(wanted)
        _require_who_stayed(column)
        count = len(_spellings(column).rows)
        if not 2 <= count <= MOST_LABEL_VALUES:
            found = f"{count} in {wanted!r}"
            todo = "name another column with --label"
            raise CommandError(problem(expected="a label of two values, or a few", found=found, todo=todo))
        return _guess_values(column)
    columns = [column for column in table.columns if name_key(column.name) != name_key(id_column or "")]
    ranked = sorted(_rank_labels(columns), key=lambda one: one[0])
    if not ranked:
        raise _no_label(columns)
    return _guess_values(ranked[0][1])


def _rank_labels(columns: list[ColumnProfile]) -> Iterator[tuple[tuple[bool, int], ColumnProfile]]:
    """Yield the columns that may be the label: those of two values first, then by how plainly the name says so."""
    for column in columns:
        count = _count_spellings(column)
        rank = _name_rank(column)
        if count == 2 and rank is not None:
            yield (False, rank), column
        elif 2 < count <= MOST_GUESSED_VALUES and rank is not None and _values_that_say_left(column):
            yield (True, rank), column


def _no_label(columns: list[ColumnProfile]) -> InputError:
    """Return the error that says why no column was taken. Raise InputError if one has a blank for who stayed."""
    for column in columns:
        if _name_rank(column) is not None:
            _require_who_stayed(column)
    names = [column.name for column in columns if _count_spellings(column) == 2]
    found = (
        f"columns of two values: {', '.join(repr(name[:40]) for name in names[:20])}"
        if names
        else "no column of two values"
    )
    several = [
        column for column in columns if _name_rank(column) is not None and 2 < column.distinct <= MOST_LABEL_VALUES
    ]
    if several:
        values = ", ".join(quote_value(value) for value in several[0].values[:6])
        found += f"; {several[0].name[:40]!r} holds {several[0].distinct} values: {values}"
    todo = "name it: churn new NAME FILE --label COLUMN. Then list its values under label.positive (left) and label.negative (stayed)"
    return InputError(problem(expected="a column that says who left", found=found, todo=todo))


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


def _count_spellings(column: ColumnProfile) -> int:
    return len(_spellings(column).rows) if column.distinct <= 10 * MOST_LABEL_VALUES else column.distinct


def _spellings(column: ColumnProfile) -> _Spellings:
    rows: dict[str, int] = {}
    most: dict[str, tuple[int, str]] = {}
    for value, count in zip(column.values, column.counts.tolist(), strict=True):
        normal = normal_label(value)
        rows[normal] = rows.get(normal, 0) + count
        if count > most.get(normal, (0, ""))[0]:
            most[normal] = (count, value)
    return _Spellings(rows, {normal: value for normal, (_, value) in most.items()})


def _name_rank(column: ColumnProfile) -> int | None:
    for rank, pattern in enumerate(_LEFT_NAMES):
        if pattern.search(column.words):
            return rank
    return len(_LEFT_NAMES) if _values_that_say_left(column) else None


def _values_that_say_left(column: ColumnProfile) -> bool:
    return any(_LEFT_VALUE.search(value.lower()) for value in column.values[:MOST_LABEL_VALUES])


def _guess_values(column: ColumnProfile) -> LabelGuess:
    found = _spellings(column)
    values = tuple(found.rows)
    yes = tuple(value for value in values if value in _YES)
    left = tuple(value for value in values if _LEFT_VALUE.search(value))
    rarer = (min(values, key=lambda value: found.rows[value]),)
    positive = yes if len(yes) == 1 else left if 0 < len(left) < len(values) else rarer
    is_rarer = positive is rarer
    positive, doubt = (rarer, "") if is_rarer else _reconsider(column, found, positive, rarer)
    negative = tuple(value for value in values if value not in positive)
    if len(values) > 2 and not doubt:
        doubt = f"{column.name[:40]!r} holds {len(values)} values: move to positive what means left, to negative what means stayed"
    why = f"{found.share(positive):.1%} of the rows" + (
        "; a guess, the rarer value: check it" if is_rarer and not doubt else ""
    )
    listed = () if all(value in _NO for value in negative) else found.write(negative)
    means = (_sentence(column, found, positive, "left"), _sentence(column, found, negative, "stayed"))
    return LabelGuess(column.name, found.write(positive), listed, why, doubt, means)


def _sentence(column: ColumnProfile, found: _Spellings, values: tuple[str, ...], meaning: str) -> str:
    named = " or ".join(value[:40] for value in found.write(values)[:6])
    rows = sum(found.rows[value] for value in values)
    return f"Rows with {column.name[:40]} = {named} count as {meaning}: {rows:,} of {column.known:,} ({found.share(values):.1%})."


def _reconsider(
    column: ColumnProfile, found: _Spellings, positive: tuple[str, ...], rarer: tuple[str, ...]
) -> tuple[tuple[str, ...], str]:
    """Return the values that mean left after a second thought, and a doubt to show: a model of who stays looks as good as one of who leaves."""
    share = found.share(positive)
    is_yes = positive[0] in _YES
    says_left = not is_yes or any(pattern.search(column.words) for pattern in _LEFT_NAMES[:-1])
    named, written = repr(column.name[:40]), repr(found.written[positive[0]][:40])
    if not says_left and _STAYED_NAME.search(column.words):
        others = tuple(value for value in found.rows if value not in positive)
        return others or rarer, f"{named} sounds like customers who stayed, so {written} is taken to mean stayed"
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
