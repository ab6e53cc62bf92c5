"""Bad input through `churn`, as its users meet it: a message, or the quarantine; never a wrong number, a stack trace or a lost row."""

import csv
import gzip
import io
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.score import score_job
from jobs.sensors import new_batches_sensor
from resources.catalog.pointers import read_batch, read_current
from resources.catalog.published_tables import open_published_table
from resources.local.landing_events import LocalLandingEvents
from resources.specs.loader import load_specs
from tests.harness.disks import fill, mounted
from tests.harness.machine import NotPossible

if TYPE_CHECKING:
    from tests.harness.home import Ended, Home

pytestmark = pytest.mark.prove

Tables = Callable[..., pa.Table]
Copied = Callable[["Home"], "Home"]
SCORED = 120  # customers of the batch that all variants are made of


@dataclass(frozen=True)
class Batch:
    """Customers as text, to be written in any way."""

    header: list[str]
    rows: list[list[str]]

    @property
    def ids(self) -> list[str]:
        return [row[0] for row in self.rows]

    def part(self, start: int, stop: int) -> "Batch":
        return Batch(list(self.header), [list(row) for row in self.rows[start:stop]])

    def with_value(self, row: int, column: str, value: str) -> "Batch":
        self.rows[row][self.header.index(column)] = value
        return self

    def text(self, **dialect: Any) -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, **{"lineterminator": "\n", **dialect})
        writer.writerow(self.header)
        writer.writerows(self.rows)
        return out.getvalue().encode()

    def parquet(self) -> bytes:
        out = io.BytesIO()
        pq.write_table(pa.table({name: [row[n] for row in self.rows] for n, name in enumerate(self.header)}), out)
        return out.getvalue()


def as_text(table: pa.Table) -> Batch:
    rows = [["" if value is None else str(value) for value in row.values()] for row in table.to_pylist()]
    return Batch(list(table.column_names), rows)


@pytest.fixture(scope="module")
def batch(customers: Tables) -> Batch:
    return as_text(customers(SCORED))


@pytest.fixture(scope="module")
def clean(retrained_home: "Home", batch: Batch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, float]]:
    """What the champion says of the batch as it should be."""
    home = retrained_home.copy(tmp_path_factory.mktemp("clean"))
    land(home, "clean", {"a.csv": batch.text()})
    assert home.churn("score", "shop", "clean").code == 0
    found = predictions(home, "clean")
    assert sorted(found) == sorted(batch.ids)
    yield found
    home.end_all()


def land(home: "Home", name: str, files: Mapping[str, bytes]) -> None:
    """As `churn land` does, without its two seconds."""
    for file, content in files.items():
        home.lake.put(f"landing/shop/score/{name}/{file}", content)


def clear(home: "Home", name: str) -> None:
    for entry in list(home.lake.entries(f"landing/shop/score/{name}/")):
        Path(home.lake.uri(entry.key)).unlink()


def published(home: "Home", asset: str, folder: str) -> pa.Table:
    current = read_current(home.lake, "shop", asset)
    assert current is not None
    return open_published_table(home.lake, current.prefix + folder).read()


def predictions(home: "Home", name: str) -> dict[str, float]:
    table = published(home, f"batch_predictions/{name}", "predictions/")
    return dict(zip(table["id"].to_pylist(), table["churn_probability"].to_pylist(), strict=True))


def quarantine(home: "Home", name: str) -> list[tuple[str, int, str | None, str]]:
    record = read_batch(home.lake, "shop", name)
    assert record is not None
    table = open_published_table(home.lake, record.rows.prefix + "quarantine/").read()
    return [tuple(row.values()) for row in table.to_pylist()]


def reads_well(ended: "Ended", code: int, *expected: str) -> None:
    """Whether a command ended with this code and these words, and without a stack trace, markup's errors or anybody's id."""
    assert ended.code == code
    for words in expected:
        assert words in ended.said
    for unwanted in ("Traceback", "MarkupError", 'File "', "Unexpected error"):
        assert unwanted not in ended.said
    if code == 1:
        assert not re.search(r"C\d{9}", ended.said)


