"""The tables that benchmarks run on, as canonical rows: the files of `shared/data` and the generator's sample.

Belongs here: reading them whole and without quarantine, which benchmarks can afford. Landed data is read by `churn_model/ingest/canonical_rows.py`.
"""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from churn_assets.sample.generator import Generator
from churn_model.errors import InputError
from churn_model.spec.dataset import Dataset
from resources.specs.loader import load_spec

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
FILES = {
    "larose": "larose_churn.csv",
    "telco": "telco_churn.csv",
    "leads": "leads.csv",
    "synthetic": "synthetic_churn.csv",
}


def spec_of(name: str) -> Dataset:
    """The dataset that datasets/<name>.yaml describes."""
    return load_spec(ROOT / "datasets" / f"{name}.yaml")


def shared_rows(name: str, dataset: Dataset) -> pa.Table:
    """Canonical rows of a file of shared/data. Raises InputError where the folder is not there."""
    path = SHARED / FILES[name]
    if not path.exists():
        raise InputError(
            f"Expected {path.name} in the folder shared/data beside the project; found none. Run the other tables."
        )
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
    is_text = not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))
    if kind == "category" or (kind is None and is_text):
        return column.cast(pa.string()).combine_chunks().dictionary_encode()
    return column.cast(pa.float64())
