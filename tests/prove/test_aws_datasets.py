"""Every table that we have, on AWS and on a laptop: the same rows, splits, models, decisions and reasons, with however many threads."""

import csv
import gzip
import io
import sys
import tarfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import openpyxl
import pytest

from resources.aws.lake import S3Lake
from resources.catalog.pointers import read_current
from resources.local.lake import LocalLake
from resources.local.runner import LocalRunner
from resources.ports.lake import Lake
from resources.ports.runner import StepRequest
from resources.settings import PROJECT
from resources.specs.loader import load_specs
from tests.conftest import Workspace
from tests.prove.account import Account, open_account
from tests.prove.parity import assert_same_predictions, assert_same_results, score_by_transform

pytestmark = pytest.mark.prove

TRIALS = "\nsearch: {trials: 2, families: [boosted_trees]}\n"
COSTS = "costs: {false_negative: 500, false_positive: 100, true_positive: 100, true_negative: 0}"
ONE_TRIAL = TRIALS.replace("2", "1")  # of a large table
SHEET = "E Comm"
BATCH_ROWS = 500


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


def write_batch(source: Path, label: str, target: Path) -> None:
    """Write the first rows of a table, without their labels if it has any."""
    with closing(read_rows(source)) as rows, target.open("w", newline="") as batch:
        names = next(rows)
        kept = [place for place, name in enumerate(names) if name != label]
        csv.writer(batch).writerows([row[place] for place in kept] for row in (names, *islice(rows, BATCH_ROWS)))


def retrain_and_score(folder: Path, name: str, data: Path, settings: dict[str, str]) -> Workspace:
    """Land a table, retrain, land a batch of it and score it, in a working folder of its own."""
    folder.mkdir()
    workspace, table = Workspace(folder, settings), TABLES[name]
    workspace.write_spec(name, table.spec)
    assert workspace.churn("land", name, data / table.file) == 0
    assert workspace.churn("retrain", name) == 0
    batch = folder / "monday.csv"
    write_batch(data / (table.batch or table.file), table.label, batch)
    assert workspace.churn("land", name, batch, "--batch", "monday") == 0
    assert workspace.churn("score", name, "monday") == 0
    return workspace


def assert_same_model_with_any_threads(lake: LocalLake, name: str, workspace: Workspace, theirs: S3Lake) -> None:
    """Fit again with one thread and with four, and compare what scores with the models of two threads and of the job."""
    splits, model = (read_current(lake, name, asset) for asset in ("preprocessed_splits", "tuned_model"))
    assert splits is not None
    assert model is not None
    runner = LocalRunner(lake=lake, runs=str(workspace.root / "runs"), python=sys.executable)
    prefixes = []
    for threads in (1, 4):
        prefixes.append(f"{name}/tuned_model/threads-{threads}/")
        request = StepRequest(
            step="train",
            version=f"threads-{threads}",
            dataset=load_specs(workspace.root / "datasets").datasets[name],
            inputs={"splits": [splits.prefix]},
            output=prefixes[-1],
            threads=threads,
        )
        runner.run(request)
    fitted = read_members(lake, model.prefix)
    assert set(fitted) == {"model.json", "features.json", "calibration.json"}
    for prefix in prefixes:
        assert read_members(lake, prefix) == fitted, prefix
    other = read_current(theirs, name, "tuned_model")
    assert other is not None
    assert read_members(theirs, other.prefix)["model.json"] == fitted["model.json"]


def read_members(lake: Lake, prefix: str) -> dict[str, bytes]:
    """Return what a bundle scores with: all but the code that made it, and what it says of itself."""
    with tarfile.open(fileobj=io.BytesIO(lake.read(prefix + "model.tar.gz"))) as bundle:
        names = [name for name in bundle.getnames() if name in ("model.json", "features.json", "calibration.json")]
        return {name: member.read() for name in names if (member := bundle.extractfile(name))}


@pytest.fixture
def account(aws_lake: S3Lake, tmp_path: Path) -> Iterator[Account]:
    with open_account(aws_lake, tmp_path / "machines") as account:
        yield account


@pytest.mark.parametrize("name", TABLES)
def test_a_real_table_gives_on_aws_what_it_gives_on_a_laptop(
    account: Account, tmp_path: Path, shared_data: Path, name: str
) -> None:
    ours = retrain_and_score(tmp_path / "ours", name, shared_data, {})
    theirs = retrain_and_score(tmp_path / "theirs", name, shared_data, account.settings)
    assert_same_results(ours.lake, account.lake, name)
    score_by_transform(theirs, name, theirs.root / "monday.csv")
    assert_same_predictions(account.lake, name)
    assert_same_model_with_any_threads(ours.lake, name, ours, account.lake)
