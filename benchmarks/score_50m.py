"""50 million rows scored once, by hand: `python -m benchmarks.score_50m [--millions 50]`. Needs 6 GB of disk and some minutes.

The rows are the sample's million ingested ones, over and over: the score step reads and writes row groups, and does not care.
Writes benchmarks/results/score_50m.json: rows a second, peak memory of the step's process, and the same for one million rows.
"""

import argparse
import datetime
import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.measure import RESULTS, Bench, Usage
from benchmarks.scoring import SHARE_CONTACTED, costs_contacting, fitted_bundle, ingested_batch
from churn_model.tables import TableWriter, open_table

MILLION = 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.score_50m", description=__doc__)
    parser.add_argument("--millions", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parsed = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-")) if parsed.folder is None else parsed.folder.absolute()
    bench = Bench(folder=folder, threads=2, repeats=1)
    try:
        bundle = fitted_bundle(bench)
        million = ingested_batch(bench, MILLION, bundle)
        many = folder / "many"
        _repeat(million / "rows", many / "rows", parsed.millions)
        costs = costs_contacting(SHARE_CONTACTED, million, bundle)
        figures = {}
        for millions, rows in ((1, million), (parsed.millions, many)):
            root = bench.step("score-many", "score", costs=costs, rows=rows, bundle=bundle.parent)
            figures[f"{millions * MILLION:,} rows"] = _told(bench.run_step(root, "score"), millions * MILLION)
            shutil.rmtree(root)
        shutil.rmtree(many)
    finally:
        if parsed.folder is None:
            shutil.rmtree(folder)
    about = {"machine": machine(), "date": datetime.datetime.now(datetime.UTC).date().isoformat()}
    about |= {
        "command": "python -m benchmarks.score_50m",
        "what": "the score step's process, reasons for 15 %, depth 3, 150 trees, 2 threads",
    }
    (RESULTS / "score_50m.json").write_text(json.dumps({**about, **figures}, indent=1) + "\n", "utf-8")
    print(json.dumps({**about, **figures}, indent=1))
    return 0


def _repeat(source: Path, target: Path, times: int) -> None:
    blocks = list(open_table(source).blocks())
    with TableWriter(target, blocks[0].schema) as writer:
        for _ in range(times):
            for block in blocks:
                writer.write(block)


def _told(usage: Usage, rows: int) -> dict[str, float]:
    return {
        "seconds": round(usage.seconds, 1),
        "cpu_seconds": round(usage.cpu_seconds, 1),
        "rows_per_second": round(rows / usage.seconds),
        "peak_mb": round(usage.peak_mb),
    }


if __name__ == "__main__":
    sys.exit(main())
