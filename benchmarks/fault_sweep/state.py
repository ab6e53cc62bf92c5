"""What is left when a command has ended, as values that are equal if nothing was lost, doubled or left half done.

Times and the numbers of runs are left out: they differ from run to run. So do digests of what holds them.
"""

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from moto.s3.models import s3_backends

from benchmarks.fault_sweep.account import Account
from resources.aws.jobs.names import STEP_TAG, VERSION_TAG
from tests.aws.sagemaker.service import ACCOUNT

State = dict[str, dict[str, str]]
"""By kind and name, a digest or a description of each thing that is there."""

_CHANCE = (
    (re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+00:00|Z)?"), b"<time>"),
    (re.compile(rb"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"), b"<run>"),
    (re.compile(rb"unload-[0-9a-f]{32}"), b"<copy>"),
)
_UNCOUNTED = ("queries/", "jobs/unload-")
"""What Athena keeps of each query, and a copy of a table that was being made: nobody reads them again, and they expire."""
_ENDED = ("SUCCESS", "FAILURE", "CANCELED")


def read_state(account: Account) -> State:
    """Return what is left. The stand-ins have to answer."""
    return {
        "objects": dict(_read_objects(account)),
        "tables": dict(_read_tables(account)),
        "jobs": _read_jobs(account),
        "models": dict.fromkeys(account.sagemaker.models, "there"),
        "packages": {
            arn: _plain(
                {
                    name: package.get(name)
                    for name in ("ModelApprovalStatus", "ApprovalDescription", "CustomerMetadataProperties")
                }
            )
            for arn, package in account.sagemaker.registry.packages.items()
        },
        "files": dict(_read_files(account.folder / "home" / "out")),
        "running": _read_unfinished(account.folder / "home"),
    }


def differences(expected: Mapping[str, Mapping[str, str]], found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return a line for each thing that is missing, too much, or another."""
    lines = []
    for kind, things in expected.items():
        for name in sorted({*things, *found[kind]}):
            before, after = things.get(name, "none"), found[kind].get(name, "none")
            if before != after:
                lines.append(f"{kind}: {name}: expected {before}, found {after}")
    return lines


def _read_objects(account: Account) -> Iterator[tuple[str, str]]:
    """Yield the objects of the bucket from where the stand-in keeps them: by requests it would take as long as the command.

    What a tuning job's trials have written is left out: nobody reads it.
    """
    trials = tuple(f"jobs/{trial.name}/" for job in account.sagemaker.jobs.values() for trial in job.trials)
    for backend in s3_backends[ACCOUNT].values():
        bucket = backend.buckets.get(account.lake.bucket)
        for key in bucket.keys.values() if bucket else ():
            if not key.name.startswith((*_UNCOUNTED, *trials)):
                yield _plain(key.name), _digest(key.value)


def _read_tables(account: Account) -> Iterator[tuple[str, str]]:
    glue, database = account.lake.session.client("glue"), account.settings["CHURN_STACK"]
    for table in glue.get_tables(DatabaseName=database)["TableList"]:
        yield table["Name"], _describe_storage(table)
        for each in glue.get_partitions(DatabaseName=database, TableName=table["Name"])["Partitions"]:
            yield f"{table['Name']} {each['Values']}", _describe_storage(each)


def _describe_storage(table: Mapping[str, Any]) -> str:
    storage = table["StorageDescriptor"]
    return _plain([storage["Location"], storage["Columns"], table.get("Parameters")])


def _read_jobs(account: Account) -> dict[str, str]:
    return {
        f"{kind} {name}": f"{job.status}, {job.tags[STEP_TAG]} {job.tags[VERSION_TAG]}"
        for (kind, name), job in account.sagemaker.jobs.items()
    }


def _read_files(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), _digest(path.read_bytes())


def _read_unfinished(home: Path) -> dict[str, str]:
    """Return the runs of Dagster that have not ended."""
    database = home / "dagster" / "history" / "runs.db"
    if not database.exists():
        return {}
    with closing(sqlite3.connect(database)) as connection:
        runs = connection.execute("select run_id, status from runs").fetchall()
    return {run: status for run, status in runs if status not in _ENDED}


def _digest(content: bytes) -> str:
    for pattern, word in _CHANCE:
        content = pattern.sub(word, content)
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _plain(value: object) -> str:
    content = str(value).encode()
    for pattern, word in _CHANCE:
        content = pattern.sub(word, content)
    return content.decode()
