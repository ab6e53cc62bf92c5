"""`churn serve` in a process of its own: started on a free port, looked at, and ended."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from tests.harness.home import Home
from tests.harness.machine import waited

_OPENER = build_opener(ProxyHandler({}))


class Server:
    """`churn serve shop` of a home. Linux: its workers are found in /proc."""

    def __init__(self, home: Home, *arguments: str) -> None:
        self.output = home.root / "served.txt"
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "churn_assets.cli", "serve", "shop", "--port", "0", *arguments],
                env=home.environment,
                cwd=home.code,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.url = waited("an address", lambda: re.findall(r"http://\S+:[0-9]+", self.output.read_text()))[0]
        waited("a first answer", lambda: self.read("/ping"))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def read(self, path: str) -> bytes | None:
        """Return what is there, None if nothing answers or it is refused."""
        try:
            with _OPENER.open(self.url + path, timeout=60) as answer:
                return bytes(answer.read())
        except (URLError, OSError):
            return None

    def workers(self) -> list[int]:
        """Return the processes that answer."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in _command_of(pid)]

    def clients_of(self, worker: int) -> set[int]:
        """Return the ports of the clients whose connections a worker holds."""
        held = {found for fd in Path(f"/proc/{worker}/fd").iterdir() if (found := _inode(fd))}
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        here = f":{self.port:04X}"
        return {int(each[2].partition(":")[2], 16) for each in lines if each[9] in held and each[1].endswith(here)}

    def end(self) -> None:
        """End it and its workers, whatever they do."""
        for pid in (*self.workers(), self.process.pid) if self.process.poll() is None else ():
            with suppress(ProcessLookupError):  # ended meanwhile
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def served(home: Home, *arguments: str) -> Iterator[Server]:
    """Start a server and end it."""
    server = Server(home, *arguments)
    try:
        yield server
    finally:
        server.end()


def _command_of(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
        return b""


def _inode(descriptor: Path) -> str:
    try:
        target = str(descriptor.readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""
    return target.removeprefix("socket:[").rstrip("]") if target.startswith("socket:[") else ""
