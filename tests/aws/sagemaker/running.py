"""SageMaker beside the other stand-ins, and adapters that use it."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from botocore.config import Config

from resources.aws.endpoint import SageMakerEndpoint
from resources.aws.job_requests import JobOptions
from resources.aws.lake import S3Lake
from resources.aws.runner import SageMakerRunner
from resources.aws.session import forget_clients, open_session
from resources.settings import PROJECT
from tests.aws.sagemaker.containers import Containers
from tests.aws.sagemaker.hosts import AwsHost, ImageHost
from tests.aws.sagemaker.service import SageMaker, Scripted, running_sagemaker

# A stand-in that answers for both.
ENDPOINTS = ("AWS_ENDPOINT_URL_SAGEMAKER", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME")
ROLE = "arn:aws:iam::123456789012:role/churn-jobs"
MODEL_ROLE = "arn:aws:iam::123456789012:role/churn-models"
JOBS = "jobs"
"""What the agents of the stand-in's own clients say of themselves."""
IMAGE = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.2-0"


@contextmanager
def running_jobs(
    lake: S3Lake,
    folder: Path,
    *,
    python: Path = Path(sys.executable),
    environment: Mapping[str, str] | None = None,
    containers: type[Containers] = Containers,
) -> Iterator[SageMaker]:
    """Let AWS's libraries find a SageMaker that runs jobs as processes of `python`, with folders below `folder`."""
    s3, logs, cloudwatch = (open_service_client(lake, service) for service in ("s3", "logs", "cloudwatch"))
    executor = containers(s3, logs, folder, python=python, environment=environment or {})
    host = ImageHost(s3, logs, cloudwatch, folder, containers=executor)
    with running_sagemaker(executor, host) as (service, endpoint):
        with patch.dict(os.environ, dict.fromkeys(ENDPOINTS, endpoint)):
            forget_clients()
            yield service
        forget_clients()


def host_on(lake: S3Lake, folder: Path) -> AwsHost:
    """Return a host of servers in this process, with models below `folder`."""
    s3, logs, cloudwatch = (open_service_client(lake, service) for service in ("s3", "logs", "cloudwatch"))
    return AwsHost(s3, logs, cloudwatch, folder)


def open_service_client(lake: S3Lake, service: str) -> Any:
    """Return a client with which the stand-in does what SageMaker does itself: a recording tells its calls from the orchestrator's."""
    return open_session(lake.session.region).client(service, config=Config(user_agent_extra=JOBS))


@contextmanager
def running_endpoints(lake: S3Lake, folder: Path) -> Iterator[SageMaker]:
    """Let AWS's libraries find a SageMaker whose endpoints answer in this process. It knows no jobs."""
    with running_sagemaker(Scripted({}), host_on(lake, folder / "models")) as (service, endpoint):
        with patch.dict(os.environ, dict.fromkeys(ENDPOINTS, endpoint)):
            forget_clients()
            yield service
        forget_clients()


def endpoint_on(lake: S3Lake, options: JobOptions | None = None) -> SageMakerEndpoint:
    """Return endpoints that are asked often."""
    return SageMakerEndpoint(
        session=lake.session,
        lake=lake,
        stack=f"t{lake.bucket[-6:]}",
        role=ROLE,
        image=IMAGE,
        options=options or JobOptions(shortest_pause=0.01, longest_pause=0.02),
    )


def runner_on(lake: S3Lake, *, code: Path = PROJECT, options: JobOptions | None = None) -> SageMakerRunner:
    """Return a runner that asks often, since the stand-in's jobs take seconds."""
    return SageMakerRunner(
        session=lake.session,
        lake=lake,
        stack=f"t{lake.bucket[-6:]}",  # names of jobs are those of the account, whose logs outlive a test
        role=ROLE,
        image=IMAGE,
        code=str(code),
        options=options or JobOptions(shortest_pause=0.05, longest_pause=0.2),
    )
