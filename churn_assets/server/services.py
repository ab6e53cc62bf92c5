"""The processes behind `churn ui`: the code's server, Dagster's daemon and the guarded webserver, started and ended together."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from resources.settings import PROJECT

LOCATION = "churn_assets"
"""The name of the code location, as in workspace.yaml: Dagster keeps what it knows of schedules and sensors by it."""
_MODULE = "churn_assets.definitions"
_START_SECONDS = {"DAGSTER_GRPC_TIMEOUT_SECONDS": "300"}
"""Dagster gives a run's process a minute to load the code, and marks the run failed if a busy machine takes longer. Here it has five."""
_LOOKS_EVERY_SECONDS = 0.3
_SECONDS_BETWEEN = 5
_ENDS_WITHIN_SECONDS = 20


class Services:
    """Three processes, each with those that it starts. `stop` ends them all, however far `start` came."""

    def __init__(self, port: int, environment: Mapping[str, str]) -> None:
        self._port = port
        self.environment = _START_SECONDS | dict(environment)
        self._folder = Path(tempfile.mkdtemp(prefix="churn-ui-"))  # short: the path of a socket may have 100 characters
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start the code's server, and, once it listens, the other two."""
        socket, workspace = self._folder / "code.sock", self._folder / "workspace.yaml"
        server = {"grpc_server": {"socket": str(socket), "location_name": LOCATION}}
        workspace.write_text(yaml.safe_dump({"load_from": [server]}), "utf-8")
        location = ["--module-name", _MODULE, "--working-directory", str(PROJECT), "--location-name", LOCATION]
        self._run("code server", "-m", "dagster", "code-server", "start", "--socket", str(socket), *location)
        while not socket.exists() and self._ended() is None:
            time.sleep(_LOOKS_EVERY_SECONDS)
        target = ("--workspace", str(workspace))
        self._run("daemon", "-m", "dagster._daemon", "run", *target)
        self._run("webserver", "-m", "churn_assets.server.webserver", "--port", str(self._port), *target)

    def wait(self, between: Callable[[], object]) -> str:
        """Return the name of the first process that ends, and how it ended. Call `between` every few seconds until then."""
        again = time.monotonic() + _SECONDS_BETWEEN
        while (ended := self._ended()) is None:
            time.sleep(_LOOKS_EVERY_SECONDS)
            if time.monotonic() > again:
                between()
                again = time.monotonic() + _SECONDS_BETWEEN
        return f"{ended} ended with exit code {self._running[ended].returncode}"

    def stop(self) -> None:
        """End all processes: the code's server last, and with it all in its group, which the runs belong to."""
        try:
            for names in (("webserver", "daemon"), ("code server",)):
                _end([self._running[name] for name in names if name in self._running])
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, name: str, *arguments: str) -> None:
        # Each leads a group of its own: Ctrl-C in a terminal reaches `churn ui` alone, which ends them in order.
        command = [sys.executable, *arguments]
        self._running[name] = subprocess.Popen(
            command, env=self.environment, cwd=PROJECT, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def _ended(self) -> str | None:
        return next((name for name, process in self._running.items() if process.poll() is not None), None)


def _end(leaders: list[subprocess.Popen[bytes]]) -> None:
    """Ask the processes in these groups to end, and kill those that have not within the time."""
    for leader in leaders:
        _signal_group(leader, signal.SIGTERM)
    until, left = time.monotonic() + _ENDS_WITHIN_SECONDS, leaders
    while (left := [leader for leader in left if _signal_group(leader, 0)]) and time.monotonic() < until:
        time.sleep(_LOOKS_EVERY_SECONDS)
    for leader in left:
        _signal_group(leader, signal.SIGKILL)
    for leader in leaders:
        leader.wait()


def _signal_group(leader: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to a leader's group, 0 to ask alone. Return whether any process of it is left."""
    leader.poll()
    try:
        os.killpg(leader.pid, number)
    except ProcessLookupError:
        return False
    return True
