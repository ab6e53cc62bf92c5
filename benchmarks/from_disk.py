"""What a large table costs in quality: `python -m benchmarks.from_disk [--rows 1000000]`, by hand. Needs 2 GB of memory and some minutes.

Three models of the same hyperparameters, judged on the same test rows: fitted on all rows in memory, on all rows from disk in blocks as the
train step does above its limit, and on the sample alone that its search sees. Writes benchmarks/results/from_disk.json.
"""

import argparse
import datetime
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import log_loss, roc_auc_score

from benchmarks.machine import machine
from benchmarks.measure import RESULTS, Bench, dataset, result
from benchmarks.scoring import HYPER
from churn_model.features.encoding import encode
from churn_model.features.schema import fit_schema
from churn_model.models.families import Block, Model, fit_model, fit_model_on_disk
from churn_model.training.train import SAMPLE, read_labels

_BLOCK = 131_072
_SEED, _THREADS = 0, 2


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.from_disk", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        figures = _compared(Bench(folder=Path(made), threads=_THREADS, repeats=1), rows)
    about = {"machine": machine(), "date": datetime.datetime.now(datetime.UTC).date().isoformat()}
    about |= {
        "command": f"python -m benchmarks.from_disk --rows {rows}",
        "what": f"test rows of the sample; depth 3, 150 trees, {_THREADS} threads",
    }
    (RESULTS / "from_disk.json").write_text(json.dumps({**about, **figures}, indent=1) + "\n", "utf-8")
    print(json.dumps(figures, indent=1))
    return 0


def _compared(bench: Bench, rows: int) -> dict[str, object]:
    splits = _splits(bench, rows)
    train, test = (pq.read_table(splits / name) for name in ("train", "test"))
    first = train.slice(0, SAMPLE)
    schema = fit_schema(first, dataset())

    def encoded(table: pa.Table) -> Block:
        return encode(table, schema, HYPER.family, threads=_THREADS), read_labels(table)

    def blocks() -> Iterator[Block]:
        yield from (encoded(pa.Table.from_batches([batch])) for batch in train.to_batches(max_chunksize=_BLOCK))

    def from_disk() -> Model:
        return fit_model_on_disk(blocks, HYPER, seed=_SEED, threads=_THREADS, folder=bench.folder)

    fitted: dict[str, Callable[[], Model]] = {
        "all rows in memory": lambda: fit_model(*encoded(train), HYPER, seed=_SEED, threads=_THREADS),
        "all rows from disk": from_disk,
        "the sample alone": lambda: fit_model(*encoded(first), HYPER, seed=_SEED, threads=_THREADS),
    }
    matrix, y = encoded(test)
    found: dict[str, object] = {
        "train rows": train.num_rows,
        "test rows": test.num_rows,
        "sampled rows": first.num_rows,
    }
    margins = {}
    for name, fit in fitted.items():
        began = time.perf_counter()
        model = fit()
        seconds = round(time.perf_counter() - began, 1)
        p = model.probabilities(matrix)
        margins[name] = model.margins(matrix)
        found[name] = {"log loss": round(log_loss(y, p), 6), "auc": round(roc_auc_score(y, p), 6), "seconds": seconds}
        if name == "all rows from disk":
            found["from disk a second time: the same bytes"] = from_disk().to_json() == model.to_json()
    apart = np.abs(margins["all rows from disk"] - margins["all rows in memory"])
    return {**found, "margins from disk against in memory, largest distance": float(apart.max())}


def _splits(bench: Bench, rows: int) -> Path:
    ingest = bench.step("ingest", "ingest", landed=bench.sample(rows) / "train")
    bench.run_step(ingest, "ingest")
    preprocess = bench.step("preprocess", "preprocess", rows=result(ingest))
    bench.run_step(preprocess, "preprocess")
    return result(preprocess)


if __name__ == "__main__":
    sys.exit(main())
