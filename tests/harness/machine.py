"""What tests need of the machine: a free port, rights, and patience, since it may be busy with other work."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""What starts a command of the superuser without the right to read what is closed: Linux, util-linux."""
_PATIENCE_SECONDS = 900  # the sensor looks every 30 s, the schedule fires every minute; the rest is a busy machine


class NotPossible(Exception):
    """This machine or user cannot do what a test needs, such as mount something."""


def waited(for_what: str, found: Callable[[], T | None], patience: float = _PATIENCE_SECONDS) -> T:
    """Return what `found` gives, as soon as it is something; `patience` in seconds. Raise AssertionError if it never is."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.2)
    raise AssertionError(f"waited for {for_what}")


def free_port() -> int:
    """Return a port of this machine on which nothing listens, and which nobody else is given until this process ends.

    It stays bound: a server takes seconds until it listens, and the system could give the port to another one meanwhile. Servers set
    SO_REUSEADDR, by which two may be bound to one port as long as one of them listens.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = int(held.getsockname()[1])
    held.detach()
    return port


def is_alive(pid: int) -> bool:
    """Return whether a process runs: one that ended and was not waited for yet does not. Linux."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
