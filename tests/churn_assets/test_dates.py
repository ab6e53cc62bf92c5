"""Dates from landed files to scored customers: the same from CSV and Parquet, whatever day the file has."""

import datetime
import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from churn_assets.cli.command import ExitCode
from churn_model.models.bundle import read_bundle
from resources.catalog.pointers import read_current
from resources.catalog.published_tables import open_published_table
from tests.conftest import Workspace

SPEC = """\
id: customer
label: {column: left, positive: ["yes"]}
search: {trials: 2}
"""


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


def land_and_retrain(workspace: Workspace, dataset: str, table: pa.Table, *, file: str) -> Path:
    """Land the table in a file, train on it and return the bundle."""
    workspace.write_spec(dataset, SPEC)
    path = workspace.root / file
    if path.suffix == ".csv":
        csv.write_csv(table, path)
    else:
        days = pc.if_else(pc.equal(table["signup"], ""), None, table["signup"]).cast(pa.date32())
        parquet.write_table(table.set_column(1, "signup", days), path)
    os.utime(path, (0, 0))  # a file may be landed long after it was written, or keep an old date when copied
    assert workspace.churn("land", dataset, path) == ExitCode.DONE
    assert workspace.churn("retrain", dataset) == ExitCode.DONE
    shown = read_current(workspace.lake, dataset, "tuned_model")
    assert shown is not None
    return workspace.root / "home" / "lake" / shown.prefix / "model.tar.gz"


def test_a_date_makes_the_same_model_and_scores_from_csv_and_parquet(workspace: Workspace) -> None:
    rows = customers(2000, seed=1)
    bundles = [
        read_bundle(land_and_retrain(workspace, name, rows, file=f"{name}{ending}"))
        for name, ending in (("text", ".csv"), ("typed", ".parquet"))
    ]
    assert bundles[0].schema == bundles[1].schema
    assert bundles[0].model.to_json() == bundles[1].model.to_json()
    assert bundles[0].schema.names == ("signup", "signup (month)", "signup (weekday)", "calls")
    assert bundles[0].schema.features[0].reference == max(rows["signup"].to_pylist())
    assert bundles[0].schema.required == {"signup": "date", "calls": "number"}

    batch = customers(100, seed=2).drop_columns(["left"])
    predictions = []
    for name in ("text", "typed"):
        workspace.land(batch, dataset=name, name="b.csv", batch="monday")
        assert workspace.churn("score", name, "monday") == ExitCode.DONE
        shown = read_current(workspace.lake, name, "batch_predictions/monday")
        assert shown is not None
        predictions.append(open_published_table(workspace.lake, shown.prefix + "predictions/").read())
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
