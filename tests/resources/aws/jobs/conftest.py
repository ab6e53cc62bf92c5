"""A service of scripted jobs, and a client whose time passes as fast as it is asked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.config import Config

from resources.aws.jobs.client import JobClient
from resources.aws.jobs.clock import Clock
from resources.aws.jobs.kinds import PROCESSING, JobKind
from resources.aws.jobs.names import Work
from tests.aws.sagemaker.service import REGION, SageMaker, Scripted, running_sagemaker

ROLE = "arn:aws:iam::123456789012:role/jobs"


@dataclass
class FakeClock(Clock):
    """Sleeping takes no time. `at_sleep` is called with the number of sleeps so far."""

    time: float = 0.0
    sleeps: list[float] = field(default_factory=list)
    at_sleep: Callable[[int], None] = lambda _count: None

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.sleeps.append(seconds)
        self.at_sleep(len(self.sleeps))

    def chance(self) -> float:
        return 0.5


@dataclass
class FakeLogs:
    """CloudWatch's two calls, with the lines of one job."""

    clock: FakeClock
    lines: list[str] = field(default_factory=list)
    stream: str = "job/algo-1"
    calls: list[float] = field(default_factory=list)
    error: Exception | None = None

    def _called(self) -> None:
        self.calls.append(self.clock.now())
        if self.error:
            raise self.error

    def describe_log_streams(self, **_arguments: Any) -> dict[str, Any]:
        self._called()
        return {"logStreams": [{"logStreamName": self.stream}] if self.lines else []}

    def get_log_events(self, **asked: Any) -> dict[str, Any]:
        self._called()
        limit = asked.get("limit", 100)
        start = int(asked.get("nextToken", 0)) if asked["startFromHead"] else max(len(self.lines) - limit, 0)
        page = self.lines[start : start + limit]
        return {"events": [{"message": line} for line in page], "nextForwardToken": str(start + len(page))}


@dataclass
class Bench:
    """A client, what it talks to, and what it says."""

    service: SageMaker
    plans: dict[str, list[dict[str, Any]]]
    sagemaker: Any
    clock: FakeClock
    logs: FakeLogs
    said: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    cancelled: bool = False

    @property
    def client(self) -> JobClient:
        """Return a new client, as a new process has it."""
        return JobClient(
            self.sagemaker,
            self.logs,
            say=self.said.append,
            show=self.shown.append,
            is_cancelled=lambda: self.cancelled,
            clock=self.clock,
        )

    def run(self, work: Work, *, whole: bool = True) -> dict[str, Any]:
        return dict(self.client.run(work, lambda _name: request_of(work.kind), lambda _job: whole))

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.service.calls)


def work_of(kind: JobKind = PROCESSING, **changes: Any) -> Work:
    ours = {
        "stack": "demo",
        "dataset": "telco",
        "step": "ingest",
        "version": "0123456789abcdef",
        "output": "telco/raw/v/",
        "asked_by": "run-1",
    }
    return Work(kind=kind, **(ours | changes))


def request_of(kind: JobKind) -> dict[str, Any]:
    """Return the least that a job of this kind needs, but for its name."""
    cluster = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 10}
    algorithm = {"TrainingImage": "image:3.2-0", "TrainingInputMode": "File"}
    train = {
        "AlgorithmSpecification": algorithm,
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/jobs"},
        "ResourceConfig": cluster,
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in/"}}
    requests: dict[str, dict[str, Any]] = {
        "ProcessingJob": {
            "ProcessingResources": {"ClusterConfig": cluster},
            "AppSpecification": {"ImageUri": "image:3.2-0"},
            "RoleArn": ROLE,
        },
        "TrainingJob": train,
        "HyperParameterTuningJob": {
            "HyperParameterTuningJobConfig": {
                "Strategy": "Bayesian",
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
            },
            "TrainingJobDefinition": train,
        },
        "TransformJob": {
            "ModelName": "m",
            "TransformInput": {"DataSource": source},
            "TransformOutput": {"S3OutputPath": "s3://bucket/out"},
            "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        },
    }
    return requests[kind.resource]


@pytest.fixture
def bench() -> Iterator[Bench]:
    plans: dict[str, list[dict[str, Any]]] = {}
    with running_sagemaker(Scripted(plans)) as (service, endpoint):
        service.models["m"] = {"ModelName": "m"}  # of transform jobs
        client = boto3.client(
            "sagemaker",
            region_name=REGION,
            endpoint_url=endpoint,
            aws_access_key_id="stand-in",
            aws_secret_access_key="stand-in",
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=2),
        )
        clock = FakeClock()
        yield Bench(service, plans, client, clock, FakeLogs(clock))
        client.close()
