"""Guess what names a customer: the id, and the date that tells the rows of a customer apart."""

import re
from dataclasses import dataclass

import numpy as np

from churn_assets.onboarding.labels import LabelGuess
from churn_assets.onboarding.profile import ColumnProfile, Table
from churn_model.arrays import IntArray
from churn_model.spec.dataset import NO_ID, Kind
from churn_model.training.groups import LEAST_AGREEMENT, measure_agreement
from churn_model.wording import counted

ID_SHARE = 0.98
MOST_BLANK = 0.1
"""Rows without an id go to quarantine, and more than these stop a run."""
MOST_ROWS_OF_A_CUSTOMER = 100
"""Rows per value from which a column names a shop or a plan, not a customer."""
MOST_CANDIDATES = 5
MOST_OF_ITS_OWN = 0.7
"""Distinct values as a share of the rows, up to which values that a date tells apart may be customers with several rows."""
_ENOUGH_ROUNDED = 0.9

NUMBERS_ROWS = re.compile(r"^(row|record|line|serial|index|unnamed)( ?(number|no|nr|id|index|\d+))?$|^(s ?no|sr ?no)$")
_WHO = (
    r"(customer|client|user|account|member|subscriber|prospect|lead|person|kunde|kunden|konto|mitglied|nutzer|cliente|cuenta|usuario|socio"
    r"|abonn[ée]|compte|utilisateur|conto|utente|klant|klient)"
)
_CUSTOMER = re.compile(rf"\b{_WHO}s?[ _]?(id|key|no|nr|num|nummer|number|code)$|^{_WHO}s?$|^id[ _]?{_WHO}$")
_CONTRACT = r"\b(contract|policy|membership|vertrags?|policen?|versicherungs|mitglieds|abo|rahmenvertrags|contrat|contrato|p[óo]liza)"
_ID = re.compile(
    rf"\b(id|uuid|guid)$|^id\b|{_CUSTOMER.pattern}|{_CONTRACT}[ _]?(id|key|no|nr|num|nummer|number)$"
    r"|^(n|nº|no|n[úu]mero|num[ée]ro)( de)? (client|cliente|contrat|contrato|abonn[ée]|socio|p[óo]liza)$"
)
_ID_TOO = re.compile(rf"\b(key|phone( number)?|msisdn|e ?mail( address)?|{_WHO}|number|no|nr)$|id$")
_ROUNDED = re.compile(r"[+-]?\d([.,]\d+)?[Ee]\+\d+")


@dataclass(frozen=True)
class Guess:
    """A column, what the spec should say about it, and why."""

    column: str
    why: str
    says: str = ""


@dataclass(frozen=True)
class Key:
    """What names a row.

    id          None if no column does so for sure; then `candidates` may
    no_id       the user says that none does: each row is a customer of its own
    as_of       the date that tells the rows of one customer apart, and in `types` its format unless it is ISO
    not_ids     columns that look like the id and cannot be it
    """

    id: Guess | None
    as_of: Guess | None = None
    types: tuple[Guess, ...] = ()
    candidates: tuple[Guess, ...] = ()
    not_ids: tuple[Guess, ...] = ()
    no_id: bool = False

    @property
    def open(self) -> bool:
        """Return whether neither a guess nor the user says what names a customer."""
        return self.id is None and not self.no_id


def says_id(column: ColumnProfile) -> bool:
    """Return whether a column's name is that of an id."""
    return bool(_ID.search(column.words) or _ID_TOO.search(column.words))


def guess_key(table: Table, label: LabelGuess, wanted: str | None) -> Key:
    """Return the id, with the date of the snapshot if ids repeat and a date tells their rows apart; or what may be the id.

    `wanted` is the id's column if the user names it, NO_ID if the user says that there is none. Raise CommandError if there is no column `wanted`.
    """
    columns = [column for column in table.columns if column.name != label.column]
    rounded = tuple(
        Guess(
            column.name,
            f"ids that a spreadsheet has rounded, such as {column.values[0]}: export the file again with ids as text",
        )
        for column in columns
        if says_id(column) and _is_rounded(column)
    )
    columns = [column for column in columns if column.name not in {one.column for one in rounded}]
    if wanted == NO_ID:
        return Key(None, not_ids=rounded, no_id=True)
    if wanted is not None:
        return _with_dates(table.column(wanted), columns, rounded)
    unique = [column for column in columns if _is_unique(column)]
    scored = [(score, column) for column in unique if (score := _id_score(column)) >= 2]
    best = max(scored, key=lambda one: one[0], default=None)
    if best and _ID.search(best[1].words):
        return _with_dates(best[1], columns, rounded)
    repeated = _repeated_ids(table, columns, label)
    if repeated:
        return _with_dates(repeated[0], columns, rounded)
    if best:
        return _with_dates(best[1], columns, rounded)
    candidates = [
        column
        for column in columns
        if _can_name(column) and (column in unique or says_id(column) or _is_in_a_panel(column, columns))
    ]
    return Key(
        None, candidates=tuple(Guess(one.name, _remark(one)) for one in candidates[:MOST_CANDIDATES]), not_ids=rounded
    )


def _can_name(column: ColumnProfile) -> bool:
    """Return whether the values may be names at all: short text or whole numbers, and not few."""
    return (
        column.distinct > 20
        and (_is_short_text(column) or column.whole_numbers)
        and not column.other_dates
        and column.date_kind is None
    )


