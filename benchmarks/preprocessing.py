"""Encoding against scikit-learn, and the preprocess step against reading and writing alone."""

from benchmarks.measure import Bench, Ratio, median_ratio, medians, result


def preprocessing(bench: Bench, rows: int) -> list[Ratio]:
    """Arrow table to float32 codes; ingested rows to splits."""
    root = bench.step(f"ingest-{rows}", "ingest", landed=bench.sample(rows) / "train")
    bench.run_step(root, "ingest")
    source = result(root) / "rows" / "part-0.parquet"
    return [_encoding(bench, source, rows), _step(bench, result(root), rows)]


def _encoding(bench: Bench, source: object, rows: int) -> Ratio:
    names = ("column_transformer", "our_encoding")
    times = bench.in_turn({name: lambda name=name: bench.work(name, str(source)) for name in names})  # type: ignore[misc]
    return Ratio(
        name="encoding",
        target=20.0,
        at_least=True,
        measured=median_ratio(times, *names),
        compared="scikit-learn's fitted ColumnTransformer (one-hot, ordinal, passthrough; Arrow to pandas included) / ours, "
        "Arrow table to float32 codes",
        detail={"rows": rows, "seconds": medians(times)},
    )


def _step(bench: Bench, ingested: object, rows: int) -> Ratio:
    folder = bench.step("preprocess", "preprocess", rows=ingested)  # type: ignore[arg-type]
    source = f"{ingested}/rows/part-0.parquet"
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
