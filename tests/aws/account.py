"""An account on stand-ins that execute, with a stack in it: a bucket, Glue, Athena, and SageMaker's jobs in the managed image's versions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from resources.aws.lake import S3Lake
from resources.aws.tables import AthenaTables
from resources.settings import PROJECT
from tests.aws.sagemaker.containers import Containers
from tests.aws.sagemaker.running import IMAGE, MODEL_ROLE, ROLE, running_jobs
from tests.aws.sagemaker.service import SageMaker
from tests.aws.tables import make_aws_tables

IMAGE_PYTHON = PROJECT / ".venv-image" / "bin" / "python"


@dataclass(frozen=True)
class Account:
    """An account with a stack in it, and the settings that name it."""

    lake: S3Lake
    tables: AthenaTables
    sagemaker: SageMaker
    settings: dict[str, str]


@contextmanager
def open_account(lake: S3Lake, machines: Path, containers: type[Containers] = Containers) -> Iterator[Account]:
    """Make a stack around a lake. Jobs have their folders below `machines`."""
    stack = f"s{uuid4().hex[:7]}"
    tables = make_aws_tables(lake, stack)
    settings = {
        "CHURN_TARGET": "aws",
        "CHURN_LAKE": lake.uri("").rstrip("/"),
        "CHURN_STACK": stack,
        "CHURN_ROLE": ROLE,
        "CHURN_MODEL_ROLE": MODEL_ROLE,
        "CHURN_IMAGE": IMAGE,
        "CHURN_JOBS": '{"shortest_pause": 0.2, "longest_pause": 1}',  # jobs that take seconds are asked often
    }
    with running_jobs(lake, machines, python=IMAGE_PYTHON, containers=containers) as sagemaker:
        yield Account(lake, tables, sagemaker, settings)
