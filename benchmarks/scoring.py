"""Scoring Parquet to Parquet against reading and writing alone; exact reasons against XGBoost's own.

Belongs here: the model that is scored with (depth 3, 150 trees, fitted without a search), its costs, the comparisons.
"""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.measure import VERSION, Bench, Ratio, dataset, median_ratio, medians, result
from churn_model.features.encoding import encode
from churn_model.features.schema import fit_schema
from churn_model.models.bundle import make_bundle, read_bundle, write_bundle
from churn_model.models.bundle_file import BUNDLE, read_required_columns
from churn_model.models.calibration import Calibration
from churn_model.models.families import Hyperparameters, fit_model
from churn_model.spec.sections.costs import Costs
from churn_model.tables import open_table

HYPER = Hyperparameters(family="boosted_trees", rounds=150, values={"max_depth": 3, "eta": 0.1})
SHARE_CONTACTED = 0.15
NOBODY = Costs(false_negative=1.0, true_positive=0.0, true_negative=0.0, false_positive=1e9)


def scoring(bench: Bench, rows: int) -> list[Ratio]:
    """Scores alone, and with reasons for 15 %, by reading and writing; reasons alone by `pred_contribs`."""
    bundle = fitted_bundle(bench)
    batch = ingested_batch(bench, rows, bundle)
    return [
        _by_reading_and_writing(bench, "scoring", 4.0, batch, bundle, NOBODY),
        _by_reading_and_writing(
            bench,
            "scoring with exact reasons for 15 %",
            12.0,
            batch,
            bundle,
            costs_contacting(SHARE_CONTACTED, batch, bundle),
        ),
        _by_sql(bench, batch, bundle),
        _reasons(bench, bundle, batch),
    ]


def costs_contacting(share: float, batch: Path, bundle: Path) -> Costs:
    """Costs at which so many of a batch's rows are contacted."""
    read = read_bundle(bundle, threads=1)
    batches = open_table(batch / "rows").blocks()
    p = [
        read.calibration.apply(read.model.probabilities(encode(rows, read.schema, read.model.family)))
        for rows in batches
    ]
    cutoff = float(np.quantile(np.concatenate(p), 1 - share))
    return Costs(false_negative=1.0, true_positive=0.0, true_negative=0.0, false_positive=cutoff / (1 - cutoff))


def _by_reading_and_writing(bench: Bench, name: str, target: float, batch: Path, bundle: Path, costs: Costs) -> Ratio:
    root = bench.step("score", "score", costs=costs, rows=batch, bundle=bundle.parent)
    bench.run_step(root, "score")
    source, made, written = (
        batch / "rows",
        bench.folder / "predictions",
        bench.folder / "written.parquet",
    )
    shutil.rmtree(made, ignore_errors=True)
    (result(root) / "predictions").replace(made)
    chosen = pq.read_table(made, columns=["will_churn"])["will_churn"].to_numpy()
    times = bench.in_turn(
        {
            "step": lambda: bench.work("step", "score", root),
            "io": lambda: bench.work("read_and_write", source, made, written),
            "copy": lambda: bench.work("copy", source, written),
        }
    )
    detail = {
        "rows": len(chosen),
        "contacted": int(chosen.sum()),
        "seconds": medians(times),
        "step by copying the batch's own columns": round(median_ratio(times, "step", "copy"), 2),
        "rows a second": round(len(chosen) / medians(times)["step"]),
    }
    compared = "the score step's work / reading the batch's columns and writing the predictions'"
    return Ratio(name=name, target=target, measured=median_ratio(times, "step", "io"), compared=compared, detail=detail)


def _by_sql(bench: Bench, batch: Path, bundle: Path) -> Ratio:
    root = bench.step("score-in-sql", "score", costs=NOBODY, rows=batch, bundle=bundle.parent)
    answers = bench.folder / "answers.parquet"
    times = bench.in_turn(
        {
            "step": lambda: bench.work("step", "score", root),
            "sql": lambda: bench.work("sql", bundle, batch / "rows", answers, str(bench.threads)),
        }
    )
    rows = pq.read_metadata(answers).num_rows
    return Ratio(
        name="scoring in SQL",
        target=0.5,
        at_least=True,
        measured=median_ratio(times, "step", "sql"),
        compared="rows a second of churn_probability and will_churn in DuckDB / of the score step's work; Parquet to Parquet, no reasons",
        detail={"rows": rows, "seconds": medians(times), "rows a second": round(rows / medians(times)["sql"])},
    )


def _reasons(bench: Bench, bundle: Path, batch: Path) -> Ratio:
    source = batch / "rows"
    names = ("xgboost_contributions", "our_contributions")
    times = bench.in_turn({name: lambda name=name: bench.work(name, bundle, source) for name in names})  # type: ignore[misc]
    return Ratio(
        name="exact contributions",
        target=5.0,
        at_least=True,
        measured=median_ratio(times, *names),
        compared="XGBoost's pred_contribs / ours with the check against the margin, 50,000 rows, depth 3, 150 trees, one thread",
        detail={"seconds": medians(times)},
    )


def fitted_bundle(bench: Bench, rows: int = 100_000) -> Path:
    """A bundle of the bench's model."""
    root = bench.step("ingest-to-fit", "ingest", landed=bench.sample(rows) / "train")
    bench.run_step(root, "ingest")
    table = pq.read_table(result(root) / "rows")
    schema = fit_schema(table, dataset())
    encoded = encode(table, schema, HYPER.family)
    model = fit_model(encoded, np.asarray(table["_label"]), HYPER, seed=0, threads=bench.threads)
    path = bench.folder / "bundle" / BUNDLE
    path.parent.mkdir(exist_ok=True)
    write_bundle(make_bundle(model, schema, Calibration(), about={"version": VERSION}, rows=table), path)
    return path


def ingested_batch(bench: Bench, rows: int, bundle: Path) -> Path:
    """A batch of so many rows, ingested for that bundle."""
    landed, columns = bench.sample(rows) / "score" / "2025-09", read_required_columns(bundle)
    root = bench.step(f"ingest-batch-{rows}", "ingest", columns=columns, landed=landed)
    if not result(root).exists():
        bench.run_step(root, "ingest")
    return result(root)
