"""What Dagster, the lake and the report page add to the steps themselves."""

import shutil
import sys
from itertools import count
from pathlib import Path

from benchmarks.measure import ROOT, Bench, Ratio, Usage, median_ratio, medians, result
from churn_assets.cli.command import ExitCode

STEPS = ("ingest", "preprocess", "train", "evaluate")


def overhead(bench: Bench, rows: int) -> list[Ratio]:
    """The whole process of a weekly `churn retrain sample` against its steps, started one after the other in the folders it laid out.

    Each round lands other customers in a home that has a champion already: all steps run, and compare with it.
    """
    home = bench.folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    seeds = count(1)
    cpu: dict[str, list[float]] = {"retrain": [], "steps": []}

    def retrain() -> float:
        _churn(bench, home, "sample", "--rows", str(rows), "--seed", str(next(seeds)))
        used = _churn(bench, home, "retrain", "sample")
        cpu["retrain"].append(used.cpu_seconds)
        return used.seconds

    def alone() -> float:
        used = [_alone(bench, home, step) for step in STEPS]
        cpu["steps"].append(sum(usage.cpu_seconds for usage in used))
        return sum(usage.seconds for usage in used)

    retrain()
    cpu["retrain"].clear()
    times = bench.in_turn({"retrain": retrain, "steps": alone})
    return [
        Ratio(
            name="churn retrain",
            target=1.3,
            measured=median_ratio(times, "retrain", "steps"),
            compared=f"the whole process `churn retrain sample` ({rows:,} new rows, a champion before, report page included) / the processes "
            f"{', '.join(STEPS)} one after the other on the same inputs",
            detail={
                "seconds": medians(times),
                "cpu_seconds": medians(cpu),
                "by processor time": round(median_ratio(cpu, "retrain", "steps"), 2),
            },
        )
    ]


def _churn(bench: Bench, home: Path, *arguments: str) -> Usage:
    """What a `churn` command takes, its steps included."""
    environment = {
        "CHURN_HOME": str(home),
        "CHURN_DATASETS": str(ROOT / "datasets"),
        "CHURN_THREADS": str(bench.threads),
    }
    return bench.run(
        [sys.executable, "-m", "churn_assets.cli", *arguments],
        environment,
        allowed=(ExitCode.DONE, ExitCode.NOTHING_PROMOTED),
    )


def _alone(bench: Bench, home: Path, step: str) -> Usage:
    """What a step's process takes in a copy of the folders that the last run laid out for it."""
    laid_out = max((home / "runs").glob(f"sample-{step}-*"), key=lambda folder: folder.stat().st_mtime)
    root = bench.folder / "steps" / f"alone-{step}"
    shutil.rmtree(root, ignore_errors=True)
    (root / "processing").mkdir(parents=True)
    shutil.copytree(laid_out / "processing" / "input", root / "processing" / "input", symlinks=True)
    result(root).mkdir(parents=True)
    return bench.run_step(root, step)
