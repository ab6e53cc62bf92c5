"""The settings of an installation, read from environment variables."""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from resources.errors import SettingsError

_HOST = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9a-fA-F:]{2,45}"
)  # a name, or an address of either kind
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")
PROJECT = Path(__file__).resolve().parent.parent


_SHORTEST_TOKEN = 16


class Executor(StrEnum):
    """What executes the steps of a run in Dagster's sense: one process for all of them, which is faster, or one for each."""

    IN_PROCESS = "in_process"
    MULTIPROCESS = "multiprocess"


class Target(StrEnum):
    """Where assets are materialized: on this machine, or on AWS."""

    LOCAL = "local"
    AWS = "aws"


@dataclass(frozen=True, kw_only=True)
class AlertSettings:
    """Where alerts go beside the log, by the names that `resources.local.alerts` gives its destinations."""

    # CHURN_ALERT_COMMAND: a command that gets each alert as a line on its standard input (default: none; alerts are lines of `alerts.log` in `CHURN_HOME`)
    command: str
    # CHURN_ALERT_WEBHOOK: an address to which each alert is posted as JSON, `{"text": "..."}` (default: none)
    webhook: str


@dataclass(frozen=True, kw_only=True)
class AwsSettings:
    """The bucket, the stack and the role of an installation on AWS."""

    # CHURN_LAKE: the bucket of the lake and a prefix in it, as s3://<bucket>/<prefix> (default: none; needed on AWS)
    bucket: str
    prefix: str  # "", or ends with `/`
    # AWS_REGION: the region of bucket and jobs (default: the profile's region)
    region: str
    # CHURN_STACK: at most 8 letters and digits; names the Glue database, the Athena workgroup and every job (default: `churn`)
    stack: str
    # CHURN_ROLE: the ARN of the role of the jobs (default: none; needed on AWS)
    role: str
    # CHURN_MODEL_ROLE: the ARN of the role of the models of endpoints, which may do less (default: `CHURN_ROLE`)
    model_role: str
    # CHURN_KMS_KEY: the ARN of the key that encrypts all that is written (default: the bucket's own default encryption)
    kms_key: str
    # CHURN_IMAGE: the address of the managed XGBoost image 3.2-0, or of a copy of it (default: the one of the region, which the extra `aws` looks up)
    image: str
    # CHURN_JOBS: how jobs run, as JSON: `{"instances": ["ml.m5.xlarge"], "hours": 12}` (default: one `ml.m5.xlarge`, 24 hours at most)
    job_options: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where files are kept, and how much of the machine to use."""

    # CHURN_HOME: lake, tables, Dagster's home, runs (default: `churn_home` in the project's folder)
    home: Path
    # CHURN_DATASETS: the folder of specs (default: `datasets` in the project's folder)
    datasets: Path
    # CHURN_STEP_PYTHON: the interpreter that runs the steps (default: the interpreter that runs `churn`)
    step_python: Path
    # CHURN_THREADS: threads of one step (default: 2; 1 on a machine with one core)
    threads: int
    # DAGSTER_HOME: the folder of an existing Dagster to join, with its dagster.yaml (default: `dagster` in `CHURN_HOME`)
    dagster_home: Path
    # CHURN_EXECUTOR: how assets run: in_process, or multiprocess for a process per asset (default: `in_process`)
    executor: Executor
    alerts: AlertSettings
    # CHURN_SHOW_ALL: `yes` shows datasets in the UI of which nothing has landed, too (default: `no`)
    show_all: bool
    # CHURN_ALLOWED_HOSTS: names of our servers beside localhost, such as `churn.example,ui.example` (default: none)
    allowed_hosts: Sequence[str]
    # CHURN_TARGET: where assets are materialized: local, or aws with the settings below (default: `local`)
    aws: AwsSettings | None
    # CHURN_SERVE_TOKEN: what clients of `churn serve` have to send (default: none; needed to listen on more than this machine)
    serve_token: str = field(default="", repr=False)
    aws_region: str = ""  # of AwsSettings, also where no stack is there yet

    @property
    def lake(self) -> Path:
        """Return the folder of the lake."""
        return self.home / "lake"

    @property
    def tables(self) -> Path:
        """Return the DuckDB file of the tables on this machine."""
        return self.home / "tables.duckdb"

    @property
    def out(self) -> Path:
        """Return the folder of the current lists and pages."""
        return self.home / "out"

    @property
    def owns_dagster_home(self) -> bool:
        """Return whether Dagster's folder is part of the working folder, and not one that exists beside it for other code too."""
        return self.dagster_home == self.home / "dagster"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings. Raise SettingsError with all problems at once."""
    env = os.environ if environment is None else environment
    problems = []
    threads = env.get("CHURN_THREADS", str(min(2, os.cpu_count() or 1)))
    if not (threads.isdigit() and 1 <= int(threads) <= 1024):
        problems.append(f"CHURN_THREADS: expected a whole number from 1 to 1024, found {threads!r}")
    step_python = Path(env.get("CHURN_STEP_PYTHON") or sys.executable)
    if not step_python.is_file():
        problems.append(f"CHURN_STEP_PYTHON: expected a Python interpreter, found nothing at {step_python}")
    home = Path(env.get("CHURN_HOME") or PROJECT / "churn_home").expanduser().absolute()
    datasets = Path(env.get("CHURN_DATASETS") or PROJECT / "datasets").expanduser().absolute()
    dagster_home = _read_dagster_home(env, home, problems)
    executor = env.get("CHURN_EXECUTOR") or Executor.IN_PROCESS
    if executor not in list(Executor):
        problems.append(f"CHURN_EXECUTOR: expected {' or '.join(Executor)}, found {executor!r}")
    webhook = env.get("CHURN_ALERT_WEBHOOK", "")
    if webhook and not webhook.startswith(("https://", "http://")):
        problems.append(
            "CHURN_ALERT_WEBHOOK: expected an address that begins with https:// or http://, found another text"
        )
    show_all = env.get("CHURN_SHOW_ALL", "").strip().lower()
    if show_all not in ("", *_YES, *_NO):
        problems.append(f"CHURN_SHOW_ALL: expected yes or no, found {show_all!r}")
    hosts = _read_hosts(env, problems)
    aws = _read_aws_settings(env, problems)
    token = _read_token(env, problems)
    problems += [
        f"{name}: expected a folder, found a file at {file}; name another folder"
        for name, folder in (("CHURN_HOME", home), ("CHURN_DATASETS", datasets))
        if (file := _file_in_the_way(folder))
    ]
    if problems:
        raise SettingsError("; ".join(problems))
    return Settings(
        home=home,
        datasets=datasets,
        step_python=step_python,
        threads=int(threads),
        dagster_home=dagster_home,
        executor=Executor(executor),
        show_all=show_all in _YES,
        alerts=AlertSettings(command=env.get("CHURN_ALERT_COMMAND", "").strip(), webhook=webhook),
        allowed_hosts=hosts,
        aws=aws,
        serve_token=token,
        aws_region=_read_region(env),
    )


def _read_dagster_home(env: Mapping[str, str], home: Path, problems: list[str]) -> Path:
    """Return Dagster's own folder: ours, or that of an existing Dagster."""
    own_dagster_home = home / "dagster"
    dagster_home = Path(env.get("DAGSTER_HOME") or own_dagster_home).expanduser()
    if dagster_home != own_dagster_home and not (dagster_home.is_absolute() and os.path.isdir(dagster_home)):  # noqa: PTH112
        problems.append(
            f"DAGSTER_HOME: expected the absolute path of an existing Dagster's folder, found {dagster_home}; "
            "unset it to keep Dagster's files in the working folder"
        )
    return dagster_home