def _is_short_text(column: ColumnProfile) -> bool:
    return column.holds == "text" and sum(map(len, column.values[:1000])) <= 40 * len(column.values[:1000])


def _is_rounded(column: ColumnProfile) -> bool:
    rows = sum(n for value, n in zip(column.values, column.counts.tolist(), strict=True) if _ROUNDED.fullmatch(value))
    return bool(rows > 0 and rows >= _ENOUGH_ROUNDED * column.known)


def _is_unique(column: ColumnProfile) -> bool:
    serial = NUMBERS_ROWS.search(column.words) and column.holds != "text"
    return (
        column.distinct > 2 and column.known >= ID_SHARE * column.rows and column.own_share >= ID_SHARE and not serial
    )


def _id_score(column: ColumnProfile) -> int:
    """Return how much a column with a different value in each row looks like an id."""
    text = _is_short_text(column)
    if not text and not column.whole_numbers:
        return 0
    hint = 4 if _ID.search(column.words) else 2 if _ID_TOO.search(column.words) else 0
    return hint + (1 if text else 0) + (1 if column.own_share == 1 else 0)


def _repeated_ids(table: Table, columns: list[ColumnProfile], label: LabelGuess) -> list[ColumnProfile]:
    """Return the columns that name customers with several rows, the plainest first: by name, by a date that tells rows apart, by a label in common."""
    found = [column for column in columns if _can_name(column) and _has_few_rows_each(column)]
    customers = [
        column for column in found if _CUSTOMER.search(column.words) and column.known >= (1 - MOST_BLANK) * column.rows
    ]
    dated = [column for column in found if _ID.search(column.words) and _date_of(column, columns)]
    y = label.has_left(table.column(label.column)).astype(np.float64)
    shared = [
        column
        for column in found
        if (one := measure_agreement(column.name, _ranks(column), np.arange(len(y)), y))
        and one.agreement >= LEAST_AGREEMENT
    ]
    return list({column.name: column for column in (*customers, *dated, *shared)}.values())


def _has_few_rows_each(column: ColumnProfile) -> bool:
    return column.known <= MOST_ROWS_OF_A_CUSTOMER * column.distinct and column.own_share < ID_SHARE


def _is_in_a_panel(column: ColumnProfile, columns: list[ColumnProfile]) -> bool:
    """Return whether values repeat, and a date tells the rows of each apart."""
    return (
        _has_few_rows_each(column)
        and column.own_share <= MOST_OF_ITS_OWN
        and column.known >= (1 - MOST_BLANK) * column.rows
        and _date_of(column, columns) is not None
    )


def _ranks(column: ColumnProfile) -> IntArray:
    """Return a code for each row (n,) in the order of the values, -1 if missing."""
    keys = np.array(column.values, dtype=object)
    if column.holds == "number":
        first = np.unique(column.codes, return_index=True)
        numbers = dict(zip(first[0].tolist(), column.numbers[first[1]].tolist(), strict=True))
        order = np.argsort([numbers[code] for code in range(len(keys))], kind="stable")
    else:
        order = np.argsort(keys, kind="stable")
    places = np.empty(len(keys) + 1, dtype=np.int64)
    places[order], places[-1] = np.arange(len(keys)), -1
    return places[column.codes]


def _with_dates(column: ColumnProfile, columns: list[ColumnProfile], not_ids: tuple[Guess, ...]) -> Key:
    """Return the key whose id is `column`."""
    date = _date_of(column, columns) if column.own_share < ID_SHARE else None
    if date is None:
        return Key(Guess(column.name, _remark(column)), not_ids=not_ids)
    kind = _date_kind(date) or "date"
    types = (Guess(date.name, "how the day is written", kind),) if kind != "date" else ()
    as_of = Guess(date.name, f"{date.distinct} dates")
    return Key(Guess(column.name, "one row for each customer and date"), as_of, types, not_ids=not_ids)


def _date_of(column: ColumnProfile, columns: list[ColumnProfile]) -> ColumnProfile | None:
    """Return the date that tells the rows of one id apart."""
    dates = (one for one in columns if one is not column and _date_kind(one) is not None)
    return next((date for date in dates if _pairs(column, date) >= ID_SHARE * column.known), None)


def _date_kind(column: ColumnProfile) -> Kind | None:
    """Return the type of a column of dates, months written as 202405 included; None if it holds none."""
    if column.holds != "number":
        return column.date_kind
    months = column.distinct > 0 and all(
        re.fullmatch(r"(19|20)\d{2}(0[1-9]|1[0-2])(\.0)?", value) for value in column.values
    )
    return "date %Y%m" if months else None


def _pairs(a: ColumnProfile, b: ColumnProfile) -> int:
    known = (a.codes >= 0) & (b.codes >= 0)
    return len(np.unique(a.codes[known] * (b.distinct + 1) + b.codes[known] + 1))


def _remark(column: ColumnProfile) -> str:
    """Return how many customers a column would name, and for how many rows it names none."""
    more, blank = column.known - column.distinct, column.rows - column.known
    remark = f"each of the {column.known:,} rows has its own"
    if more:
        remark = f"{column.known:,} rows of {column.distinct:,} customers; the rows of a customer stay in one split"
    none = f"; {counted(blank, 'row')} {'has' if blank == 1 else 'have'} none and {'goes' if blank == 1 else 'go'} to quarantine"
    return remark + (none if blank else "")
