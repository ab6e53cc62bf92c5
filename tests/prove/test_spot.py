"""A search on spot instances that is interrupted ends with the very bytes of one that is not."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest

from churn_assets.sample.generator import Generator
from churn_model.spec.dataset import Dataset
from resources.aws.job_requests import JobOptions
from resources.aws.lake import S3Lake
from resources.catalog.pointers import Current, require_current
from resources.catalog.versions import restrict_dataset
from resources.local.lake import LocalLake
from resources.ports.runner import StepRequest
from resources.settings import PROJECT
from resources.specs.loader import load_specs
from tests.aws.sagemaker.containers import Containers
from tests.aws.sagemaker.running import runner_on, running_jobs
from tests.aws.sagemaker.service import Job
from tests.conftest import Workspace

pytestmark = pytest.mark.prove

TRIALS = 24
SPEC = f"""\
id: customer_id
as_of: as_of
label: {{column: churned, positive: ["yes"], means: cancelled}}
costs: {{contact: {{cost: 40, success: 0.6, value: {{column: annual_value}}}}}}
search: {{trials: {TRIALS}, parallel: 3, families: [boosted_trees, random_forest]}}
"""
KEPT = 4
"""After how many trials there is an interruption."""


@dataclass(frozen=True)
class Trained:
    """A model whose search was not interrupted, the splits that it was made from, and its spec."""

    lake: LocalLake
    dataset: Dataset
    splits: Current
    model: Current

    def read_model(self) -> bytes:
        return self.lake.read(self.model.prefix + "model.tar.gz")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    workspace = Workspace(tmp_path_factory.mktemp("trained"))
    workspace.write_spec("shop", SPEC)
    workspace.land(pa.concat_tables(piece.landed for piece in Generator().training(2000)))
    assert workspace.churn("retrain", "shop") == 0
    dataset = load_specs(workspace.root / "datasets").datasets["shop"]
    splits, model = (require_current(workspace.lake, "shop", asset) for asset in ("preprocessed_splits", "tuned_model"))
    return Trained(workspace.lake, dataset, splits, model)


def test_a_step_that_is_killed_in_its_search_goes_on_to_the_same_bytes(trained: Trained, tmp_path: Path) -> None:
    config = tmp_path / "processing" / "input" / "config"
    config.mkdir(parents=True)
    (config / "dataset.json").write_text(restrict_dataset(trained.dataset, "train").to_json(), "utf-8")
    request = {"version": trained.model.version, "threads": 2, "inputs": ["splits"], "contents": {}}
    (config / "request.json").write_text(json.dumps(request), "utf-8")
    (config.parent / "splits").symlink_to(trained.lake.uri(trained.splits.prefix))
    (tmp_path / "checkpoints").mkdir()
    first = start_step(tmp_path)
    while len(list_kept(tmp_path)) < KEPT:
        assert first.poll() is None
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.wait()
    forget_later(tmp_path)
    kept = {path: path.stat().st_ino for path in list_kept(tmp_path)}
    assert start_step(tmp_path).wait() == 0
    assert len(list_kept(tmp_path)) == TRIALS
    assert {path: path.stat().st_ino for path in kept} == kept  # none of them was run and written again
    assert (tmp_path / "processing" / "output" / "result" / "model.tar.gz").read_bytes() == trained.read_model()


def start_step(root: Path) -> subprocess.Popen[bytes]:
    environment = {"CHURN_ROOT": str(root), "PYTHONPATH": str(PROJECT), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-m", "churn_model.steps", "train"]
    return subprocess.Popen(command, cwd=root, env={"PATH": os.environ["PATH"], **environment})


def forget_later(root: Path) -> None:
    """Leave what there was when the interruption was due. On a busy machine the search may have gone on before anyone looked."""
    for path in list_kept(root)[KEPT:]:
        path.unlink()


def list_kept(root: Path) -> list[Path]:
    return sorted((root / "checkpoints").glob("trial-?????"))


def test_a_spot_job_that_is_interrupted_in_its_search_goes_on_to_the_same_bytes(
    trained: Trained, aws_lake: S3Lake, tmp_path: Path
) -> None:
    for entry in trained.lake.entries(trained.splits.prefix):
        aws_lake.put(entry.key, trained.lake.read(entry.key))
    request = StepRequest(
        step="train",
        version=trained.model.version,
        dataset=trained.dataset,
        inputs={"splits": [trained.splits.prefix]},
        output=trained.model.prefix,
        threads=2,
    )
    looks: list[int] = []  # how many trials were in the folder, at each look
    interruptions: list[int] = []  # after how many looks

    def interrupts(_job: Job, root: Path) -> bool:
        looks.append(len(list_kept(root)))
        copied = sum("/checkpoints/" in entry.key for entry in aws_lake.entries("jobs/"))
        is_due = copied >= KEPT and not interruptions
        if is_due:
            interruptions.append(len(looks))
        return is_due

    with running_jobs(aws_lake, tmp_path / "machines") as sagemaker:
        cast("Containers", sagemaker.executor).interrupts = interrupts
        runner_on(aws_lake, options=JobOptions(spot=True, shortest_pause=0.05, longest_pause=0.2)).run(request)
        (job,) = sagemaker.jobs.values()
    assert job.status == "Completed"
    walked = [each["Status"] for each in job.fields["SecondaryStatusTransitions"]]
    assert walked == ["Downloading", "Training", "Interrupted", "Downloading", "Training", "Uploading"]
    (place,) = interruptions
    assert looks[place] == KEPT  # the first look at the new instance: what was copied to S3, and no more
    assert aws_lake.read(trained.model.prefix + "model.tar.gz") == trained.read_model()
    assert job.fields["BillableTimeInSeconds"] < job.fields["TrainingTimeInSeconds"]
