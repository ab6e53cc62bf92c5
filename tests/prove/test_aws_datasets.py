"""Every table that we have, on AWS and on a laptop: the same rows, splits, models, decisions and reasons, with however many threads."""

import csv
import io
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from resources.aws.lake import S3Lake
from resources.catalog.pointers import read_current
from resources.local.lake import LocalLake
from resources.local.runner import LocalRunner
from resources.ports.lake import Lake
from resources.ports.runner import StepRequest
from resources.specs.loader import load_specs
from tests.aws.account import Account, open_account
from tests.conftest import Workspace
from tests.prove.parity import assert_same_predictions, assert_same_results, score_by_transform
from tests.prove.shared_tables import TABLES, read_rows

pytestmark = pytest.mark.prove

BATCH_ROWS = 500


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
