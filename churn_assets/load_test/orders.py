"""What a process of the generator is told of a step. The standard library alone: both sides of the pipe import it."""

from dataclasses import dataclass

GIVES_UP_SECONDS = 10.0
"""How long a request may take."""
MOST_CONNECTIONS = 4000
"""Of one process."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A step for one process.

    rate         requests a second of all processes; 0 for a closed loop
    seconds      how long requests are due
    begin        by the clock `time.monotonic`, which the processes of a machine share
    index, of    which process it is, and of how many: the requests are dealt out to them in turn
    connections  requests of this process that may wait at once; in a closed loop, its users
    """

    rate: float
    seconds: float
    begin: float
    index: int
    of: int
    connections: int
