"""Dates from landed files to scored customers: the same from CSV and Parquet, whatever day the file has."""

import datetime
import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from churn_model.models.bundle import Bundle, read_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.search import Search
from churn_model.spec.sections.split import Split
from churn_model.steps import ingest, preprocess, score, train
from churn_model.tables import open_table
from resources.catalog.pointers import read_current
from tests.conftest import Workspace
from tests.steps import run_in_folder

SPEC = """\
id: customer
label: {column: left, positive: ["yes"]}
search: {trials: 2}
"""
SHOP = Dataset(
    name="shop",
    id="customer",
    label=Label(column="left", positive=("yes",)),
    split=Split(validation=0.2, test=0.1),  # without the outer folds of small tables
    search=Search(trials=1, parallel=1),
)


def customers(rows: int, seed: int) -> pa.Table:
    """Customers whose first year is risky. `signup` is ISO text."""
    draw = random.Random(seed)
    start = datetime.date(2024, 6, 30)
    days = [start - datetime.timedelta(days=draw.randrange(1500)) for _ in range(rows)]
    risk = [0.6 if (start - day).days < 365 else 0.1 for day in days]
    return pa.table(
        {
            "customer": [f"{seed}-{n}" for n in range(rows)],
            "signup": [day.isoformat() if draw.random() > 0.05 else "" for day in days],
            "calls": [draw.randrange(9) for _ in range(rows)],
            "left": ["yes" if draw.random() < one else "no" for one in risk],
        }
    )


def land(table: pa.Table, folder: Path, file: str) -> Path:
    """Write the table to a file of a new folder, as CSV or as Parquet with real dates, and return the folder."""
    folder.mkdir(parents=True)
    path = folder / file
    if path.suffix == ".csv":
        csv.write_csv(table, path)
    else:
        days = pc.if_else(pc.equal(table["signup"], ""), None, table["signup"]).cast(pa.date32())
        parquet.write_table(table.set_column(1, "signup", days), path)
    os.utime(path, (0, 0))  # a file may be landed long after it was written, or keep an old date when copied
    return folder


def train_and_score(home: Path, rows: pa.Table, batch: pa.Table, ending: str) -> tuple[Bundle, pa.Table]:
    """Train on the rows, landed with this ending, and return the bundle and the predictions for the batch."""
    table = run_in_folder(ingest.step, home / "ingest", SHOP, landed=land(rows, home / "landed", f"a{ending}"))
    splits = run_in_folder(preprocess.step, home / "preprocess", SHOP, rows=table)
    model = run_in_folder(train.step, home / "train", SHOP, splits=splits)
    bundle, landed = read_bundle(model / BUNDLE), land(batch, home / "score", "b.csv")
    ingested = run_in_folder(ingest.step, home / "batch", SHOP, landed=landed, columns=bundle.schema.required)
    scored = run_in_folder(score.step, home / "scored", SHOP, rows=ingested, bundle=model)
    return bundle, open_table(scored / "predictions").read()


def test_a_date_makes_the_same_model_and_scores_from_csv_and_parquet(tmp_path: Path) -> None:
    rows, batch = customers(1000, seed=1), customers(100, seed=2).drop_columns(["left"])
    made = [train_and_score(tmp_path / ending, rows, batch, ending) for ending in (".csv", ".parquet")]
    bundles, predictions = zip(*made, strict=True)
    assert bundles[0].schema == bundles[1].schema
    assert bundles[0].model.to_json() == bundles[1].model.to_json()
    assert bundles[0].schema.names == ("signup", "signup (month)", "signup (weekday)", "calls")
    assert bundles[0].schema.features[0].reference == max(rows["signup"].to_pylist())
    assert bundles[0].schema.required == {"signup": "date", "calls": "number"}
    assert predictions[0]["churn_probability"].equals(predictions[1]["churn_probability"])
    words = [text for text in predictions[0]["reason_1"].to_pylist() if text and text.startswith("signup")]
    assert any(text.startswith("signup: 20") and "(typical: 202" in text for text in words)


def test_dates_that_may_mean_two_things_are_refused_until_the_spec_names_the_format(workspace: Workspace) -> None:
    rows = customers(300, seed=3)
    firsts = pa.array([f"0{n % 3 + 1}/0{n % 9 + 1}/2024" for n in range(300)])
    workspace.write_spec("shop", SPEC)
    workspace.land(rows.set_column(1, "signup", firsts))
    workspace.churn("retrain", "shop")
    assert "`types: {signup: date %d/%m/%Y}`" in workspace.output
    workspace.write_spec("shop", SPEC + "types: {signup: date %m/%d/%Y}\n")
    workspace.churn("retrain", "shop")  # trained; too small to be promoted
    shown = read_current(workspace.lake, "shop", "tuned_model")
    assert shown is not None
    schema = read_bundle(workspace.root / "home" / "lake" / shown.prefix / "model.tar.gz").schema
    assert schema.required["signup"] == "date %m/%d/%Y"
