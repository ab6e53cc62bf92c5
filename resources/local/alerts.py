"""Alerts to a log file, a command and a webhook, whichever are set."""

import http.client
import json
import os
import shlex
import subprocess
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from resources.ports.alerts import Alerts

_SECONDS = 10


class LocalAlerts(Alerts):
    """Appends to `log`, writes the line to the standard input of `command`, and posts it to `webhook` as JSON under `text`."""

    log: str
    command: str = ""
    webhook: str = ""

    def send(self, line: str) -> Sequence[str]:
        ways = [("log", self._append)]
        ways += [("CHURN_ALERT_COMMAND", self._run)] if self.command else []
        ways += [("CHURN_ALERT_WEBHOOK", self._post)] if self.webhook else []
        failed = []
        for name, deliver in ways:
            try:
                deliver(line)
            except (OSError, ValueError, http.client.HTTPException, subprocess.SubprocessError) as error:
                # Neither the address nor the command is repeated: they may hold a secret.
                failed.append(f"{name}: {type(error).__name__}")
        return failed

    def _append(self, line: str) -> None:
        # A container begins without a working folder.
        Path(self.log).parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "a", encoding="utf-8", opener=_open_without_waiting) as log:
            log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n")

    def _run(self, line: str) -> None:
        subprocess.run(
            shlex.split(self.command),
            input=line,
            text=True,
            check=True,
            timeout=_SECONDS,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _post(self, line: str) -> None:
        body = json.dumps({"text": line}).encode()
        # The settings refuse every address that is not of the web.
        request = urllib.request.Request(self.webhook, body, {"Content-Type": "application/json"}, method="POST")  # noqa: S310
        urllib.request.urlopen(request, timeout=_SECONDS).close()  # noqa: S310


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file; a named pipe that nobody reads raises OSError."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)
