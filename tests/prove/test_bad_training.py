"""Bad training tables through `churn`: hostile names and levels, files that do not fit each other, bad records, too many columns and levels."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.catalog.pointers import read_current
from tests.prove.text_batches import Batch, as_text, land, published, reads_well

if TYPE_CHECKING:
    from tests.harness.home import Home

pytestmark = pytest.mark.prove

Tables = Callable[..., pa.Table]
Copied = Callable[["Home"], "Home"]


def hostile_training(table: pa.Table) -> pa.Table:
    names = {
        "service_calls": "<script>alert(1)</script>",
        "day_minutes": "=1+1",
        "evening_minutes": "[bold red]x[/red]",
        "night_minutes": "😀 $\\frac{",
        "region": "two\nlines \x1b[31m",
        "contract": 'a,"b";c|d',
        "satisfaction": "{{7*7}} %s {value}",
    }
    table = table.rename_columns([names.get(name, name) for name in table.column_names])
    levels = [
        "<img src=x onerror=alert(1)>",
        "=cmd()",
        "[/bold]",
        "$\\bad{",
        "😀",
        "\x1b[2J",
        "two\nlines",
        "{value}",
        "\u202ertl",
    ]
    place = table.column_names.index("payment_method")
    payment = [each or "" for each in table["payment_method"].to_pylist()]
    known = sorted(set(payment))
    table = table.set_column(
        place,
        "payment_method",
        pa.array([levels[known.index(each)] if n % 2 else levels[-1 - n % 5] for n, each in enumerate(payment)]),
    )
    ids = ["00" + each.removeprefix("C") for each in table["customer_id"].to_pylist()]
    table = table.set_column(0, "customer_id", pa.array(ids))
    count = table.num_rows
    table = table.append_column("nothing", pa.nulls(count, pa.string())).append_column(
        "constant", pa.array(["=x"] * count)
    )
    table = table.append_column("not a number", pa.array([float("nan")] * count))
    return table.append_column("own level", pa.array([f"<b>{n}" for n in range(count)]))


def test_hostile_names_and_levels_are_learned_from_and_shown_as_text(
    landed_home: "Home", copied: Copied, training: Tables
) -> None:
    home = copied(landed_home)
    spec = (home.root / "datasets" / "shop.yaml").read_text()
    home.describe(spec.replace("trials: 1", "trials: 2").replace("ignore: [contract, tenure_months]\n", ""))
    table = hostile_training(training(2500))
    Path(home.lake.uri("landing/shop/train/customers.csv")).unlink()
    out = as_text(table)
    home.lake.put("landing/shop/train/hostile.csv", out.text())
    ended = home.churn("retrain", "shop")
    assert ended.code in (0, 3)
    reads_well(ended, ended.code)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", ended.said)
    model, shown = read_current(home.lake, "shop", "tuned_model"), read_current(home.lake, "shop", "evaluation_page")
    assert model is not None
    assert shown is not None
    left_out = json.loads(home.lake.read(model.prefix + "report.json"))["detail"]["left_out"]
    assert set(left_out) >= {"nothing", "constant", "not a number", "own level"}
    page = home.lake.read(shown.prefix + "report.html").decode()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    rows = published(home, "raw_customers", "rows/")
    assert rows["_id"].to_pylist()[0].startswith("000")
    assert rows.num_rows == 2500
    if ended.code == 0:
        land(home, "monday", {"a.csv": out.part(0, 50).text()})
        reads_well(home.churn("score", "shop", "monday"), 0)
        assert published(home, "batch_predictions/monday", "predictions/").num_rows == 50


def test_training_files_that_do_not_fit_each_other_or_hold_one_class_are_refused(
    landed_home: "Home", copied: Copied, training: Tables
) -> None:
    home = copied(landed_home)
    whole = as_text(training(2500))
    other = Batch([*whole.header[:2], "district", *whole.header[3:]], whole.rows[:100])
    home.lake.put("landing/shop/train/other.csv", other.text())
    ended = home.churn("retrain", "shop")
    reads_well(
        ended,
        1,
        "landing/shop/train/other.csv: Expected the columns of landing/shop/train/customers.csv; found no 'region'",
    )
    reads_well(ended, 1, "Expected the columns of landing/shop/train/customers.csv alone; found 'district' as well")
    Path(home.lake.uri("landing/shop/train/other.csv")).unlink()

    label = whole.header.index("churned")
    for value, words in (
        (
            "no",
            "both_classes_are_present does not hold: Expected customers who left and customers who stayed; found 0 who left among 2,500",
        ),
        ("perhaps", "landed_data_keeps_the_contract does not hold"),
    ):
        home.lake.put(
            "landing/shop/train/customers.csv",
            Batch(whole.header, [[*row[:label], value] for row in whole.rows]).text(),
        )
        reads_well(home.churn("retrain", "shop"), 1, words)
        assert home.champion is None


def test_bad_records_beside_good_ones_change_nothing_of_what_is_learned(
    retrained_home: "Home", copied: Copied, training: Tables
) -> None:
    home = copied(retrained_home)
    splits = {name: published(home, "preprocessed_splits", f"{name}/") for name in ("train", "validation", "test")}
    champion = home.champion
    rows = as_text(training(60))
    for n, row in enumerate(rows.rows):
        row[0] = f"X{n:09d}"
        row[rows.header.index("churned")] = "perhaps"
    home.lake.put("landing/shop/train/x-unknown-labels.csv", rows.text() + b"ragged\n" + b'"open,quote\n')
    ended = home.churn("retrain", "shop")
    reads_well(
        ended,
        0,
        "62 quarantined",
        "Quarantine:  62 of 4,062 records are not trained on",
        "list it under label.positive or label.negative",
    )
    assert {name: published(home, "preprocessed_splits", f"{name}/") for name in splits} == splits
    assert champion is not None
    assert home.champion is not None
    assert home.champion.version == champion.version or "same" in ended.said


def test_a_thousand_columns_and_a_million_levels_go_the_whole_way(landed_home: "Home", copied: Copied) -> None:
    home = copied(landed_home)
    search = "search: {trials: 1}\n"
    rng = np.random.default_rng(0)
    x = rng.normal(size=1_000_000)
    left = np.where(rng.random(len(x)) < 1 / (1 + np.exp(2 - x)), "yes", "no")
    levels = {
        "id": np.arange(len(x)),
        "x": x.round(3),
        "y": rng.normal(size=len(x)).round(2),
        "level": [f"level {n}" for n in range(len(x))],
    }
    wide = {f"column {n}": rng.integers(0, 5, 1500) for n in range(1000)}
    tables = {
        "levels": pa.table(levels | {"left": left}),
        "wide": pa.table({"id": np.arange(1500), "x": x[:1500].round(3), **wide, "left": left[:1500]}),
    }
    for name, table in tables.items():
        home.describe(
            f"id: id\nlabel: {{column: left, positive: [yes]}}\nknown: [x]\n{search}".replace("[yes]", '["yes"]'), name
        )
        out = io.BytesIO()
        pq.write_table(table, out)
        home.lake.put(f"landing/{name}/train/a.parquet", out.getvalue())
        ended = home.churn("retrain", name)
        assert ended.code in (0, 3)
        reads_well(ended, ended.code, f"{table.num_rows:,} rows, 0 quarantined", f"{name} predicts who")
