"""How numbers, money, shares and values read."""

import math
import subprocess
import sys
from dataclasses import dataclass

import pytest

from churn_model import wording


@dataclass(frozen=True)
class Bounds:
    low: float
    high: float


NOWHERE = Bounds(math.nan, 1.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.usd(36.285), "$36.28"),
        (wording.usd(-13.785), "-$13.79"),
        (wording.usd(1234.5), "$1,234.50"),
        (wording.usd(-0.001), "$0.00"),
        (wording.usd(14900.4, cents=False), "$14,900"),
        (wording.usd_range(Bounds(-1.0, 2.5)), "-$1.00 to $2.50"),
        (wording.percent(0.05), "5%"),
        (wording.percent(0.046), "4.6%"),
        (wording.percent(0.0), "0%"),
        (wording.percent(0.856), "86%"),
        (wording.percent_range(Bounds(0.8, 0.9)), "80% to 90%"),
        (wording.cutoff(0.2), "20%"),
        (wording.cutoff(1 / 6), "16.7%"),
        (wording.cutoff(math.inf), "never"),
        (wording.cutoff(math.nan), "never"),
        (wording.decimal(1234.5, 1), "1,234.5"),
        (wording.decimal(-0.00001, 4), "0.0000"),
        (wording.decimal_range(Bounds(1.0, 2.0), 1), "1.0 to 2.0"),
        (wording.count(12500), "12,500"),
        (wording.counted(1, "record"), "1 record"),
        (wording.counted(12500, "record"), "12,500 records"),
        (wording.counted(0, "batch", "batches"), "0 batches"),
        (wording.describe_rows(1200, 1200), "1,200 customers"),
        (wording.describe_rows(1200, 99), "1,200 rows of 99 customers"),
        (wording.assumption(1.0), "if every contacted leaver stays"),
        (wording.assumption(0.3), "if 30% of contacted leavers stay"),
        (wording.sentence("saves_money"), "Saves money"),
        (wording.one_line(" a\n\tb  c "), "a b c"),
        (wording.one_line("a\n  b", 10), "a b"),
        (wording.one_line("x" * 70), "x" * 59 + "…"),
    ],
)
def test_figures_read_as_people_write_them(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (4.0, "4"),
        (35.234, "35.2"),
        (0.1234, "0.123"),
        (1840.4, "1840"),
        (12_500.0, "12,500"),
        (-3.0, "-3"),
        (1e15, "1.00e+15"),
        (0.0, "0"),
        (1e-5, "1.00e-05"),
    ],
)
def test_a_customers_number_reads_with_as_many_digits_as_are_needed(number: float, text: str) -> None:
    assert wording.number_text(number) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            function(number)
            for function in (wording.usd, wording.percent, wording.decimal)
            for number in (None, math.nan)
        ),
        *(function(NOWHERE) for function in (wording.usd_range, wording.percent_range, wording.decimal_range)),
        wording.count(None),
    ],
)
def test_a_number_that_is_not_there_reads_as_not_known(text: str) -> None:
    assert text == wording.UNKNOWN


def test_wording_needs_the_standard_library_alone() -> None:
    heavy = "{'numpy', 'pyarrow', 'xgboost', 'dagster'} & set(sys.modules)"
    code = f"import sys, churn_model.wording; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
