"""Each kind of call fails once in turn, in each way, before AWS acts and after; the worker is killed after each call.

Whatever fails, the run ends right, or ends with words and ends right when it is run again; there is never a second job. The table of outcomes is
benchmarks/results/aws_faults.md.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest

from churn_model.errors import ChurnError
from churn_model.spec.dataset import Dataset
from resources.aws.bucket_region import find_region
from resources.aws.job_requests import JobOptions
from resources.aws.lake import S3Lake
from resources.aws.session import forget_clients
from resources.ports.lake import Manifest
from resources.ports.runner import StepRequest
from resources.settings import PROJECT
from tests.aws.faults import WAYS, Faults, Killed
from tests.aws.sagemaker.running import runner_on
from tests.aws.sagemaker.service import Executor, Job, SageMaker, running_sagemaker

TABLE = PROJECT / "benchmarks" / "results" / "aws_faults.md"
OUTPUT = "telco/raw_customers/v1/"
SAMPLED = "\n## "  # where the points with the real steps begin, which benchmarks/aws_faults.py writes
RIGHT, AGAIN = "right", "words, then right"


@dataclass
class Instant(Executor):
    """Jobs that take a few looks, and whose result then lies in the bucket."""

    put: Callable[[str, bytes], None]

    def start(self, job: Job) -> None:
        job.fields["_looks"] = 3

    def look(self, job: Job) -> None:
        job.fields["_looks"] -= 1
        if job.fields["_looks"] == 0:
            digest = hashlib.blake2b(b"rows", digest_size=16).hexdigest()
            files = {name: {"size": 4, "digest": digest, "rows": None} for name in ("a.txt", "b.txt")}
            parts: dict[str, Any] = {"counts": {}, "metrics": {}, "checks": [], "detail": {}}
            report = {"schema": 1, "step": "ingest", "files": files, **parts}
            prefix = f"jobs/{job.name}/result/"
            for name in files:
                self.put(prefix + name, b"rows")
            self.put(f"{prefix}_job.json", json.dumps({"step": "ingest", "version": "v1"}).encode())
            self.put(f"{prefix}report.json", json.dumps(report).encode())
            job.to("Completed")


@dataclass
class Bench:
    """A bucket, a SageMaker and clients whose calls can be made to fail."""

    lake: S3Lake
    service: SageMaker
    faults: Faults
    dataset: Dataset

    def run(self, operation: str = "", way: str = "") -> str:
        """Run a step with one fault in a lake of its own, at most twice. Return the outcome; check what is left."""
        self.lake = S3Lake(session=self.lake.session, bucket=self.lake.bucket, prefix=f"{uuid4().hex}/")
        for name in ("a.csv", "b.csv"):
            self.lake.put(f"landing/telco/train/{name}", b"rows")
        self.service.jobs.clear()
        self.faults.operation, self.faults.way = operation, way
        self.faults.seen.clear()
        find_region.cache_clear()  # as in a process that has just begun
        outcome = RIGHT
        try:
            self._attempt()
        except Killed:
            self._attempt()
        except ChurnError as error:
            outcome, words = AGAIN, str(error)
            self._attempt()
            assert "Expected" in words
        self._require_right()
        return outcome

    def _attempt(self) -> None:
        """Run a step and publish its result, as an asset does."""
        runner = runner_on(self.lake, options=JobOptions(shortest_pause=0.001, longest_pause=0.002))
        request = StepRequest(
            step="ingest",
            version="v1",
            dataset=self.dataset,
            inputs={"landed": ["landing/telco/train/a.csv", "landing/telco/train/b.csv"]},
            output=OUTPUT,
            threads=0,
        )
        report = runner.run(request)
        self.lake.publish(OUTPUT, Manifest("v1", dict(report.files)))

    def _require_right(self) -> None:
        kept = [entry.key.removeprefix(OUTPUT) for entry in self.lake.entries(OUTPUT)]
        assert sorted(kept) == ["_manifest.json", "a.txt", "b.txt", "report.json"]
        assert self.lake.read(OUTPUT + "a.txt") == self.lake.read(OUTPUT + "b.txt") == b"rows"
        assert [job.status for job in self.service.jobs.values()] == ["Completed"]


@pytest.fixture
def bench(aws_lake: S3Lake, dataset: Dataset) -> Iterator[Bench]:
    executor = Instant(lambda _key, _content: None)
    with (
        running_sagemaker(executor) as (service, endpoint),
        patch.dict(os.environ, {"AWS_ENDPOINT_URL_SAGEMAKER": endpoint}),
    ):
        forget_clients()
        clients = [aws_lake.session.client(name) for name in ("s3", "sagemaker", "logs")]
        faults = Faults()
        for client in clients:
            client.meta.events.register_first("before-send", faults)
        bench = Bench(aws_lake, service, faults, dataset)
        s3 = aws_lake.session.client("s3")

        def put(key: str, content: bytes) -> None:
            s3.put_object(Bucket=bench.lake.bucket, Key=bench.lake.prefix + key, Body=content)

        executor.put = put
        yield bench
    forget_clients()


@pytest.mark.prove
def test_whatever_fails_once_the_run_ends_right_with_one_job(bench: Bench) -> None:
    bench.run()
    operations = sorted(set(bench.faults.seen))
    assert {"sagemaker.CreateProcessingJob", "s3.PutObject", "s3.CopyObject"} <= set(operations)
    outcomes = {
        operation: {
            way: bench.run(operation, way)
            for way in WAYS
            if way != "limit exceeded" or operation == "sagemaker.CreateProcessingJob"
        }
        for operation in operations
    }
    table = render(outcomes)
    known, rest, sampled = TABLE.read_text().partition(SAMPLED)
    if os.environ.get("CHURN_WRITE_RESULTS"):
        TABLE.write_text(table + rest + sampled)
    assert table == known


def render(outcomes: dict[str, dict[str, str]]) -> str:
    lines = [
        "# One call fails: how a step on SageMaker ends",
        "",
        "Written by `tests/aws/test_faults.py`, which fails if an outcome changes. The first call of each operation fails once: before AWS acts, or",
        "after, so that its response is lost; or the worker is killed right after the call and the run is started again. *right*: the run itself",
        "ends with the whole result and one job. *words, then right*: it fails with a message, and does so when it is run again.",
        "",
        f"| operation | {' | '.join(WAYS)} |",
        f"|---|{'---|' * len(WAYS)}",
        *(f"| {name} | {' | '.join(row.get(way, '-') for way in WAYS)} |" for name, row in outcomes.items()),
    ]
    return "\n".join(lines) + "\n"
