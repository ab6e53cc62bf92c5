"""Encoding against scikit-learn, and the preprocess step against reading and writing alone."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import Bench, Ratio, median_ratio, medians, result


def preprocessing(bench: Bench, rows: int) -> list[Ratio]:
    """Arrow table to float32 codes; ingested rows to splits."""
    root = bench.step(f"ingest-{rows}", "ingest", landed=bench.sample(rows) / "train")
    bench.run_step(root, "ingest")
    source = result(root) / "rows"
    as_in_telco = bench.folder / "categories.parquet"
    _cut_into_levels(source, as_in_telco)
    return [
        _encoding(bench, "encoding", source, rows, "5 of 20 columns categories"),
        _encoding(bench, "encoding, mostly categories", as_in_telco, rows, "16 of 20 columns categories"),
        _step(bench, result(root), rows),
    ]


def _cut_into_levels(source: Path, target: Path) -> None:
    """The sample with eleven of its numbers as categories of four levels, which is the shape of the Telco table."""
    table = pq.read_table(source)
    names = [field.name for field in table.schema if field.type == pa.float64() and not field.name.endswith("_charge")][
        :11
    ]
    for name in names:
        values = table[name].to_numpy()
        level = np.searchsorted(np.nanquantile(values, [0.25, 0.5, 0.75]), values).astype(np.int32)
        coded = pa.DictionaryArray.from_arrays(
            pa.array(level, mask=np.isnan(values)), pa.array(["low", "middle", "high", "highest"])
        )
        table = table.set_column(table.column_names.index(name), name, coded)
    pq.write_table(table, target, compression="zstd", row_group_size=131_072)


def _encoding(bench: Bench, name: str, source: Path, rows: int, shape: str) -> Ratio:
    times = bench.in_turn(
        {
            "column_transformer": lambda: bench.work("column_transformer", source),
            "our_encoding": lambda: bench.work("our_encoding", source, str(bench.threads)),
            "our_encoding, one thread": lambda: bench.work("our_encoding", source, "1"),
        }
    )
    return Ratio(
        name=name,
        target=20.0,
        at_least=True,
        measured=median_ratio(times, "column_transformer", "our_encoding"),
        compared="scikit-learn's fitted ColumnTransformer (one-hot, ordinal, passthrough; Arrow to pandas included) / ours, "
        f"Arrow table to float32 codes, {bench.threads} threads; {shape}",
        detail={
            "rows": rows,
            "seconds": medians(times),
            "with one thread": median_ratio(times, "column_transformer", "our_encoding, one thread"),
        },
    )


def _step(bench: Bench, ingested: Path, rows: int) -> Ratio:
    folder = bench.step("preprocess", "preprocess", rows=ingested)
    source = ingested / "rows"
    times = bench.in_turn(
        {
            "step": lambda: bench.work("step", "preprocess", folder),
            "io": lambda: bench.work("copy", source, bench.folder / "written.parquet"),
        }
    )
    return Ratio(
        name="preprocess step",
        target=6.0,
        measured=median_ratio(times, "step", "io"),
        compared="the preprocess step's work, leak checks included / reading and writing the same columns",
        detail={"rows": rows, "seconds": medians(times)},
    )
