"""What Dagster, the lake and the report page add to the steps themselves."""

import os
import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

from benchmarks.measure import ROOT, Bench, Ratio, median_ratio, medians, result
from churn_assets.cli import DONE, NOTHING_PROMOTED

STEPS = ("ingest", "preprocess", "train", "evaluate")


def overhead(bench: Bench, rows: int) -> list[Ratio]:
    """The whole process of a weekly `churn retrain sample` against its steps, started one after the other in the folders it laid out.

    Each round lands other customers in a home that has a champion already: all steps run, and compare with it.
    """
    home = bench.folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    seeds = count(1)

    def retrain() -> float:
        _churn(home, "sample", "--rows", str(rows), "--seed", str(next(seeds)))
        return _churn(home, "retrain", "sample")

    retrain()
    times = bench.in_turn({"retrain": retrain, "steps": lambda: sum(_alone(bench, home, step) for step in STEPS)})
    return [
        Ratio(
            name="churn retrain",
            target=1.3,
            measured=median_ratio(times, "retrain", "steps"),
            compared=f"the whole process `churn retrain sample` ({rows:,} new rows, a champion before, report page included) / the processes "
            f"{', '.join(STEPS)} one after the other on the same inputs",
            detail={"seconds": medians(times)},
        )
    ]


def _churn(home: Path, *arguments: str) -> float:
    """Seconds of a `churn` command."""
    environment = {**os.environ, "CHURN_HOME": str(home), "CHURN_DATASETS": str(ROOT / "datasets"), "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    command = [sys.executable, "-m", "churn_assets.cli", *arguments]
    code = subprocess.run(command, cwd=ROOT, env=environment, check=False, stdout=subprocess.DEVNULL).returncode
    if code not in (DONE, NOTHING_PROMOTED):  # few rows may be too small to judge, which is as much work
        raise ValueError(f"expected `churn {arguments[0]}` to end well; found exit code {code}")
    return time.perf_counter() - started


def _alone(bench: Bench, home: Path, step: str) -> float:
    """Seconds of a step's process in a copy of the folders that the last run laid out for it."""
    laid_out = max((home / "runs").glob(f"sample-{step}-*"), key=lambda folder: folder.stat().st_mtime)
    root = bench.folder / "steps" / f"alone-{step}"
    shutil.rmtree(root, ignore_errors=True)
    (root / "processing").mkdir(parents=True)
    shutil.copytree(laid_out / "processing" / "input", root / "processing" / "input", symlinks=True)
    result(root).mkdir(parents=True)
    return bench.run_step(root, step).seconds