def scores_clean_after(home: "Home", name: str, batch: Batch, clean: dict[str, float]) -> None:
    """The next good file under the same name works, and gives the same numbers."""
    clear(home, name)
    land(home, name, {"good.csv": batch.text()})
    reads_well(home.churn("score", "shop", name), 0)
    assert predictions(home, name) == clean


BAD_VALUES = (
    ("service_calls", "many", "service_calls: expected a number, found 'many'"),
    (
        "day_minutes",
        "inf",
        "day_minutes: expected a finite number, found an infinite one; write it blank if it is unknown",
    ),
    ("day_minutes", "1e308", "day_minutes: expected a number within 3.4e+38, found 1e+308"),
    ("customer_id", "", "customer_id: expected an id, found a blank"),
    ("as_of", "31.12.2025", "as_of: expected a date such as 2024-01-31, found '31.12.2025'"),
    (
        "annual_value",
        "",
        "annual_value: expected a worth from 0 to 1e+12, found a blank; fill it, or set costs.contact.value to one number",
    ),
)


def spell_in_each_way(next_rows: Callable[[], Batch]) -> dict[str, bytes]:
    """Return files by their names, each with rows of its own that are good, however they are spelled."""
    first = next_rows()
    order = np.random.default_rng(0).permutation(len(first.header)).tolist()
    shuffled = Batch([first.header[k] for k in order], [[row[k] for k in order] for row in first.rows])
    upper, extra, padded, marked = next_rows(), next_rows(), next_rows(), next_rows()
    extra_names = ["<b>x</b>", "😀", "[red]", "=1+1", "two\nlines"]
    return {
        "bom.csv": b"\xef\xbb\xbf" + next_rows().text(),
        "crlf.csv": next_rows().text(lineterminator="\r\n", quoting=csv.QUOTE_ALL),
        "extra.csv": Batch(
            [*extra.header, *extra_names], [[*row, "=x", "<script>", "[/]", "😀", "a\n\nb"] for row in extra.rows]
        ).text(),
        "gzip.csv.gz": gzip.compress(next_rows().text(), mtime=0),
        "marked.csv": b"\n\n" + marked.text(delimiter=";") + b"\n \n",
        "padded.csv": Batch(
            [f" {name} " for name in padded.header], [[f" {cell} " for cell in row] for row in padded.rows]
        ).text(),
        "parquet.parquet": next_rows().parquet(),
        "shuffled.csv": shuffled.text(),
        "upper.csv": Batch([name.upper() for name in upper.header], upper.rows).text(),
    }


def test_every_spelling_of_a_good_file_gives_the_same_predictions_and_each_bad_record_is_set_aside(
    retrained_home: "Home", copied: Copied, batch: Batch, clean: dict[str, float]
) -> None:
    home = copied(retrained_home)
    n = iter(range(0, SCORED, 10))

    def tenth() -> Batch:
        start = next(n)
        return batch.part(start, start + 10)

    files = spell_in_each_way(tenth)
    spoiled = tenth()
    for row, (column, value, _) in enumerate(BAD_VALUES):
        spoiled.with_value(row, column, value)
    foreign = ["L000000001", spoiled.rows[8][1], "S\xfcd", *spoiled.rows[8][3:]]
    # Letters in UTF-8 above: without them the whole file would be taken for one in the other encoding, and read.
    ragged, again = f"{spoiled.rows[9][0]},Süd", ",".join(spoiled.rows[9])
    files["spoiled.csv"] = (
        spoiled.text() + f"{ragged}\n{again}\n".encode() + ",".join(foreign).encode("latin-1") + b"\n"
    )
    land(home, "mixed", files)
    ended = home.churn("score", "shop", "mixed")
    reads_well(ended, 0, "94 rows, 9 quarantined, 103 records", "Quarantine:  9 of 103 records are not scored")
    reads_well(ended, 0, "Columns that the model does not know: '<b>x</b>', '=1+1', '[red]' and 2 more.")

    key = "landing/shop/score/mixed/spoiled.csv"
    width = len(batch.header)
    expected = [(key, row + 2, *reason.split(": ", 1)) for row, (_, _, reason) in enumerate(BAD_VALUES)]
    expected += [
        (key, 12, None, f"expected {width} values, as in the header, found 2 values"),
        (key, 13, None, f"the same record again; kept: {key}:11, first by file name and line"),
        (key, 14, "region", "expected text in UTF-8, found another encoding"),
    ]
    assert sorted(quarantine(home, "mixed"), key=lambda row: row[1]) == expected
    assert predictions(home, "mixed") == {id_: clean[id_] for id_ in batch.ids[:90] + batch.ids[96:100]}


