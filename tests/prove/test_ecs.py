"""Dagster on ECS, with its own launcher, daemon, monitor and retries: what becomes of a SageMaker job when its run's worker ends."""

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from pyarrow import csv

from resources.aws.jobs.names import STEP_TAG
from resources.aws.lake import S3Lake
from resources.catalog.pointers import read_champion
from resources.settings import PROJECT
from tests.aws.account import Account, open_account
from tests.aws.ecs import Tasks, executed_tasks
from tests.aws.sagemaker.containers import Containers
from tests.aws.sagemaker.service import Job
from tests.harness.homes import training_rows
from tests.harness.machine import waited

pytestmark = pytest.mark.prove

PAGE = PROJECT / "docs" / "tasks" / "deploy_on_ecs.md"
CLUSTER = "churn"
SPEC = """\
id: customer_id
as_of: as_of
label: {column: churned, positive: ["yes"], means: cancelled}
costs: {contact: {cost: 40, success: 0.6, value: {column: annual_value}}}
search: {trials: 1, families: [linear]}
"""


@dataclass
class Held(Containers):
    """Jobs that begin only once they are let."""

    opened: threading.Event = field(default_factory=threading.Event)

    def _run(self, job: Job) -> None:
        while not self.opened.wait(0.1) and not job.stopped.is_set():
            pass
        super()._run(job)


@dataclass
class Orchestrator:
    """Dagster's daemon, whose runs are tasks. Daemon and tasks have folders of their own: they share the instance's storage alone."""

    root: Path
    account: Account
    tasks: Tasks
    environment: dict[str, str]

    def launch(self) -> None:
        """Ask for a retrain, as the UI does: the daemon takes it from the queue and launches it."""
        wanted = ("-w", str(self.root / "workspace.yaml"), "-l", "churn", "-j", "shop_retrain")
        command = [sys.executable, "-m", "dagster", "job", "launch", *wanted]
        subprocess.run(command, env=self.environment, cwd=PROJECT, check=True)

    def cancel(self, run: dg.DagsterRun) -> None:
        """Cancel a run, as the UI does."""
        with dg.DagsterInstance.from_config(str(self.root)) as instance:
            assert instance.run_coordinator.cancel_run(run.run_id)

    def jobs(self) -> dict[str, str]:
        """Return the status of each SageMaker job, by step and attempt."""
        jobs = self.account.sagemaker.jobs.values()
        return {f"{job.tags[STEP_TAG]} {job.name[-1]}": job.status for job in jobs}

    def runs(self) -> list[dg.DagsterRun]:
        """Return the runs, oldest first. Each has one worker."""
        with dg.DagsterInstance.from_config(str(self.root)) as instance:
            return list(reversed(instance.get_runs()))

    def said(self, number: int) -> str:
        """Return the log of a run, 1 for the oldest; "" if there is none yet."""
        with dg.DagsterInstance.from_config(str(self.root)) as instance:
            ids = [run.run_id for run in reversed(instance.get_runs())][number - 1 : number]
            return "\n".join(each.message for run_id in ids for each in instance.all_logs(run_id))

    def wait_for_runs(self, *wanted: str) -> list[dg.DagsterRun]:
        """Wait until the runs, oldest first, have these statuses, and return them."""

        def look() -> list[dg.DagsterRun] | None:
            runs = self.runs()
            return runs if [run.status.value for run in runs] == list(wanted) else None

        return waited(f"runs to be {', '.join(wanted)}", look)

    def wait_for_job(self, name: str, run: int) -> None:
        """Wait until the newest run, of so many, watches a job of this step and attempt."""

        def look() -> bool | None:
            assert len(self.tasks.started) <= run, self.said(run)
            is_watched = self.jobs().get(name) == "InProgress" and "InProgress" in self.said(run)
            return (len(self.tasks.started) == run and is_watched) or None

        waited(f"run {run} to watch {name}", look)


def read_instance(bucket: str) -> dict[str, Any]:
    """Return the page's dagster.yaml, but for the storage, and for the network, which a task on ECS takes from its daemon's."""
    instance: dict[str, Any] = yaml.safe_load(PAGE.read_text("utf-8").split("```yaml\n")[1].split("```")[0])
    del instance["storage"]
    network = {"use_current_ecs_task_config": False, "run_task_kwargs": {"cluster": CLUSTER, "launchType": "FARGATE"}}
    instance["run_launcher"]["config"] |= network
    instance["compute_logs"]["config"]["bucket"] = bucket
    instance["run_monitoring"]["poll_interval_seconds"] = 2
    return instance


