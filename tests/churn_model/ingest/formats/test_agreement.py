"""The same table makes the same canonical rows whatever format it lands in."""

import csv
import gzip
import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from openpyxl import Workbook
from pyarrow import parquet

from churn_model.errors import InputError
from churn_model.ingest.canonical_rows import Ingested, ingest
from churn_model.ingest.files import FORMATS
from churn_model.ingest.formats.base import LandedFile
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.source import Source

SHOP = Dataset(name="shop", id="id", label=Label(column="left", positive=("yes",)), source=Source(sheet="Customers"))
ROWS = 400
TABLE = pa.table(
    {
        "id": [f"{n:05d}" for n in range(ROWS)],
        "plan": [["basic", "plus", 'é, "quoted"', "a\nb", None][n % 5] for n in range(ROWS)],
        "calls": [n % 7 if n % 11 else None for n in range(ROWS)],
        "charge": [n / 7 for n in range(ROWS)],
        "since": [f"2024-0{n % 9 + 1}-01" for n in range(ROWS)],
        "left": [["no", "yes"][n % 3 == 0] for n in range(ROWS)],
    }
)


def write(folder: Path, ending: str) -> Path:
    """Write the table as a file with this ending, its numbers with all their digits."""
    path, plain = folder / f"t{ending}", folder / f"t{ending.removesuffix('.gz')}"
    rows = TABLE.to_pylist()
    if plain.suffix == ".parquet":
        # A Parquet file states its types: text in it stays text.
        since = TABLE["since"].cast(pa.date32())
        parquet.write_table(TABLE.set_column(TABLE.column_names.index("since"), "since", since), plain)
    elif plain.suffix == ".csv":
        with plain.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, TABLE.column_names)
            writer.writeheader()
            writer.writerows(rows)
    elif plain.suffix in (".jsonl", ".ndjson"):
        present = [{name: value for name, value in row.items() if value is not None} for row in rows]
        plain.write_text("".join(json.dumps(row) + "\n" for row in present), "utf-8")
    else:
        book = Workbook()
        book.active.append(["What the columns mean"])
        sheet = book.create_sheet("Customers")
        for values in [TABLE.column_names, *(list(row.values()) for row in rows)]:
            sheet.append(values)
        book.save(plain)
    if path != plain:
        path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


def ingested(folder: Path, ending: str, dataset: Dataset = SHOP) -> tuple[Ingested, pa.Table]:
    out = folder / ending
    counts = ingest([LandedFile(f"t{ending}", write(folder, ending))], dataset, out, expected=None)
    rows = parquet.read_table(out / "rows")
    return counts, rows


@pytest.mark.parametrize("ending", [ending for each in FORMATS for ending in each.endings if ending != ".csv"])
def test_every_format_makes_the_rows_that_csv_makes(tmp_path: Path, ending: str) -> None:
    expected, reference = ingested(tmp_path, ".csv")
    counts, rows = ingested(tmp_path, ending)
    assert (counts.records, counts.rows, counts.quarantined) == (ROWS, ROWS, 0)
    assert counts.kinds == expected.kinds
    for name in reference.column_names:
        if name == "charge" and ending == ".xlsx":  # the library that writes this workbook keeps 16 digits
            assert rows["charge"].to_pylist() == pytest.approx(reference["charge"].to_pylist(), rel=1e-15)
        else:
            assert rows[name].to_pylist() == reference[name].to_pylist()


def test_the_spec_names_the_sheet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^t\.xlsx: .*records in sheet 'Sheet'.*'Sheet', 'Customers'"):
        ingested(tmp_path, ".xlsx", Dataset(name="shop", id="id", label=SHOP.label))


GERMAN = Dataset(
    name="shop",
    id="id",
    label=Label(column="left", positive=("yes",)),
    types={"fee": "number 1.234,5", "share": "number 1,234.5 %", "since": "date %d.%m.%Y"},
)
FEES = ("20,345", "1.234,5", "-7", "0,00001", None)
SHARES = ("12.5 %", "100 %", "0.1 %", "-3 %", None)
DAYS = ("31.01.2024", "01.02.2023", "29.02.2024", "24.12.2022", None)


def write_values(path: Path, as_values: bool) -> Path:
    """Write fees, shares and days, as text in the formats of their columns or as the numbers and dates that they are."""
    rows: list[list[object]] = []
    for n in range(len(FEES) * 4):
        fee, share, day = FEES[n % 5], SHARES[n % 5], DAYS[n % 5]
        values: list[object] = [fee, share, day]
        if as_values and fee and share and day:
            number = float(fee.replace(".", "").replace(",", "."))
            values = [
                number,
                float(share.removesuffix(" %")) / 100,
                date.fromisoformat("-".join(reversed(day.split(".")))),
            ]
            if path.suffix == ".jsonl":
                values[2] = day  # JSON knows no dates
        rows.append([f"{n:05d}", *values, "yes" if n % 3 else "no"])
    names = ("id", "fee", "share", "since", "left")
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows), "utf-8")
    else:
        book = Workbook()
        for row in [names, *rows]:
            book.active.append(row)
        book.save(path)
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".xlsx"])
def test_a_number_or_a_date_of_a_file_is_itself_where_text_has_a_format(tmp_path: Path, ending: str) -> None:
    tables = []
    for as_values in (False, True):
        out, file = tmp_path / f"out-{as_values}", write_values(tmp_path / f"{as_values}{ending}", as_values)
        counts = ingest([LandedFile(file.name, file)], GERMAN, out, expected=None)
        assert (counts.records, counts.quarantined) == (20, 0)
        tables.append(parquet.read_table(out / "rows"))
    texts, values = tables
    assert texts["fee"].to_pylist()[:1] != [None]
    assert sorted(filter(None, set(values["fee"].to_pylist()))) == [-7, 0.00001, 20.345, 1234.5]
    assert values.equals(texts)
