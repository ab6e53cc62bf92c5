"""Ten sampled points at which a call to AWS fails, with the real steps: `python -m benchmarks.aws_faults [--points N]`, by hand, ten minutes.

Each point is a stack of its own on stand-ins that execute: a table is retrained and a batch scored by `churn` in processes of its own, in which one
call fails once, or after which the process is killed. A command that failed is run again. Appends a table to benchmarks/results/aws_faults.md.
"""

import argparse
import datetime
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import numpy as np
import pyarrow as pa
from pyarrow import csv

from benchmarks.machine import machine
from benchmarks.measure import RESULTS
from resources.aws.jobs.names import STEP_TAG
from resources.aws.lake import S3Lake
from resources.aws.session import AwsSession, forget_clients
from resources.catalog.ledger import Ledger
from resources.catalog.names import ledger_key
from resources.catalog.pointers import read_champion, read_current
from resources.catalog.published_tables import open_published_table
from tests.aws.account import Account, open_account
from tests.aws.faults import KILLED, WAYS
from tests.aws.services import REGION, running_services
from tests.harness.homes import customers_of_month, training_rows

COMMANDS = (("retrain", "shop"), ("score", "shop", "monday"))
SPEC = """\
id: customer_id
as_of: as_of
label: {column: churned, positive: ["yes"], means: cancelled}
costs: {contact: {cost: 40, success: 0.6, value: {column: annual_value}}}
list: {opt_out: do_not_call, capacity: 20}
search: {trials: 1, families: [linear]}
"""
_HEAD = "\n## Sampled points with the real steps\n"
_PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Point:
    """A call that fails: of which command, of which operation, which one, and how."""

    command: int
    operation: str
    number: int
    way: str


@dataclass
class Outcome:
    """How a path from landed files to a list ended.

    ended    of each command, its exit codes until it succeeded; -9 for a worker that was killed
    seen     the operations that each command called
    result   what a reader of the lake sees
    """

    ended: list[list[int]] = field(default_factory=list)
    seen: list[list[str]] = field(default_factory=list)
    result: dict[str, object] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Return the outcome in the words of the table."""
        first = [code for codes in self.ended for code in codes[:-1]]
        return "right" if not first or first == [-signal.SIGKILL] else "words, then right"


def main() -> int:
    """Try the points, print and write the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.aws_faults", description=__doc__)
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1729)
    parsed = parser.parse_args()
    with (
        running_services() as services,
        tempfile.TemporaryDirectory() as folder,
        patch.dict(os.environ, services.environment),
    ):
        reference = take_path(Path(folder) / "reference", None)
        outcomes: dict[Point, str] = {}
        for point in sample_points(reference.seen, parsed.points, parsed.seed):
            outcomes[point] = try_point(Path(folder) / uuid4().hex, point, reference)
            print(point, outcomes[point], flush=True)
    _write(outcomes)
    return 0