@pytest.fixture
def account(aws_lake: S3Lake, tmp_path: Path) -> Iterator[Account]:
    with open_account(aws_lake, tmp_path / "machines", Held) as account:
        yield account


@pytest.fixture
def orchestrator(account: Account, tmp_path: Path) -> Iterator[Orchestrator]:
    root, logs, datasets = (tmp_path / name for name in ("instance", "logs", "datasets"))
    for folder in (root, logs, datasets):
        folder.mkdir()
    (datasets / "shop.yaml").write_text(SPEC)
    instance = read_instance(account.lake.bucket)
    (root / "dagster.yaml").write_text(yaml.safe_dump(instance))
    dg.DagsterInstance.from_config(str(root)).dispose()  # makes the databases, which two processes at once cannot
    ours = {"module_name": "churn_assets.definitions", "working_directory": str(PROJECT), "location_name": "churn"}
    (root / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"python_module": ours}]}))
    settings = {**account.settings, "CHURN_DATASETS": str(datasets), "DAGSTER_HOME": str(root)}
    settings |= {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    ecs = account.lake.session.client("ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    container = {"name": "run", "image": "churn", "memory": 1024}
    container["environment"] = [
        {"name": name, "value": value} for name, value in {**settings, "CHURN_HOME": str(tmp_path / "task")}.items()
    ]
    family = instance["run_launcher"]["config"]["task_definition"]
    ecs.register_task_definition(family=family, containerDefinitions=[container])
    environment = {**os.environ, **settings, "CHURN_HOME": str(tmp_path / "daemon")}
    with executed_tasks(logs) as tasks, (logs / "daemon.txt").open("w") as out:
        command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(root / "workspace.yaml")]
        daemon = subprocess.Popen(
            command, env=environment, cwd=root, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield Orchestrator(root, account, tasks, environment)
        finally:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()


def test_dagster_on_ecs_a_cancelled_run_stops_its_job_and_a_worker_that_is_gone_leaves_it_to_the_next(
    orchestrator: Orchestrator, aws_lake: S3Lake
) -> None:
    """Cancelled by a person, then evicted, then lost with its machine: in the end the one job that nobody stopped is the one that is used."""
    sink = io.BytesIO()
    csv.write_csv(training_rows(2000), sink)
    aws_lake.put("landing/shop/train/customers.csv", sink.getvalue())
    tasks = orchestrator.tasks

    orchestrator.launch()
    orchestrator.wait_for_job("ingest 0", run=1)
    orchestrator.cancel(orchestrator.wait_for_runs("STARTED")[0])
    orchestrator.wait_for_runs("CANCELED")
    waited("the job to be stopped", lambda: orchestrator.jobs() == {"ingest 0": "Stopped"} or None)
    assert "is stopped, since its run was cancelled" in orchestrator.said(1)

    orchestrator.launch()
    orchestrator.wait_for_job("ingest 1", run=2)
    tasks.stop(tasks.started[1], "SpotInterruption", "Your Spot Task was interrupted.")
    orchestrator.wait_for_job("ingest 1", run=3)
    assert "goes on; the next run finds it" in orchestrator.said(2)
    assert "found processing job" in orchestrator.said(3)

    tasks.lose(tasks.started[2])
    orchestrator.wait_for_job("ingest 1", run=4)
    executor = orchestrator.account.sagemaker.executor
    assert isinstance(executor, Held)
    executor.opened.set()
    runs = orchestrator.wait_for_runs("CANCELED", "FAILURE", "FAILURE", "SUCCESS")
    assert runs[3].root_run_id == runs[1].run_id  # the daemon has repeated it by itself
    steps = ("ingest 1", "preprocess 0", "train 0", "evaluate 0")
    assert orchestrator.jobs() == {"ingest 0": "Stopped", **dict.fromkeys(steps, "Completed")}
    assert read_champion(aws_lake, "shop") is not None
    logs = aws_lake.session.client("s3").list_objects_v2(Bucket=aws_lake.bucket, Prefix="compute-logs/")["Contents"]
    assert any(runs[3].run_id in each["Key"] for each in logs)
