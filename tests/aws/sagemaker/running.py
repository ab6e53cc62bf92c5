"""SageMaker beside the other stand-ins, and a runner that uses it."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from resources.aws.job_requests import JobOptions
from resources.aws.lake import S3Lake
from resources.aws.runner import SageMakerRunner
from resources.aws.session import forget_clients
from resources.settings import PROJECT
from tests.aws.sagemaker.containers import Containers
from tests.aws.sagemaker.service import SageMaker, running_sagemaker

ROLE = "arn:aws:iam::123456789012:role/churn-jobs"
IMAGE = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.2-0"


@contextmanager
def running_jobs(
    lake: S3Lake, folder: Path, *, python: Path = Path(sys.executable), environment: Mapping[str, str] | None = None
) -> Iterator[SageMaker]:
    """Let AWS's libraries find a SageMaker that runs jobs as processes of `python`, with folders below `folder`."""
    session = lake.session
    containers = Containers(
        session.client("s3"), session.client("logs"), folder, python=python, environment=environment or {}
    )
    with running_sagemaker(containers) as (service, endpoint):
        with patch.dict(os.environ, {"AWS_ENDPOINT_URL_SAGEMAKER": endpoint}):
            forget_clients()
            yield service
        forget_clients()


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
