"""How figures and names read on a page and in a plot: plain values in, words out; None, which stands for no number, included.

Money and assumptions read as in the gate's own sentences (`churn_model.evaluation.promotion`), which this does not import: it would load XGBoost.
"""

import re
from collections.abc import Mapping
from typing import Any

UNKNOWN = "not known"


def usd(amount: float | None, *, cents: bool = True) -> str:
    """Money: $36.29, or $14,900 without cents."""
    if amount is None:
        return UNKNOWN
    places = 2 if cents else 0
    rounded = round(amount, places)
    return f"{'-' if rounded < 0 else ''}${abs(rounded):,.{places}f}"


def usd_range(estimate: Mapping[str, Any]) -> str:
    """From where to where an amount lies: $30.43 to $42.00."""
    low, high = estimate["low"], estimate["high"]
    return UNKNOWN if low is None or high is None else f"{usd(low)} to {usd(high)}"


def percent(share: float | None) -> str:
    """A share: 46%, or 4.6% below a tenth."""
    if share is None:
        return UNKNOWN
    return (f"{100 * share:.1f}".removesuffix(".0") if abs(share) < 0.0995 else f"{100 * share:.0f}") + "%"


def percent_range(estimate: Mapping[str, Any]) -> str:
    """From where to where a share lies."""
    low, high = estimate["low"], estimate["high"]
    return UNKNOWN if low is None or high is None else f"{percent(low)} to {percent(high)}"


def cutoff(probability: float | None) -> str:
    """A cutoff: 20%, 16.7%; None is one that no probability reaches."""
    return "never" if probability is None else f"{100 * probability:.3g}%"


def decimal(number: float | None, places: int = 2) -> str:
    """A number with so many places."""
    return UNKNOWN if number is None else f"{round(number, places) + 0.0:,.{places}f}"


def decimal_range(estimate: Mapping[str, Any], places: int = 2) -> str:
    """From where to where a number lies."""
    low, high = estimate["low"], estimate["high"]
    return UNKNOWN if low is None or high is None else f"{decimal(low, places)} to {decimal(high, places)}"


def count(number: int | None) -> str:
    """A count: 12,500."""
    return UNKNOWN if number is None else f"{number:,}"


def claim(name: str) -> str:
    """The name of a check or a fact as it reads: `saves_money` is `Saves money`."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def stays(success: float) -> str:
    """The assumption behind every saving."""
    return "if every contacted leaver stays" if success == 1.0 else f"if {success:.0%} of contacted leavers stay"


def one_line(text: str, longest: int = 60) -> str:
    """A name or a value from data on one line, shortened where it is long. Whoever shows it must escape it."""
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= longest else line[: longest - 1] + "…"
