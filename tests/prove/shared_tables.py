"""The tables of the shared data: where each lies, its spec, and its rows as they are written."""

import csv
import gzip
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import openpyxl

from resources.settings import PROJECT

TRIALS = "\nsearch: {trials: 2, families: [boosted_trees]}\n"
COSTS = "costs: {false_negative: 500, false_positive: 100, true_positive: 100, true_negative: 0}"
ONE_TRIAL = TRIALS.replace("2", "1")  # of a large table
SHEET = "E Comm"


@dataclass(frozen=True)
class Table:
    """A table of the shared data: its file, its spec, and the file with a batch of it, or none for rows of the first."""

    file: str
    spec: str
    label: str
    batch: str = ""


def _shipped(name: str) -> str:
    return (PROJECT / "datasets" / f"{name}.yaml").read_text("utf-8") + TRIALS


TABLES = {
    "larose": Table("larose_churn.csv", _shipped("larose"), "Churn?"),
    "leads": Table("leads.csv", _shipped("leads"), "Converted"),
    "synthetic": Table("synthetic_churn_train.csv", _shipped("synthetic"), "Churn?", "synthetic_churn_score.csv"),
    "telco": Table("telco_churn.csv", _shipped("telco"), "Churn"),
    "bank": Table(
        "field/bank.csv.gz",
        f"id: CustomerId\nlabel: {{column: Exited, positive: ['1'], means: left}}\nignore: [RowNumber, Surname]\n{COSTS}{TRIALS}",
        "Exited",
    ),
    "hotel": Table(
        "field/hotel.csv.gz",
        f"id: Booking_ID\nlabel: {{column: booking_status, positive: [Canceled], negative: [Not_Canceled], means: cancelled}}\n{COSTS}{ONE_TRIAL}",
        "booking_status",
    ),
    "ecommerce": Table(
        "field/ecommerce.xlsx",
        f"id: CustomerID\nlabel: {{column: Churn, positive: ['1'], means: left}}\nsource: {{sheet: {SHEET}}}\n{COSTS}{TRIALS}",
        "Churn",
    ),
}


def read_rows(source: Path) -> Generator[Sequence[object]]:
    """Yield the names of a table's columns, then its rows, as they are written."""
    if source.suffix == ".xlsx":
        with closing(openpyxl.load_workbook(source, read_only=True)) as book:
            yield from book[SHEET].iter_rows(values_only=True)
        return
    opened = gzip.open if source.suffix == ".gz" else open
    with opened(source, "rt", newline="", encoding="utf-8") as rows:
        yield from csv.reader(rows)
