"""One of the sampled points at which a call to AWS fails, with the real steps, and a tenth of a sweep of one asset.

`python -m benchmarks.aws_faults` tries ten with the real steps, `python -m benchmarks.fault_sweep` every one.
"""

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from benchmarks.aws_faults import Point, take_path, try_point
from resources.settings import PROJECT
from tests.aws.faults import KILLED
from tests.aws.services import Services

pytestmark = pytest.mark.prove


def test_a_worker_that_is_killed_after_it_started_a_job_ends_right_with_that_job(
    aws_services: Services, tmp_path: Path
) -> None:
    with patch.dict(os.environ, aws_services.environment):
        reference = take_path(tmp_path / "reference", None)
        point = Point(0, "sagemaker.CreateTrainingJob", 1, KILLED)
        assert try_point(tmp_path / "faulty", point, reference) == "right"
    assert "train 0 Completed" in str(reference.result["jobs"])
    left = {name: reference.result[name] for name in ("champion", "decisions", "packages", "ledger", "verified")}
    assert left == {
        "champion": "first",
        "decisions": 1,
        "packages": ["Approved"],
        "ledger": ["monday"],
        "verified": 0,
    }


def test_a_tenth_of_the_points_of_a_users_table_end_right() -> None:
    """In a process of its own: each point is a fork, and forks are made before there are threads."""
    command = [sys.executable, "-m", "benchmarks.fault_sweep", "--graph", "table", "--every", "10"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| retrain | raw_customers, after job 1 |" in done.stdout
