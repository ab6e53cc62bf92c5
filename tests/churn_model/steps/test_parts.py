"""From landed files to predictions, in one part or in many: the same rows, model and predictions."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest

from churn_assets.sample.generator import Generator
from churn_model.models.bundle import read_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.search import Search
from churn_model.spec.sections.split import Split
from churn_model.steps import ingest, preprocess, score, train
from churn_model.tables import open_table
from tests.steps import run_in_folder

DATASET = Dataset(
    name="shop",
    id="customer_id",
    as_of="as_of",
    label=Label(column="churned", positive=("yes",), means="cancelled"),
    split=Split(validation=0.3, test=0.2),
    search=Search(trials=2, parallel=1),
)


@dataclass
class Results:
    """The result folders of a whole path."""

    table: Path
    splits: Path
    model: Path
    batch: Path
    scored: Path


def whole_path(home: Path, landed: Path) -> Results:
    table = run_in_folder(ingest.step, home / "ingest", DATASET, landed=landed)
    splits = run_in_folder(preprocess.step, home / "preprocess", DATASET, rows=table)
    model = run_in_folder(train.step, home / "train", DATASET, splits=splits)
    batch = run_in_folder(
        ingest.step, home / "batch", DATASET, landed=landed, columns=read_bundle(model / BUNDLE).schema.required
    )
    return Results(
        table, splits, model, batch, run_in_folder(score.step, home / "score", DATASET, rows=batch, bundle=model)
    )


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Results]:
    home = tmp_path_factory.mktemp("parts")
    (home / "landed").mkdir()
    rows = pa.concat_tables(piece.landed for piece in Generator().training(3_000))
    rows = pa.concat_tables([rows, rows.slice(0, 40)])  # repeats go into quarantine
    pyarrow.csv.write_csv(rows, home / "landed" / "a.csv")
    made = {"one": whole_path(home / "one", home / "landed")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("churn_model.tables.PART_BYTES", 20_000)
        made["many"] = whole_path(home / "many", home / "landed")
    return made


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("table", ["rows"]),
        ("splits", ["train", "validation", "test"]),
        ("batch", ["rows"]),
        ("scored", ["predictions"]),
    ],
)
def test_tables_have_the_same_rows_in_the_same_order(paths: dict[str, Results], folder: str, names: list[str]) -> None:
    for name in names:
        one, many = (getattr(paths[which], folder) / name for which in ("one", "many"))
        assert len(list(many.iterdir())) > len(list(one.iterdir())) == 1
        blocks = [[block.to_pylist() for block in open_table(each).blocks(rows=500)] for each in (one, many)]
        assert blocks[0] == blocks[1]


def test_quarantine_is_the_same(paths: dict[str, Results]) -> None:
    one, many = (open_table(paths[which].table / "quarantine").read() for which in ("one", "many"))
    assert one.num_rows == 40
    assert one.equals(many)


def test_the_model_is_the_same_to_the_byte(paths: dict[str, Results]) -> None:
    one, many = (paths[which].model / "model.tar.gz" for which in ("one", "many"))
    assert one.read_bytes() == many.read_bytes()
    assert read_bundle(one, threads=1).version == "v1"


def test_reports_differ_in_their_files_alone(paths: dict[str, Results]) -> None:
    for folder in ("table", "splits", "model", "batch", "scored"):
        one, many = (
            json.loads((getattr(paths[which], folder) / "report.json").read_text()) for which in ("one", "many")
        )
        rows = [sum(file["rows"] or 0 for file in report.pop("files").values()) for report in (one, many)]
        assert (one, rows[0]) == (many, rows[1])
