"""Memory of a run's own process on AWS, whatever the batch's size: `python -m benchmarks.orchestrator [--rows N ...]`, by hand.

Every step is a SageMaker job of the stand-in (`small_megabytes` is off), whose processes are not the run's. A table of 10,000 rows is retrained and
batches of different sizes are scored, each by `churn` in a process of its own. Writes benchmarks/results/orchestrator.json and .md.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest.mock import patch

from benchmarks.machine import machine
from benchmarks.measure import RESULTS
from churn_assets.sample.files import write_sample
from resources.aws.lake import S3Lake
from resources.aws.session import AwsSession
from tests.aws.account import open_account
from tests.aws.services import REGION, running_services

MOST_MEGABYTES = 400
_TRAINING_ROWS = 10_000
_BATCH = "2025-09"


@dataclass(frozen=True)
class Figure:
    """A command, its peak memory, and its seconds on this machine, jobs included."""

    command: str
    rows: int
    peak_mb: int
    seconds: int


def main() -> int:
    """Measure, print and write the table. Return 1 if a process took more memory than it may."""
    parser = argparse.ArgumentParser("python -m benchmarks.orchestrator", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 5_000_000])
    parsed = parser.parse_args()
    with running_services() as services, tempfile.TemporaryDirectory(prefix="bench-") as made:
        folder = Path(made)
        with patch.dict(os.environ, services.environment):
            lake = S3Lake(session=AwsSession(), bucket="orchestrator")
            location = {"LocationConstraint": REGION}
            lake.session.client("s3").create_bucket(Bucket=lake.bucket, CreateBucketConfiguration=location)
            with open_account(lake, folder / "machines") as account:
                figures = _measure(lake, folder, {**account.settings, "CHURN_HOME": str(folder / "home")}, parsed.rows)
    _write(figures)
    return int(any(each.peak_mb > MOST_MEGABYTES for each in figures))


def _measure(lake: S3Lake, folder: Path, settings: Mapping[str, str], sizes: Sequence[int]) -> list[Figure]:
    figures: list[Figure] = []
    for number, rows in enumerate(sizes):
        landing = folder / f"landing-{rows}"
        write_sample(landing, folder / "truth", rows=_TRAINING_ROWS, batch_rows=rows, form="parquet")
        if not number:
            for file in (landing / "train").iterdir():
                lake.put(f"landing/sample/train/{file.name}", file)
            figures.append(_churn(settings, _TRAINING_ROWS, "retrain", "sample"))
        batch = f"batch-{rows}"
        for file in (landing / "score" / _BATCH).iterdir():
            lake.put(f"landing/sample/score/{batch}/{file.name}", file)
            file.unlink()
        figures.append(_churn(settings, rows, "score", "sample", batch))
    return figures


def _churn(settings: Mapping[str, str], rows: int, *arguments: str) -> Figure:
    # By a launcher that is smaller than what it measures: a process's peak begins with that of the one that started it.
    launcher = [sys.executable, "-S", str(Path(__file__).with_name("launch.py"))]
    command = [*launcher, sys.executable, "-P", "-m", "churn_assets.cli", *arguments]
    done = subprocess.run(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, check=True)
    used = json.loads(done.stdout)
    figure = Figure(f"churn {arguments[0]}", rows, round(used["peak_mb"] * 2**20 / 1e6), round(used["seconds"]))
    print(figure, flush=True)
    return figure


def _write(figures: Sequence[Figure]) -> None:
    about = {
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "load": round(os.getloadavg()[0]),
    }
    (RESULTS / "orchestrator.json").write_text(
        json.dumps({**about, "figures": [asdict(each) for each in figures]}, indent=1) + "\n", "utf-8"
    )
    text = "\n".join(
        [
            "# Memory of a run's own process on AWS",
            "",
            f"Each step is a job of the stand-in, in processes of its own. At most {MOST_MEGABYTES} MB at any size of a batch. Seconds include the",
            "jobs, on this machine.",
            "",
            "| command | rows | peak, MB | seconds |",
            "|---|---:|---:|---:|",
            *(f"| `{each.command}` | {each.rows:,} | {each.peak_mb:,} | {each.seconds:,} |" for each in figures),
            "",
            f"Run: {about['date']}, `python -m benchmarks.orchestrator`, {about['machine']}, load {about['load']}",
        ]
    )
    print(text)
    (RESULTS / "orchestrator.md").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
