"""The path on AWS without an account: the sample, retrained and scored on stand-ins that execute. `make demo-aws` runs it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from resources.aws.lake import S3Lake
from resources.aws.session import AwsSession
from resources.settings import PROJECT
from tests.aws.sagemaker.running import IMAGE, ROLE, running_jobs
from tests.aws.services import REGION, running_services
from tests.aws.tables import make_aws_tables

_STACK, _BUCKET = "demo", "churn-demo"
_COMMANDS = (("sample",), ("retrain", "sample"), ("score", "sample", "2025-09"))


def main() -> int:
    """Run the demo, and return the exit code of the first command that fails."""
    python = PROJECT / ".venv-image" / "bin" / "python"
    with running_services() as services, tempfile.TemporaryDirectory() as folder:
        os.environ.update(services.environment)
        lake = S3Lake(session=AwsSession(), bucket=_BUCKET)
        lake.session.client("s3").create_bucket(
            Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        tables = make_aws_tables(lake, _STACK)
        with running_jobs(lake, Path(folder) / "machines", python=python) as sagemaker:
            settings = {
                "CHURN_TARGET": "aws",
                "CHURN_LAKE": f"s3://{_BUCKET}",
                "CHURN_STACK": _STACK,
                "CHURN_ROLE": ROLE,
                "CHURN_IMAGE": IMAGE,
                "CHURN_JOBS": '{"shortest_pause": 0.2, "longest_pause": 1}',
                "CHURN_HOME": str(Path(folder) / "home"),
            }
            for command in _COMMANDS:
                called = [sys.executable, "-P", "-m", "churn_assets.cli", *command]
                print(f"$ churn {' '.join(command)}", flush=True)
                code = subprocess.call(called, cwd=PROJECT, env=os.environ | settings | {"PYTHONPATH": str(PROJECT)})
                if code:
                    return code
            _show(lake, tables.count("sample", "batch_predictions"), sorted(name for _, name in sagemaker.jobs))
    return 0


def _show(lake: S3Lake, rows: int, jobs: list[str]) -> None:
    print(f"\nJobs: {', '.join(jobs)}")
    print(f"Athena counts {rows:,} rows in {_STACK}.sample_batch_predictions. Objects in the bucket:")
    for entry in lake.entries(""):
        if not entry.key.startswith(("jobs/", "code/", "queries/")):
            print(f"  {entry.size:>10,}  {lake.uri(entry.key)}")
    print(
        "All of it was on this machine and is gone now, with the files named above. On an account: docs/tasks/run_on_aws.md"
    )


if __name__ == "__main__":
    sys.exit(main())