UNREADABLE: dict[str, tuple[Callable[[Batch], bytes], str]] = {
    "a-spoiled-header.csv": (
        lambda b: b.text().replace(b"region", b"r\x80gion", 1),
        "Expected column names in UTF-8; found another encoding",
    ),
    "d-header-alone.csv": (lambda b: b.part(0, 0).text(), "Expected records; found a header alone"),
    "e-nothing.csv": (lambda b: b"", "Expected a header and records; found a file of zero bytes"),
    "f-blank.csv": (lambda b: b"\n \n", "Expected a header and records; found an empty file"),
    "g-nothing.csv.gz": (lambda b: b"", "Expected a header and records; found a file of zero bytes"),
    "h-empty.csv.gz": (lambda b: gzip.compress(b"", mtime=0), "Expected a header and records; found an empty file"),
    "i-cut-off.csv.gz": (
        lambda b: gzip.compress(b.text(), mtime=0)[:-20],
        "Expected a whole gzip file; found one that is cut off. Land it again",
    ),
    "j-no-gzip.csv.gz": (
        lambda b: b.text(),
        "Expected gzip; found damaged or other bytes. Land it again, without .gz in its name if it is not gzipped",
    ),
    "k-cut-off.parquet": (
        lambda b: b.parquet()[:-20],
        "Expected a whole Parquet file; found one that cannot be read. Land it again",
    ),
    "l-excel.csv": (
        lambda b: b"PK\x03\x04 and so on",
        "Expected CSV; found a zip archive. Name the file after what it is",
    ),
    "m-gzip-as.csv": (lambda b: gzip.compress(b.text(), mtime=0), "Expected CSV; found gzip (.csv.gz)"),
}


def test_files_that_cannot_be_read_are_all_named_at_once_and_a_good_one_in_their_place_works(
    retrained_home: "Home", copied: Copied, batch: Batch, clean: dict[str, float]
) -> None:
    home = copied(retrained_home)
    land(home, "monday", {name: made(batch) for name, (made, _) in UNREADABLE.items()} | {"z-good.csv": batch.text()})
    ended = home.churn("score", "shop", "monday")
    reads_well(ended, 1)
    for number, (name, (_, words)) in enumerate(UNREADABLE.items(), 1):
        assert f"{number}. landing/shop/score/monday/{name}: {words}" in ended.said
    assert read_batch(home.lake, "shop", "monday") is None
    scores_clean_after(home, "monday", batch, clean)


def test_columns_that_do_not_fit_the_champion_are_named_with_what_comes_closest(
    retrained_home: "Home", copied: Copied, batch: Batch, clean: dict[str, float]
) -> None:
    home = copied(retrained_home)

    def renamed(**names: str) -> bytes:
        return Batch([names.get(name, name) for name in batch.header], batch.rows).text()

    without = [n for n, name in enumerate(batch.header) if name not in ("region", "day_minutes")]
    twice = Batch([*batch.header, "REGION"], [[*row, "x"] for row in batch.rows])
    trained = "Expected the columns that the champion was trained with; found no"
    files = {
        "a-missing.csv": Batch(
            [batch.header[n] for n in without], [[row[n] for n in without] for row in batch.rows]
        ).text(),
        "b-renamed.csv": renamed(day_minutes="day_minute", customer_id="customer_no"),
    }
    land(home, "monday", files)
    ended = home.churn("score", "shop", "monday")
    reads_well(
        ended, 1, f"a-missing.csv: {trained} 'day_minutes', 'region'. Land the file with it, or correct the name"
    )
    reads_well(ended, 1, f"b-renamed.csv: {trained} 'customer_id', 'day_minutes'", "'day_minute'", "'customer_no'")
    clear(home, "monday")
    land(
        home,
        "monday",
        {"c-twice.csv": twice.text(), "d-unnamed.csv": renamed(region=" "), "e-reserved.csv": renamed(region="_hash")},
    )
    ended = home.churn("score", "shop", "monday")
    reads_well(
        ended,
        1,
        "c-twice.csv: Expected each column once; found names that differ by case alone: 'region', 'REGION'. Rename one",
    )
    reads_well(
        ended, 1, "d-unnamed.csv: Expected a name for every column; found none for column 3. Name it, or remove it"
    )
    reads_well(
        ended,
        1,
        "e-reserved.csv: Expected names other than _id, _as_of, _hash, _label; found '_hash'. Rename the column",
    )
    scores_clean_after(home, "monday", batch, clean)


