"""The tables that benchmarks run on, as canonical rows: the files of `shared/data` and the generator's sample.

Belongs here: reading them whole and without quarantine, which benchmarks can afford. Landed data is read by `churn_model/ingest/canonical_rows.py`.
"""

import datetime
import hashlib
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from churn_assets.sample.generator import Generator
from churn_model.errors import InputError
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from resources.specs.loader import load_spec

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
FILES = {
    "larose": "larose_churn.csv",
    "telco": "telco_churn.csv",
    "leads": "leads.csv",
    "synthetic": "synthetic_churn.csv",
}
FIELD = {
    "bank": Dataset(
        name="bank",
        id="CustomerId",
        label=Label(column="Exited", positive=("1",)),
    ),
    "ecommerce": Dataset(name="ecommerce", id="CustomerID", label=Label(column="Churn", positive=("1",))),
    "hotel": Dataset(name="hotel", id="Booking_ID", label=Label(column="booking_status", positive=("Canceled",))),
}
"""Public tables of shared/data/field, which have no spec of their own in datasets/."""


def spec_of(name: str) -> Dataset:
    """Return the dataset that datasets/<name>.yaml describes, or one of FIELD."""
    return FIELD[name] if name in FIELD else load_spec(ROOT / "datasets" / f"{name}.yaml")


def shared_rows(name: str, dataset: Dataset) -> pa.Table:
    """Canonical rows of a file of shared/data. Raises InputError where the folder is not there."""
    path = SHARED / FILES[name] if name in FILES else SHARED / "field"
    if not path.exists():
        raise InputError(
            f"Expected {path.name} in the folder shared/data beside the project; found none. Run the other tables."
        )
    if name in FIELD:
        return canonical(_READ[name](path), dataset)
    text = pyarrow.csv.ConvertOptions(strings_can_be_null=True, null_values=["", " "])
    return canonical(pyarrow.csv.read_csv(path, convert_options=text), dataset)


def sample_rows(count: int, dataset: Dataset) -> tuple[pa.Table, np.ndarray]:
    """Canonical rows of the generator, and for each the oracle's probability: P(left | the columns)."""
    pieces = list(Generator().training(count))
    landed = pa.concat_tables([piece.landed for piece in pieces], promote_options="default")
    oracle = pa.concat_tables([piece.truth for piece in pieces])["p_columns"]
    rows = canonical(landed.append_column("__oracle", oracle), dataset)
    return rows.drop_columns(["__oracle"]), rows["__oracle"].to_numpy()


def canonical(landed: pa.Table, dataset: Dataset) -> pa.Table:
    """Landed columns in the form that ingest writes, in hash order. Needs an id column."""
    ids = landed[dataset.id].cast(pa.string())
    hashes = np.array([_hash(dataset.split.seed, text) for text in ids.to_pylist()], dtype=np.uint64)
    columns = {"_id": ids}
    if dataset.as_of is not None:
        columns["_as_of"] = landed[dataset.as_of].cast(pa.date32())
    columns |= {"_hash": pa.array(hashes), "_label": pa.array(_is_positive(landed[dataset.label.column], dataset))}
    for name in landed.column_names:
        if name not in (dataset.id, dataset.as_of, dataset.label.column):
            columns[name] = _column(landed[name], dataset.types.get(name))
    keys = [("_hash", "ascending"), ("_id", "ascending"), *([("_as_of", "ascending")] if dataset.as_of else [])]
    rows = pa.table(columns)
    return rows.take(pc.sort_indices(rows, sort_keys=keys))


def _hash(seed: int, text: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{text}".encode(), digest_size=8).digest(), "big")


def _is_positive(column: pa.ChunkedArray, dataset: Dataset) -> np.ndarray:
    positive = {_plain(value) for value in dataset.label.positive}
    return np.array([_plain(str(value)) in positive for value in column.to_pylist()], dtype=np.int8)


def _plain(text: str) -> str:
    return text.strip().lower().removesuffix(".")


def _column(column: pa.ChunkedArray, kind: str | None) -> pa.ChunkedArray:
    if pa.types.is_date(column.type):
        return column.combine_chunks()
    is_text = not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))
    if kind == "category" or (kind is None and is_text):
        return column.cast(pa.string()).combine_chunks().dictionary_encode()
    return column.cast(pa.float64())


def _read_bank(folder: Path) -> pa.Table:
    return pyarrow.csv.read_csv(folder / "bank.csv.gz").drop_columns(["RowNumber", "Surname"])


def _read_ecommerce(folder: Path) -> pa.Table:
    first, *rows = openpyxl.load_workbook(folder / "ecommerce.xlsx", read_only=True)["E Comm"].iter_rows(
        values_only=True
    )
    return pa.table({str(name): pa.array([row[place] for row in rows]) for place, name in enumerate(first)})


def _read_hotel(folder: Path) -> pa.Table:
    """Bookings, with their day of arrival as a date; three dozen of 29 February 2018 have none."""
    options = pyarrow.csv.ConvertOptions(column_types={"date_of_arrival": pa.string()})
    found = pyarrow.csv.read_csv(folder / "hotel.csv.gz", convert_options=options)
    days = [_day(text) for text in found["date_of_arrival"].to_pylist()]
    place = found.schema.get_field_index("date_of_arrival")
    return found.set_column(place, "date_of_arrival", pa.array(days, pa.date32()))


def _day(text: str) -> datetime.date | None:
    day, month, year = (int(part) for part in text.split("/"))
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None


_READ = {"bank": _read_bank, "ecommerce": _read_ecommerce, "hotel": _read_hotel}
