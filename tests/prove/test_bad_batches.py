"""Bad batches through `churn`, as its users meet them: a message, or the quarantine; never a wrong number, a stack trace or a lost row."""

import csv
import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.score import score_job
from jobs.sensors import new_batches_sensor
from resources.catalog.pointers import read_batch, read_current
from resources.local.landing_events import LocalLandingEvents
from resources.specs.loader import load_specs
from tests.prove.text_batches import SCORED, Batch, clear, land, predictions, quarantine, reads_well

if TYPE_CHECKING:
    from tests.harness.home import Home

pytestmark = pytest.mark.prove

Copied = Callable[["Home"], "Home"]


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