def test_a_batch_of_bad_records_is_refused_as_a_whole_and_says_where_they_are(
    retrained_home: "Home", copied: Copied, batch: Batch, clean: dict[str, float]
) -> None:
    home = copied(retrained_home)
    # Without this line another encoding is detected, and read.
    home.describe((home.root / "datasets" / "shop.yaml").read_text() + "format: {encoding: utf-8}\n")
    land(home, "monday", {"a.csv": re.sub(rb"south|north|east|west", b"S\xfcd", batch.text())})
    ended = home.churn("score", "shop", "monday")
    reads_well(
        ended,
        1,
        "raw_batch: landed_data_keeps_the_contract does not hold: Expected at least one row, and at most 10% of 120 records",
    )
    (path,) = re.findall(r"Look at the quarantine \((.*?)\)", ended.said)
    assert pq.read_table(path)["reason"].to_pylist()[0] == "expected text in UTF-8, found another encoding"
    assert "region: expected text in UTF-8 (" in ended.said
    scores_clean_after(home, "monday", batch, clean)


def test_an_empty_folder_and_a_missing_one_say_what_to_land(retrained_home: "Home", copied: Copied) -> None:
    home = copied(retrained_home)
    home.lake.put("landing/shop/score/monday/_SUCCESS", b"")
    reads_well(
        home.churn("score", "shop", "monday"),
        1,
        "Expected files of batch monday below",
        "churn land shop FILE --batch monday",
    )
    home.describe("label: {column: left, positive: [x]}\n", "other")
    reads_well(
        home.churn("retrain", "other"), 1, "Expected at least one file", "found none. Land one: `churn land other FILE`"
    )
    home.describe("label: {column: left, positive: [x]}\nsource: {table: crm.people}\n", "remote")
    ended = home.churn("retrain", "remote")
    reads_well(
        ended,
        1,
        "Expected the table in",
        "found no table or view 'crm.people'",
        "correct `source` in the spec",
    )


def test_the_same_batch_again_changes_nothing_and_a_changed_one_is_scored_anew(
    retrained_home: "Home", copied: Copied, batch: Batch, clean: dict[str, float]
) -> None:
    home = copied(retrained_home)
    half = batch.part(0, 60)
    land(home, "monday", {"a.csv": half.text()})
    reads_well(home.churn("score", "shop", "monday"), 0)
    before, started = home.contents(), home.steps_started()
    land(home, "monday", {"a.csv": half.text()})
    reads_well(home.churn("score", "shop", "monday"), 0)
    assert home.steps_started() == started
    listing = [key for key in before["lake"] if "batches/" not in key]
    assert {key: home.contents()["lake"][key] for key in listing} == {key: before["lake"][key] for key in listing}
    # It was still growing: the whole of it is a new version; nobody is scored twice, nobody is lost.
    land(home, "monday", {"b.csv": batch.part(60, SCORED).text()})
    reads_well(home.churn("score", "shop", "monday"), 0)
    assert predictions(home, "monday") == clean
    # The same file under a second name is no second customer.
    land(home, "monday", {"c.csv": half.text()})
    ended = home.churn("score", "shop", "monday")
    assert ended.code == 1
    assert "the same record again (60 records)" in ended.said