def _read_hosts(env: Mapping[str, str], problems: list[str]) -> tuple[str, ...]:
    """Return the names under which our servers answer, beside those of this machine."""
    hosts = tuple(name.strip() for name in env.get("CHURN_ALLOWED_HOSTS", "").split(",") if name.strip())
    problems += [
        f"CHURN_ALLOWED_HOSTS: expected host names without port or wildcard, separated by commas, found {host!r}"
        for host in hosts
        if not _HOST.fullmatch(host)
    ]
    return hosts


def _read_token(env: Mapping[str, str], problems: list[str]) -> str:
    """Return what requests to the model server have to carry, or "" for nothing."""
    token = env.get("CHURN_SERVE_TOKEN", "").strip()
    if token and (len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        expected = f"at least {_SHORTEST_TOKEN} ASCII letters, digits and signs"
        problems.append(f"CHURN_SERVE_TOKEN: expected {expected}, found another text")
    return token


# What one-part names of a general-purpose bucket look like; names with dots have no valid certificate of their own.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
STACK_NAME = re.compile(r"[a-z][a-z0-9]{0,7}")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}")
_IMAGE = re.compile(
    r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9._/-]{1,256}(:[\w.-]{1,128}|@sha256:[0-9a-f]{64})"
)
_KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/[\w/-]{1,256}")


