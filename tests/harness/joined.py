"""Somebody's Dagster on Postgres, with a code location of its own, that this project joins as a second one."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml

from tests.harness.home import Home
from tests.harness.machine import free_port, waited

_POSTGRES_USER = "postgres"  # the server refuses to run as root

INSTANCE = """\
telemetry: {enabled: false}
storage:
  postgres:
    postgres_url:
      env: DAGSTER_POSTGRES_URL
concurrency:
  runs:
    tag_concurrency_limits:
      - key: churn/lock
        value:
          applyLimitPerUniqueValue: true
        limit: 1
"""
OTHER_LOCATION = '''\
"""A location that knows nothing of ours: its only run works for as long as the proof does."""

import time

import dagster as dg


@dg.op
def work() -> None:
    time.sleep(3600)


@dg.job
def long_job() -> None:
    work()


@dg.sensor(job=long_job, minimum_interval_seconds=10, default_status=dg.DefaultSensorStatus.RUNNING)
def begins_once() -> dg.RunRequest:
    return dg.RunRequest(run_key="once")


defs = dg.Definitions(jobs=[long_job], sensors=[begins_once])
'''


def find_postgres() -> Path | None:
    """Return the folder of the server's programs, or None if there is no server."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)


@contextmanager
def running_postgres(programs: Path) -> Iterator[str]:
    """Yield the address of an empty database, on a server of its own that ends with the context."""
    with tempfile.TemporaryDirectory(prefix="churn-postgres-") as folder:
        as_user: list[str] = []
        if os.geteuid() == 0:
            as_user = ["setpriv", f"--reuid={_POSTGRES_USER}", f"--regid={_POSTGRES_USER}", "--clear-groups"]
            shutil.chown(folder, _POSTGRES_USER)
        data, log, port = Path(folder) / "data", Path(folder) / "log.txt", free_port()
        made = [*as_user, str(programs / "initdb"), "-D", str(data), "-U", "dagster", "-A", "trust", "-N"]
        subprocess.run(made, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
        with log.open("w") as out:
            command = [*as_user, str(programs / "postgres"), "-D", str(data), *options]
            server = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        try:
            ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            waited(
                "Postgres to answer",
                lambda: server.poll() is not None or not subprocess.run(ready, check=False).returncode or None,
            )
            if server.poll() is not None:
                raise RuntimeError(log.read_text())
            yield f"postgresql://dagster@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait()


class JoinedDagster:
    """A DAGSTER_HOME on Postgres, and its daemon over two code locations: somebody's, and this project's for a working folder."""

    def __init__(self, home: Home, postgres_url: str) -> None:
        self.folder = home.root / "their-dagster"
        self.folder.mkdir()
        (self.folder / "dagster.yaml").write_text(INSTANCE)
        (self.folder / "theirs.py").write_text(OTHER_LOCATION)
        theirs = {"python_file": {"relative_path": str(self.folder / "theirs.py"), "location_name": "theirs"}}
        ours = {
            "module_name": "churn_assets.definitions",
            "working_directory": str(home.code),
            "executable_path": sys.executable,
            "location_name": "churn",
        }
        self.workspace, self.log = self.folder / "workspace.yaml", self.folder / "daemon.txt"
        self.workspace.write_text(yaml.safe_dump({"load_from": [{"python_module": ours}, theirs]}))
        self.environment = {
            **home.environment,
            "DAGSTER_HOME": str(self.folder),
            "DAGSTER_POSTGRES_URL": postgres_url,
            "CHURN_EXECUTOR": "multiprocess",
            "DAGSTER_GRPC_TIMEOUT_SECONDS": "300",
        }
        self._home = home

    def start_daemon(self) -> None:
        """Start Dagster's daemon over both locations. `home.end_all` ends it with all that it started."""
        with self.log.open("w") as out:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "-w", str(self.workspace)],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._home.started.append(daemon)

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Yield the instance, as its own processes see it."""
        os.environ["DAGSTER_POSTGRES_URL"] = self.environment["DAGSTER_POSTGRES_URL"]
        with dg.DagsterInstance.from_config(str(self.folder)) as instance:
            yield instance