def test_a_batch_that_grows_is_left_until_it_has_settled(retrained_home: "Home", copied: Copied, batch: Batch) -> None:
    home = copied(retrained_home)
    home.describe((home.root / "datasets" / "shop.yaml").read_text().replace("settle: 1s", "settle: 1h"))
    land(home, "monday", {"a.csv": batch.text()})

    dataset = load_specs(home.root / "datasets").datasets["shop"]
    sensor = new_batches_sensor(dataset, score_job(dataset))

    def asked() -> list[str | None]:
        with (
            dg.DagsterInstance.ephemeral() as instance,
            dg.build_sensor_context(
                instance,
                resources={"lake": home.lake, "landing_events": LocalLandingEvents(), "run_locks": home.run_locks},
            ) as context,
        ):
            found = sensor(context)
            assert isinstance(found, dg.SensorResult)
            return [request.partition_key for request in found.run_requests or ()]

    assert asked() == []
    path = Path(home.lake.uri("landing/shop/score/monday/a.csv"))
    os.utime(path, (path.stat().st_mtime - 7200,) * 2)
    assert asked() == ["monday"]
    home.lake.put("landing/shop/score/monday/b.csv", batch.text())
    assert asked() == []


EVIL = [
    "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "[bold red]x[/bold red]", "[/nope]", "0007", "007", "two\nlines", "😀", "\x1b[31mred",
    "@sum", "-1", "+1", "![](x)", "'; drop table x", "null", "1e5", "\u202eabc", '"q"', "a,b", "{{7*7}}",
]  # fmt: skip


def _unescape(cell: str) -> str:
    """Return the value that a cell of the list's CSV stands for."""
    return cell.removeprefix("'") if cell[1:2] in tuple("=+-@") else cell


def test_values_that_would_run_somewhere_are_only_text_everywhere(
    retrained_home: "Home", copied: Copied, batch: Batch
) -> None:
    home = copied(retrained_home)
    hostile = batch.part(0, SCORED)
    for row, value in enumerate(EVIL):
        hostile.with_value(row, "customer_id", value).with_value(row, "annual_value", "900000").with_value(
            row, "region", value
        )
        hostile.with_value(row, "do_not_call", "no").with_value(row, "contract", value).with_value(
            row, "service_calls", "9"
        )
    land(home, "evil", {"a.csv": hostile.text()})
    ended = home.churn("score", "shop", "evil")
    reads_well(ended, 0, "20 listed")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", ended.said)
    assert set(EVIL) <= set(predictions(home, "evil"))

    current = read_current(home.lake, "shop", "list_layout/evil")
    assert current is not None
    with Path(home.lake.uri(current.prefix + "list.csv")).open(newline="", encoding="utf-8") as stream:
        listed = list(csv.DictReader(stream))
    assert {_unescape(row["id"]) for row in listed} == set(EVIL)
    assert not [
        value
        for row in listed
        for value in row.values()
        if value[:1] in ("=", "+", "@", "\t", "\r") or value.startswith("-1")
    ]

    with dg.DagsterInstance.from_config(str(home.path / "dagster")) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["shop", "retention_list"]))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert not [value for value in metadata.values() if isinstance(value, dg.MarkdownMetadataValue)]
    first = metadata["first contacts"]
    assert isinstance(first, dg.TableMetadataValue)
    shown = [record.data["id"] for record in first.records]
    assert shown == [_unescape(row["id"]) for row in listed[:10]]


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


@contextmanager
def mounted_or_skip(folder: Path, *arguments: str) -> Iterator[None]:
    """A mount for as long as it is used. Skips, and says why, where this user may not mount."""
    with ExitStack() as stack:
        try:
            stack.enter_context(mounted(folder, *arguments))
        except NotPossible as why:
            pytest.skip(f"{why}; the same with a limit on file sizes is tested everywhere")
        yield