def sample_points(seen: Sequence[Sequence[str]], number: int, seed: int) -> list[Point]:
    """Return points of different operations. How often a job is looked up is chance, so the call is among the first half of those that were seen."""
    chance = random.Random(seed)
    counts = [(command, *each) for command, names in enumerate(seen) for each in sorted(Counter(names).items())]
    points = []
    for command, operation, count in chance.sample(counts, number):
        ways = [way for way in WAYS if way != "limit exceeded" or operation.endswith("Job")]
        points.append(Point(command, operation, chance.randint(1, max(1, count // 2)), chance.choice(ways)))
    return sorted(points, key=lambda point: (point.command, point.operation))


def try_point(folder: Path, point: Point, reference: Outcome) -> str:
    """Take the path with one fault, and return the outcome. Raise RuntimeError if anything is lost, doubled, or not as without the fault."""
    outcome = take_path(folder, point)
    if outcome.result != reference.result:
        raise RuntimeError(f"{point}: expected {reference.result}, found {outcome.result}")
    return outcome.words


def take_path(folder: Path, point: Point | None) -> Outcome:
    """Retrain and score in a stack and a working folder of its own."""
    folder.mkdir()
    forget_clients()
    lake = S3Lake(session=AwsSession(), bucket=f"bucket-{uuid4().hex[:12]}")
    location = {"LocationConstraint": REGION}
    lake.session.client("s3").create_bucket(Bucket=lake.bucket, CreateBucketConfiguration=location)
    with open_account(lake, folder / "machines") as account:
        (folder / "datasets").mkdir()
        (folder / "datasets" / "shop.yaml").write_text(SPEC)
        _land(account, "landing/shop/train/customers.csv", training_rows(2000))
        _land(account, "landing/shop/score/monday/customers.csv", customers_of_month())
        outcome = Outcome()
        for number, command in enumerate(COMMANDS):
            fault = point if point and point.command == number else None
            _run(outcome, folder, account, command, fault)
        outcome.result = _read_result(account, folder)
    return outcome


def _land(account: Account, key: str, rows: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    csv.write_csv(rows, sink)
    account.lake.put(key, sink.getvalue().to_pybytes())


def _run(outcome: Outcome, folder: Path, account: Account, command: Sequence[str], fault: Point | None) -> None:
    """Run a command until it succeeds, twice at most, the first time with the fault."""
    plan = folder / f"{command[0]}.json"
    wanted = {"operation": fault.operation, "way": fault.way, "number": fault.number} if fault else {}
    plan.write_text(json.dumps(wanted))
    codes = [_churn(folder, account, plan, command)]
    outcome.seen.append(json.loads(plan.with_suffix(".seen").read_text()))
    if fault and not plan.with_suffix(".failed").exists():
        raise RuntimeError(f"{fault} did not happen")
    if codes[0]:
        plan.write_text("{}")
        codes.append(_churn(folder, account, plan, command))
    outcome.ended.append(codes)
    if codes[-1] or (codes[0] == -signal.SIGKILL) != bool(fault and fault.way == KILLED):
        raise RuntimeError(f"{command} with {fault} ended with {codes}:\n{(folder / 'said.txt').read_text()[-5000:]}")


def _churn(folder: Path, account: Account, plan: Path, command: Sequence[str]) -> int:
    ours = {"CHURN_HOME": str(folder / "home"), "CHURN_DATASETS": str(folder / "datasets"), "DAGSTER_HOME": ""}
    with (folder / "said.txt").open("a") as out:
        done = subprocess.run(
            [sys.executable, "-m", "tests.aws.faulty_worker", str(plan), *command],
            env={**os.environ, **account.settings, **ours},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    return done.returncode


def _read_result(account: Account, folder: Path) -> dict[str, object]:
    """Return what is left: jobs, tables, the champion and what was decided of it, predictions and the list, whether all is whole."""
    lake = account.lake
    champion = read_champion(lake, "shop")
    plan = folder / "verify.json"
    plan.write_text("{}")
    predictions = _table(lake, "batch_predictions/monday", "predictions/")
    return {
        "jobs": sorted(f"{job.tags[STEP_TAG]} {job.name[-1]} {job.status}" for job in account.sagemaker.jobs.values()),
        "champion": champion and champion.outcome,
        "decisions": len(list(lake.entries("shop/decisions/"))),
        "packages": [each["ModelApprovalStatus"] for each in account.sagemaker.registry.packages.values()],
        "rows": {kind: account.tables.count("shop", kind) for kind in ("raw_customers", "batch_predictions")},
        "ids": predictions["id"].to_pylist(),
        "probabilities": np.round(predictions["churn_probability"].to_numpy(), 6).tolist(),
        "listed": _table(lake, "retention_list/monday", "contacts/")["id"].to_pylist(),
        "ledger": [each.batch for each in Ledger.from_json(lake.read(ledger_key("shop"))).entries],
        "verified": _churn(folder, account, plan, ("verify", "shop")),
    }


def _table(lake: S3Lake, asset: str, name: str) -> pa.Table:
    current = read_current(lake, "shop", asset)
    if current is None:
        raise RuntimeError(f"no {asset}")
    return open_published_table(lake, current.prefix + name).read()


def _write(outcomes: Mapping[Point, str]) -> None:
    path = RESULTS / "aws_faults.md"
    lines = [
        "",
        "Written by `python -m benchmarks.aws_faults`. Retrain and score of a small table, each in a process of its own; one call of one of them fails",
        "once, or the process is killed right after it. At the end: the same jobs, each once and completed, the same rows, champion, predictions and",
        "list as without the fault, one decision, one model package, and `churn verify` finds all whole.",
        "",
        "| command | call | fails | outcome |",
        "|---|---|---|---|",
        *(
            f"| churn {COMMANDS[each.command][0]} | {each.operation}, call {each.number} | {each.way} | {outcome} |"
            for each, outcome in outcomes.items()
        ),
        "",
        f"Run: {datetime.datetime.now(datetime.UTC).date().isoformat()}, {machine()}, load {os.getloadavg()[0]:.0f}",
        "",
    ]
    text = "\n".join(lines)
    print(text)
    path.write_text(path.read_text("utf-8").partition(_HEAD)[0] + _HEAD + text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
