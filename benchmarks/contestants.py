"""What races against what: each prints the seconds of its work as JSON. Run as `python -m benchmarks.contestants NAME ARGUMENT...`.

Belongs here: the work itself, ours and the plainest that reads and writes the same. Does not belong here: who races whom.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xgboost as xgb
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from benchmarks.tables import spec_of
from churn_assets.sql.functions import register_functions
from churn_model.column_types.category import CATEGORY
from churn_model.features.encoding import encode
from churn_model.features.schema import FeatureSchema, fit_schema
from churn_model.models.bundle import read_bundle
from churn_model.models.contributions import contributions
from churn_model.serving.plan import Plan
from churn_model.steps.contract import Layout
from churn_model.tables import open_table

FITTED_ROWS = 100_000


def step(name: str, root: str) -> Callable[[], object]:
    """A step's function in its folders, without the report."""

    layout = Layout(Path(root))
    result = layout.result
    if result.exists():
        shutil.rmtree(result)
    result.mkdir(parents=True)
    run = import_module(f"churn_model.steps.{name}").step
    return lambda: run(layout)


def copy(source: str, target: str) -> Callable[[], object]:
    """Read a table and write its columns again, row group by row group."""

    def run() -> None:
        table = open_table(Path(source))
        with pq.ParquetWriter(target, table.schema, compression="zstd") as writer:
            for block in table.blocks():
                writer.write_batch(block)

    return run


def read_and_write(source: str, made: str, target: str) -> Callable[[], object]:
    """Read one table's columns and write those of another, which are in memory before the clock starts."""
    batches = list(open_table(Path(made)).blocks())

    def run() -> None:
        table = open_table(Path(source))
        with pq.ParquetWriter(target, batches[0].schema, compression="zstd") as writer:
            for read, batch in zip(table.blocks(), batches, strict=True):
                if read.num_rows != batch.num_rows:
                    raise ValueError("expected the same row groups")
                writer.write_batch(batch)

    return run


def sql(bundle: str, source: str, target: str, threads: str) -> Callable[[], object]:
    """The SQL functions over a table's rows in DuckDB, written to Parquet."""
    plan = Plan(read_bundle(Path(bundle), threads=int(threads)), spec_of("sample"))
    connection = duckdb.connect(config={"threads": int(threads)})
    register_functions(connection, plan)
    answers = f"SELECT _id, churn_probability(t), will_churn(t) FROM '{source}/*.parquet' t"
    return lambda: connection.execute(f"COPY ({answers}) TO '{target}' (COMPRESSION zstd)")


def our_encoding(source: str, threads: str) -> Callable[[], object]:
    """Ours: an Arrow table to float32 codes."""
    rows, schema = _fitted(source)
    return lambda: encode(rows, schema, "boosted_trees", threads=int(threads))


def column_transformer(source: str) -> Callable[[], object]:
    """scikit-learn's: the same columns from the same Arrow table, by way of pandas, which is where it takes them from."""

    rows, schema = _fitted(source)
    names = [name for name in schema.required if name in rows.column_names]
    levels = {feature.name: len(feature.levels) for feature in schema.features}
    few = [name for name in names if CATEGORY.holds(rows[name].type) and levels[name] <= schema.one_hot_limit]
    many = [name for name in names if CATEGORY.holds(rows[name].type) and name not in few]
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, dtype=np.float32)
    transformer = ColumnTransformer(
        [
            ("few", OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32), few),
            ("many", ordinal, many),
        ],
        remainder="passthrough",
    )
    transformer.fit(rows.slice(0, FITTED_ROWS).select(names).to_pandas())
    return lambda: np.ascontiguousarray(transformer.transform(rows.select(names).to_pandas()), dtype=np.float32)


def xgboost_contributions(bundle: str, source: str) -> Callable[[], object]:
    """`pred_contribs` of a bundle's model for rows of a Parquet file."""

    read = read_bundle(Path(bundle), threads=1)
    encoded = encode(_some(source), read.schema, read.model.family)
    read.model.booster.set_param({"nthread": 1})
    return lambda: read.model.booster.predict(xgb.DMatrix(encoded, nthread=1), pred_contribs=True)


def our_contributions(bundle: str, source: str) -> Callable[[], object]:
    """Ours of the same rows, tables and check against the margin included."""
    read = read_bundle(Path(bundle), threads=1)
    encoded = encode(_some(source), read.schema, read.model.family)
    return lambda: contributions(read.model, encoded)


def _fitted(source: str) -> tuple[pa.Table, FeatureSchema]:
    rows = pq.read_table(source)
    return rows, fit_schema(rows.slice(0, FITTED_ROWS), spec_of("sample"))


def _some(source: str) -> pa.RecordBatch:
    return next(open_table(Path(source)).blocks(rows=50_000))


CONTESTANTS: Mapping[str, Callable[..., Callable[[], object]]] = {
    "step": step,
    "copy": copy,
    "read_and_write": read_and_write,
    "sql": sql,
    "our_encoding": our_encoding,
    "column_transformer": column_transformer,
    "xgboost_contributions": xgboost_contributions,
    "our_contributions": our_contributions,
}

if __name__ == "__main__":
    work = CONTESTANTS[sys.argv[1]](*sys.argv[2:])
    started = time.perf_counter()
    work()
    print(json.dumps({"seconds": time.perf_counter() - started}))