@pytest.mark.parametrize("kept", [0, 48 << 10, 400 << 10])
def test_a_full_disk_is_named_and_the_same_command_works_once_there_is_room(
    retrained_home: "Home", tmp_path: Path, batch: Batch, clean: dict[str, float], kept: int
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted_or_skip(disk, "-t", "tmpfs", "-o", "size=64m", "tmpfs"):
        home = retrained_home.copy(disk)
        try:
            land(home, "monday", {"a.csv": batch.text()})
            file = tmp_path / "tuesday.csv"
            file.write_bytes(batch.text() * 40)
            taken = fill(disk, kept)
            for arguments in (
                ("score", "shop", "monday"),
                ("retrain", "shop"),
                ("land", "shop", str(file), "--batch", "tuesday"),
            ):
                ended = home_outside(home, tmp_path, *arguments)
                # Unchanged data needs little room: a retrain may find all that it published.
                if not (arguments[0] == "retrain" and ended.code == 0):
                    reads_well(ended, 1)
                    assert re.search(
                        r"Expected to .*; found:? (No space left on device|disk I/O error|database or disk is full)",
                        ended.said,
                    )
                    assert "free some space" in ended.said.lower()
            assert home.lake.list("landing/shop/score/tuesday/") == []
            assert read_batch(home.lake, "shop", "monday") is None or predictions(home, "monday") == clean
            taken.unlink()
            reads_well(home_outside(home, tmp_path, "score", "shop", "monday"), 0)
            assert predictions(home, "monday") == clean
            assert home.problems() == []
        finally:
            home.end_all()


def home_outside(
    home: "Home", folder: Path, *arguments: str, before: Callable[[], None] | None = None, prefix: Sequence[str] = ()
) -> "Ended":
    """`churn` with what it says kept outside of its working folder, which may be full or read-only."""
    from tests.harness.home import Ended

    done = subprocess.run(
        [*prefix, sys.executable, "-m", "churn_assets.cli", *arguments],
        # Python keeps compiled code that was cut by a limit on files, and fails to import it ever after.
        env=home.environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=before,  # no thread of ours runs here
    )
    said = done.stdout + done.stderr
    print(said)  # noqa: T201  # shown where a test fails
    return Ended(done.returncode, said)


def test_a_step_that_may_not_write_more_says_so(
    retrained_home: "Home", copied: Copied, batch: Batch, clean: dict[str, float], tmp_path: Path
) -> None:
    """The same without a mount: a limit on the size of files, which the steps inherit."""
    home = copied(retrained_home)
    land(home, "monday", {"a.csv": batch.text()})
    limit = 1 << 13

    def only_small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    ended = home_outside(home, tmp_path, "score", "shop", "monday", before=only_small_files)
    reads_well(ended, 1)
    assert re.search(r"Expected to .*; found:? (File too large|disk I/O error|database or disk is full)", ended.said)
    reads_well(home_outside(home, tmp_path, "score", "shop", "monday"), 0)
    assert predictions(home, "monday") == clean


@pytest.mark.parametrize("what", ["lake", "."])
def test_a_read_only_lake_is_named_and_nothing_in_it_is_changed(
    retrained_home: "Home", copied: Copied, batch: Batch, clean: dict[str, float], tmp_path: Path, what: str
) -> None:
    home = copied(retrained_home)
    land(home, "monday", {"a.csv": batch.text()})
    file = tmp_path / "tuesday.csv"
    file.write_bytes(batch.text())
    folder = home.path / what
    before = home.contents()["lake"]
    home.describe((home.root / "datasets" / "shop.yaml").read_text().replace("trials: 1", "trials: 2"))  # work to do
    with mounted_or_skip(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        for arguments in (
            ("score", "shop", "monday"),
            ("retrain", "shop"),
            ("explore", "shop"),
            ("land", "shop", str(file), "--batch", "x"),
        ):
            ended = home_outside(home, tmp_path, *arguments)
            reads_well(ended, 1)
            assert re.search(
                r"Expected to .*; found:? (Read-only file system|unable to open database file)", ended.said
            )
            assert re.search(r"(?i)make it writable for this user|check the folder's permissions", ended.said)
        reads_well(home_outside(home, tmp_path, "report", "shop"), 0, "Judged on")
    assert home.contents()["lake"] == before
    reads_well(home_outside(home, tmp_path, "score", "shop", "monday"), 0)
    assert predictions(home, "monday") == clean


def test_a_lake_without_permission_is_named(
    retrained_home: "Home", copied: Copied, batch: Batch, clean: dict[str, float], tmp_path: Path
) -> None:
    home = copied(retrained_home)
    land(home, "monday", {"a.csv": batch.text()})
    # Permissions do not hold root back, unless it gives the right up.
    prefix = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    folders = [home.path / "lake", *(path for path in (home.path / "lake").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    ended = home_outside(home, tmp_path, "score", "shop", "monday", prefix=prefix)
    reads_well(ended, 1, "found Permission denied. Make it writable for this user")
    for folder in folders:
        folder.chmod(0o755)
    reads_well(home_outside(home, tmp_path, "score", "shop", "monday", prefix=prefix), 0)
    assert predictions(home, "monday") == clean
