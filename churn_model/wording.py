"""How numbers, money, shares and values read in sentences, on pages and in plots.

Plain values in, words out. None and NaN are missing numbers. Standard library only, so that anything may import it.
"""

import math
import re
from typing import Protocol

UNKNOWN = "not known"
NOT_EVALUATED = "not evaluated by that version"
"""How a field reads that the version which wrote a report did not have."""


class Range(Protocol):
    """A figure that is known within bounds."""

    @property
    def low(self) -> float:
        """The lower bound."""

    @property
    def high(self) -> float:
        """The upper bound."""


def is_known(number: float | None) -> bool:
    """Return whether there is a number, neither None nor NaN."""
    return number is not None and not math.isnan(number)


def usd(amount: float | None, *, cents: bool = True) -> str:
    """Return money: $36.29, or $14,900 without cents."""
    if amount is None or math.isnan(amount):
        return UNKNOWN
    places = 2 if cents else 0
    rounded = round(amount, places)
    return f"{'-' if rounded < 0 else ''}${abs(rounded):,.{places}f}"


def usd_range(estimate: Range) -> str:
    """Return the bounds of an amount: $30.43 to $42.00."""
    return _between(estimate, usd(estimate.low), usd(estimate.high))


def percent(share: float | None) -> str:
    """Return a share: 46%, or with one decimal below a tenth: 4.6%."""
    if share is None or math.isnan(share):
        return UNKNOWN
    return (f"{100 * share:.1f}".removesuffix(".0") if abs(share) < 0.0995 else f"{100 * share:.0f}") + "%"


def percent_range(estimate: Range) -> str:
    """Return the bounds of a share: 80% to 90%."""
    return _between(estimate, percent(estimate.low), percent(estimate.high))


def cutoff(probability: float) -> str:
    """Return a cutoff: 20%, 16.7%; "never" for one that no probability reaches (infinity, which a report holds as NaN)."""
    return f"{100 * probability:.3g}%" if math.isfinite(probability) else "never"


def decimal(number: float | None, places: int = 2) -> str:
    """Return a number with that many decimal places."""
    if number is None or math.isnan(number):
        return UNKNOWN
    return f"{round(number, places) + 0.0:,.{places}f}"


def decimal_range(estimate: Range, places: int = 2) -> str:
    """Return the bounds of a number: 0.70 to 0.84."""
    return _between(estimate, decimal(estimate.low, places), decimal(estimate.high, places))


def _between(estimate: Range, low: str, high: str) -> str:
    return f"{low} to {high}" if is_known(estimate.low) and is_known(estimate.high) else UNKNOWN


def number_text(number: float) -> str:
    """Return a customer's value in a sentence, in as many digits as a reader needs: 4, 35.2, 1840, 12,500."""
    size = abs(number)
    if size >= 1e12 or 0 < size < 1e-3:
        return f"{number:.2e}"
    if size >= 10_000:
        return f"{number:,.0f}"
    return f"{number:.0f}" if number == round(number) or size >= 1000 else f"{number:.3g}"


def value_text(value: float | str) -> str:
    """Return a customer's value, a quantity or a text from data, in a sentence. Whoever shows it must escape it."""
    return one_line(value) if isinstance(value, str) else number_text(value)


def count(number: int | None) -> str:
    """Return a count: 12,500."""
    return UNKNOWN if number is None else f"{number:,}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun: 1 record, 12,500 records."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def describe_rows(rows: int, customers: int) -> str:
    """Return how many rows were judged: as customers, if each has one row."""
    return f"{customers:,} customers" if rows == customers else f"{rows:,} rows of {customers:,} customers"


def assumption(success: float) -> str:
    """Return what every saving takes for granted, to be read beside it; `success`: the share of contacted leavers who stay."""
    return "if every contacted leaver stays" if success == 1.0 else f"if {percent(success)} of contacted leavers stay"


def sentence(name: str) -> str:
    """Return the name of a check or a fact as the start of a sentence: `saves_money` is "Saves money"."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def one_line(text: str, longest: int = 60) -> str:
    """Return a name or a value from data on one line of at most `longest` characters. Whoever shows it must escape it."""
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= longest else line[: longest - 1] + "…"
