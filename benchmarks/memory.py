"""Peak memory of each step's process at many rows against few."""

from pathlib import Path

from benchmarks.measure import Bench, Ratio, Usage, result
from benchmarks.scoring import fitted_bundle, ingested_batch

STREAMED, TRAINED = 1.15, 1.4


def memory(bench: Bench, few: int, many: int) -> list[Ratio]:
    """Ingest, preprocess, train and score at both sizes; train's is the whole step with its search."""
    bundle = fitted_bundle(bench)
    used = {rows: _all_steps(bench, rows, bundle) for rows in (few, many)}
    return [
        Ratio(
            name=f"peak memory, {step}",
            target=TRAINED if step == "train" else STREAMED,
            measured=used[many][step].peak_mb / used[few][step].peak_mb,
            compared=f"peak of the step's process at {many:,} rows / at {few:,} rows",
            detail={f"{rows:,} rows": _told(used[rows][step]) for rows in (few, many)},
        )
        for step in used[few]
    ]


def _told(usage: Usage) -> dict[str, float]:
    return {
        "peak_mb": round(usage.peak_mb),
        "seconds": round(usage.seconds, 1),
        "cpu_seconds": round(usage.cpu_seconds, 1),
    }


def _all_steps(bench: Bench, rows: int, bundle: Path) -> dict[str, Usage]:
    landing = bench.sample(rows)
    ingest = bench.step(f"ingest-{rows}", "ingest", landed=landing / "train")
    preprocess = bench.step(f"preprocess-{rows}", "preprocess", rows=result(ingest))
    train = bench.step(f"train-{rows}", "train", splits=result(preprocess))
    used = {
        step: bench.run_step(root, step)
        for step, root in (("ingest", ingest), ("preprocess", preprocess), ("train", train))
    }
    batch = ingested_batch(bench, rows, bundle)
    # With the sample's own costs, so with the reasons of all who are to be contacted.
    score = bench.step(f"score-{rows}", "score", rows=batch, bundle=bundle.parent)
    return {**used, "score": bench.run_step(score, "score")}
