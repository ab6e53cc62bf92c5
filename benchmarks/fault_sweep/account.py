"""An account on stand-ins in this process's memory, with a working folder, that is forked: what a fork does to its account leaves the other as it was.

The stand-ins answer in threads, and threads do not survive a fork. So they answer while a command runs, and no longer; and a command's process is
forked before they do. It has everything imported, and waits to be told what to run.
"""

import gc
import importlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import pyarrow as pa
from pyarrow import csv

from benchmarks.fault_sweep.forks import require_no_threads
from benchmarks.fault_sweep.orders import Order
from churn_assets.cli.workspace import open_instance
from resources.aws.code_archive import pack_code
from resources.aws.lake import S3Lake
from resources.aws.runner import KINDS
from resources.aws.session import AwsSession, forget_clients
from resources.catalog.versions import step_maker
from resources.settings import PROJECT, read_settings
from tests.aws.faulty_worker import run_with_fault
from tests.aws.sagemaker.running import ENDPOINTS, IMAGE, MODEL_ROLE, ROLE, open_service_client
from tests.aws.sagemaker.service import Executor, SageMaker, Scripted, serving_sagemaker
from tests.aws.services import REGION, running_services
from tests.aws.tables import make_aws_tables

PATIENCE_SECONDS = 300
_BUCKET, _STACK = "sweep-bucket", "sweep"
_PAUSES = {"shortest_pause": 0.02, "longest_pause": 0.05}

MakeExecutor = Callable[[Any, Any], Executor]
"""Takes clients of S3 and of the logs."""


@dataclass
class Account:
    """A bucket, Glue, Athena and SageMaker with a stack, and the working folder of its user.

    folder       holds `home` and `datasets`
    modules      that a command has imported
    job_options  of CHURN_JOBS, beside the pauses
    """

    folder: Path
    sagemaker: SageMaker = field(default_factory=lambda: SageMaker(Scripted({})))
    modules: list[str] = field(default_factory=list)
    job_options: Mapping[str, object] = field(default_factory=dict)

    @property
    def lake(self) -> S3Lake:
        return S3Lake(session=AwsSession(), bucket=_BUCKET)

    @property
    def settings(self) -> dict[str, str]:
        """The environment of its user."""
        return {
            "CHURN_TARGET": "aws",
            "CHURN_LAKE": f"s3://{_BUCKET}",
            "CHURN_STACK": _STACK,
            "CHURN_ROLE": ROLE,
            "CHURN_MODEL_ROLE": MODEL_ROLE,
            "CHURN_IMAGE": IMAGE,
            "CHURN_JOBS": json.dumps({**_PAUSES, **self.job_options}),
            "CHURN_HOME": str(self.folder / "home"),
            "CHURN_DATASETS": str(self.folder / "datasets"),
            "DAGSTER_HOME": "",
        }

    @contextmanager
    def answering(self, make_executor: MakeExecutor) -> Iterator[dict[str, str]]:
        """Let the stand-ins answer. Yield the environment in which commands find them."""
        with running_services() as services, patch.dict(os.environ, services.environment):
            forget_clients()
            s3, logs = (open_service_client(self.lake, service) for service in ("s3", "logs"))
            self.sagemaker.executor = make_executor(s3, logs)
            self.sagemaker.executor.jobs = self.sagemaker.jobs
            with serving_sagemaker(self.sagemaker) as address:
                found = dict.fromkeys(ENDPOINTS, address)
                with patch.dict(os.environ, found):
                    yield {**services.environment, **found, **self.settings}
        forget_clients()

    def set_up(self, spec: str, landed: Mapping[str, pa.Table]) -> None:
        """Make the stack and the working folder, and let tables land. The stand-ins have to answer."""
        location = {"LocationConstraint": REGION}
        self.lake.session.client("s3").create_bucket(Bucket=_BUCKET, CreateBucketConfiguration=location)
        make_aws_tables(self.lake, _STACK)
        self.describe(spec)
        for key, table in landed.items():
            sink = pa.BufferOutputStream()
            csv.write_csv(table, sink)
            self.lake.put(key, sink.getvalue().to_pybytes())

    def open_home(self) -> None:
        """Make Dagster's databases, which takes seconds. To be called in a fork."""
        with self.answering(lambda _s3, _logs: Scripted({})) as environment:
            os.environ.update(environment)
            open_instance(read_settings()).dispose()

    def describe(self, spec: str) -> None:
        """Write the spec of the table."""
        (self.folder / "datasets").mkdir(parents=True, exist_ok=True)
        (self.folder / "datasets" / "shop.yaml").write_text(spec)

    def moved_to(self, folder: Path) -> "Account":
        """Return this account with a copy of the working folder."""
        shutil.copytree(self.folder, folder)
        return Account(folder, self.sagemaker, self.modules, self.job_options)

    def import_modules(self) -> None:
        """Import and pack what commands do, so that the processes that are forked from here on have it."""
        for name in self.modules:
            with suppress(Exception):
                importlib.import_module(name)
        pack_code(PROJECT)
        for step in KINDS:
            step_maker(step).source()
        gc.freeze()  # what is shared with forks is not looked at again


class Worker:
    """A process that runs one command of `churn`, with one call that fails or none. It is forked when this is made."""

    def __init__(self, folder: Path, name: str) -> None:
        self.plan = folder / f"{name}.json"
        self._said = folder / f"{name}.txt"
        require_no_threads()
        reading, self._writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._writing)
            self._work(reading)
        os.close(reading)

    def _work(self, reading: int) -> NoReturn:
        code = 70
        try:
            with os.fdopen(reading) as orders:
                order = json.loads(orders.readline() or "null")
            if order is not None:
                self._redirect()
                os.environ.update(order["environment"])
                code = run_with_fault(self.plan, Order(tuple(order["arguments"]), order["asset"]).run)
                modules = [each for each in sorted(sys.modules) if not each.startswith(("__", "tests.", "benchmarks."))]
                self.plan.with_suffix(".modules").write_text(json.dumps(modules))
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _redirect(self) -> None:
        said = os.open(self._said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, number in ((nothing, 0), (said, 1), (said, 2)):
            os.dup2(target, number)

    def run(self, environment: Mapping[str, str], order: Order, fault: Mapping[str, Any]) -> int:
        """Run what is ordered, and return its exit code, negative for a signal. Raise TimeoutError, after which it is killed."""
        self.plan.write_text(json.dumps({"phased": True, **fault}))
        message = {"environment": dict(environment), "arguments": order.arguments, "asset": order.asset}
        os.write(self._writing, json.dumps(message).encode() + b"\n")
        limit = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < limit:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self._writing)
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        self.dismiss()
        raise TimeoutError(f"{order} with {fault} hangs: {self.said[-3000:]}")

    def dismiss(self) -> None:
        """End the process."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._writing)

    @property
    def said(self) -> str:
        """What the command printed."""
        return self._said.read_text("utf-8", errors="replace") if self._said.exists() else ""

    @property
    def calls(self) -> list[str]:
        """The calls that the command made, named by what it was at."""
        found: list[str] = json.loads(self.plan.with_suffix(".seen").read_text())
        return found

    @property
    def modules(self) -> list[str]:
        """What the command had imported when it ended."""
        found: list[str] = json.loads(self.plan.with_suffix(".modules").read_text())
        return found

    @property
    def has_failed(self) -> bool:
        """Whether the call that should fail did."""
        return self.plan.with_suffix(".failed").exists()
