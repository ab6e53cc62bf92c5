"""Small tables of our own making, each written as another program would: from `churn new` to a champion, a batch in another spelling, and a stop.

The same customers are written twice, in the table's own way and plainly; who scores them differently has read one of the two wrongly.
"""

import codecs
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from churn_assets.cli.command import ExitCode
from resources.catalog.pointers import read_current
from resources.catalog.published_tables import open_published_table
from tests.conftest import Workspace

pytestmark = pytest.mark.prove

CUSTOMERS = 700
NAMES = ("customer_id", "month", "joined", "calls", "bill", "area", "town", "paperless", "churned")


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How a table is written. `months`: rows per customer; `flag` and `label`: the words for yes and no; `day`: a format of strftime."""

    months: int = 1
    id_: str = "C{:05d}"
    day: str = "%Y-%m-%d"
    month: str = "%Y-%m"
    flag: tuple[str, str] = ("yes", "no")
    label: tuple[str, str] = ("yes", "no")
    missing: str = ""
    money: str = "{:.2f}"
    area: str = "{}"
    separator: str = ","
    encoding: str = "utf-8"
    mark: bytes = b""
    above: str = ""
    second: tuple[str, ...] = ()


PLAIN = Writing()
WRITINGS = {
    "a panel of a German spreadsheet": Writing(
        months=3,
        day="%d.%m.%Y",
        month="%m.%Y",
        flag=("Ja", "Nein"),
        label=("gekündigt", "aktiv"),
        missing="#N/A",
        money="{:.2f} €",
        separator=";",
        encoding="cp1252",
    ),
    "an export with titles, types and marks": Writing(
        id_="{}.0",
        day="%Y/%m/%d",
        flag=("TRUE", "FALSE"),
        label=("1.0", "0.0"),
        missing=r"\N",
        money="${:,.2f}",
        area="{}.0",
        separator="\t",
        encoding="utf-16-le",
        mark=codecs.BOM_UTF16_LE,
        above="Customers\n# exported on Monday\n\n",
        second=("key", "text", "date", "number", "money", "code", "text", "flag", "flag"),
    ),
    "a dump of a database": Writing(
        id_="A-{}-Z", flag=("t", "f"), label=("Y", "N"), missing="NULL", separator="|", above="sep=|\n"
    ),
}


def write(path: Path, how: Writing, months: int, *, labels: bool, first: int = CUSTOMERS, times: int = 1) -> Path:
    """Write the customers, whose calls and flag say who leaves; `times` makes their calls larger."""
    rng = np.random.default_rng(5)
    lines = []
    for customer in range(CUSTOMERS):
        town, area, joined = rng.choice(["Köln", "Nice", "Málaga"]), rng.choice([408, 415, 510]), rng.integers(900)
        for month in range(months):
            calls, paperless, bill = rng.integers(1, 9), rng.random() < 0.5, rng.uniform(1000, 3000)
            left = rng.random() < 1 / (1 + np.exp(4.0 - 0.6 * calls + 1.5 * paperless - 2.0 * (town == "Nice")))
            values = (
                how.id_.format(1000 + customer),
                _date(f"2024-0{month + 1}", how.month),
                _date(str(np.datetime64("2019-01-01") + joined), how.day),
                str(calls * times) if rng.random() > 0.05 else how.missing,
                _money(bill, how),
                how.area.format(area),
                str(town),
                how.flag[not paperless],
                how.label[not left],
            )
            if customer < first:
                lines.append(values if labels else values[:-1])
    head = [NAMES, *([how.second] if how.second else [])]
    head = head if labels else [one[:-1] for one in head]
    text = how.above + "".join(how.separator.join(line) + "\n" for line in [*head, *lines])
    path.write_bytes(how.mark + text.encode(how.encoding))
    return path


def _date(text: str, form: str) -> str:
    return str(np.datetime64(text).astype("datetime64[s]").item().strftime(form))


def _money(value: float, how: Writing) -> str:
    text = how.money.format(value)
    return text.replace(".", ",") if how.separator == ";" else text


@pytest.mark.parametrize("name", WRITINGS)
def test_a_table_gets_a_champion_however_it_is_written_and_a_batch_that_is_not_like_it_is_stopped(
    name: str, workspace: Workspace
) -> None:
    how, root = WRITINGS[name], workspace.root
    train = write(root / "train.csv", how, how.months, labels=True)
    assert workspace.churn("new", "made", train) == ExitCode.DONE
    assert "WHAT NAMES A CUSTOMER" not in workspace.output
    assert f"Rows with churned = {how.label[0]} count as left" in workspace.output
    spec = root / "datasets" / "made.yaml"
    spec.write_text(spec.read_text() + "\nsearch: {trials: 1}\n")
    assert workspace.churn("land", "made", train) == ExitCode.DONE
    assert workspace.churn("retrain", "made") == ExitCode.DONE, workspace.output
    landed = read_current(workspace.lake, "made", "raw_customers")
    assert landed is not None
    assert open_published_table(workspace.lake, landed.prefix + "rows/").rows == CUSTOMERS * how.months
    assert open_published_table(workspace.lake, landed.prefix + "quarantine/").rows == 0

    probabilities = {
        batch: score(workspace, write(root / f"{batch}.csv", writing, 1, labels=False, first=100), batch)
        for batch, writing in {"own": how, "other": plainly(how)}.items()
    }
    assert len(probabilities["own"]) == 100
    assert probabilities["own"] == probabilities["other"]

    larger = write(root / "larger.csv", how, 1, labels=False, first=100, times=100)
    assert workspace.churn("land", "made", larger, "--batch", "larger") == ExitCode.DONE
    assert workspace.churn("score", "made", "larger") == ExitCode.FAILED
    words = " ".join(workspace.output.split())
    assert "calls: values are about 1" in words
    assert "times as large" in words
    assert "--accept" in words
    assert not (root / "home" / "out" / "made" / "lists" / "larger.csv").exists()
    assert workspace.churn("score", "made", "larger", "--accept") == ExitCode.DONE, workspace.output
    assert (root / "home" / "out" / "made" / "lists" / "larger.csv").is_file()


def plainly(how: Writing) -> Writing:
    """The plain writing, but for what a spec declares: the forms of dates and of money."""
    return Writing(
        id_=how.id_.removesuffix(".0"), day=how.day, month=how.month, money=how.money, separator=how.separator
    )


def score(workspace: Workspace, file: Path, batch: str) -> dict[str, float]:
    """Land a batch, score it, and return the probability of each customer."""
    assert workspace.churn("land", "made", file, "--batch", batch) == ExitCode.DONE
    assert workspace.churn("score", "made", batch) == ExitCode.DONE, workspace.output
    current = read_current(workspace.lake, "made", f"batch_predictions/{batch}")
    assert current is not None
    table = open_published_table(workspace.lake, current.prefix + "predictions/").read()
    ids = [str(one).removesuffix(".0") for one in table["id"].to_pylist()]
    return dict(zip(ids, table["churn_probability"].to_pylist(), strict=True))
