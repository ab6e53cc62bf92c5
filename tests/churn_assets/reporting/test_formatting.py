"""How figures read."""

from typing import Any

import pytest

from churn_assets.reporting import formatting as figures
from churn_model.evaluation.promotion import assumption, dollars

NOTHING: dict[str, Any] = {"low": None, "high": None}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (figures.usd(36.285), "$36.28"),
        (figures.usd(-13.785), "-$13.79"),
        (figures.usd(-0.001), "$0.00"),
        (figures.usd(14900.4, cents=False), "$14,900"),
        (figures.usd_range({"low": -1.0, "high": 2.5}), "-$1.00 to $2.50"),
        (figures.percent(0.05), "5%"),
        (figures.percent(0.046), "4.6%"),
        (figures.percent(0.0), "0%"),
        (figures.percent(0.856), "86%"),
        (figures.percent_range({"low": 0.8, "high": 0.9}), "80% to 90%"),
        (figures.cutoff(0.2), "20%"),
        (figures.cutoff(1 / 6), "16.7%"),
        (figures.cutoff(None), "never"),
        (figures.decimal(1234.5, 1), "1,234.5"),
        (figures.decimal(-0.00001, 4), "0.0000"),
        (figures.decimal_range({"low": 1.0, "high": 2.0}, 1), "1.0 to 2.0"),
        (figures.count(12500), "12,500"),
        (figures.claim("saves_money"), "Saves money"),
        (figures.one_line("a\n  b", 10), "a b"),
        (figures.one_line("x" * 70), "x" * 59 + "…"),
    ],
)
def test_figures_read_as_people_write_them(said: str, expected: str) -> None:
    assert said == expected


@pytest.mark.parametrize(
    "said",
    [
        figures.usd(None),
        figures.usd_range(NOTHING),
        figures.percent(None),
        figures.percent_range(NOTHING),
        figures.decimal(None),
        figures.decimal_range(NOTHING),
        figures.count(None),
    ],
)
def test_what_is_not_known_is_said_to_be_so(said: str) -> None:
    assert said == figures.UNKNOWN


@pytest.mark.parametrize("amount", [0.0, 36.291, -17.07, 12_345.6])
def test_money_reads_as_in_the_gates_own_sentences(amount: float) -> None:
    assert figures.usd(amount) == dollars(amount)


@pytest.mark.parametrize("success", [1.0, 0.5, 0.3])
def test_the_assumption_reads_as_in_the_gates_own_sentences(success: float) -> None:
    assert figures.stays(success) == assumption(success)