def _read_aws_settings(env: Mapping[str, str], problems: list[str]) -> AwsSettings | None:
    """Return what CHURN_TARGET=aws needs, or None for the local target. Append to `problems` what is missing or invalid."""
    target = env.get("CHURN_TARGET") or Target.LOCAL
    if target not in list(Target):
        problems.append(f"CHURN_TARGET: expected {' or '.join(Target)}, found {target!r}")
    if target != Target.AWS:
        return None
    bucket, prefix = _read_lake(env, problems)
    stack = env.get("CHURN_STACK") or "churn"
    if not STACK_NAME.fullmatch(stack):
        problems.append(
            f"CHURN_STACK: expected at most 8 lower-case letters and digits, a letter first, found {stack!r}"
        )
    role, model_role = _read_roles(env, problems)
    key = env.get("CHURN_KMS_KEY", "")
    if key and not _KEY.fullmatch(key):
        problems.append(f"CHURN_KMS_KEY: expected the ARN of a KMS key, found {key!r}")
    image = env.get("CHURN_IMAGE", "")
    if image and not _IMAGE.fullmatch(image):
        problems.append(f"CHURN_IMAGE: expected <registry>/<repository>:<tag> of ECR, found {image!r}")
    options: Any = None
    with suppress(ValueError):
        options = json.loads(env.get("CHURN_JOBS") or "{}")
    if not isinstance(options, dict):
        problems.append(f"CHURN_JOBS: expected a JSON object, found {env['CHURN_JOBS']!r}")
    return AwsSettings(
        bucket=bucket,
        prefix=prefix,
        region=_read_region(env),
        stack=stack,
        role=role,
        model_role=model_role,
        kms_key=key,
        image=image,
        job_options=options,
    )


def _read_lake(env: Mapping[str, str], problems: list[str]) -> tuple[str, str]:
    """Return the bucket of the lake, and the prefix in it."""
    lake = env.get("CHURN_LAKE", "")
    bucket, _, prefix = lake.removeprefix("s3://").partition("/")
    if not lake.startswith("s3://") or not _BUCKET.fullmatch(bucket) or "//" in prefix or ".." in prefix:
        problems.append(f"CHURN_LAKE: expected s3://<bucket> or s3://<bucket>/<prefix>, found {lake!r}")
    elif bucket.endswith("--x-s3"):
        problems.append(
            f"CHURN_LAKE: expected a general-purpose bucket, found the directory bucket {bucket}; those do not list keys in order"
        )
    return bucket, prefix.strip("/") + "/" if prefix.strip("/") else ""


def _read_roles(env: Mapping[str, str], problems: list[str]) -> tuple[str, str]:
    """Return the roles of the jobs and of the models of endpoints."""
    role = env.get("CHURN_ROLE", "")
    if not _ROLE.fullmatch(role):
        problems.append(
            f"CHURN_ROLE: expected the ARN of the role of the jobs, arn:aws:iam::<account>:role/<name>, found {role!r}"
        )
    model_role = env.get("CHURN_MODEL_ROLE") or role
    if model_role != role and not _ROLE.fullmatch(model_role):
        problems.append(
            f"CHURN_MODEL_ROLE: expected the ARN of the role of endpoints' models, arn:aws:iam::<account>:role/<name>, found {model_role!r}"
        )
    return role, model_role


def _read_region(env: Mapping[str, str]) -> str:
    return env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or ""


def _file_in_the_way(folder: Path) -> Path | None:
    """Return the file that is in the place of a folder or of one of its parents, if any. `os.path` raises nothing for unreadable folders."""
    return next((path for path in (folder, *folder.parents) if os.path.lexists(path) and not os.path.isdir(path)), None)  # noqa: PTH112
