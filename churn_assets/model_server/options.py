"""How a model server is run: what its workers get from the process that starts them."""

from dataclasses import dataclass, field
from pathlib import Path

from churn_model.serving.requests import Limits


@dataclass(frozen=True)
class Candidate:
    """A version of the model that answers a share of the customers, from 0 to 1, under a name.

    withdraw   it ends when the guard rings
    shadow     it answers nobody, and scores every row all the same
    """

    name: str
    version: str
    share: float
    withdraw: bool = False
    shadow: bool = False


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Settings of one server.

    folder          of its own, shared by its workers: counters, the last model that loaded, alerts already sent
    token           what clients must send as `Authorization: Bearer`; empty if none is asked for
    hosts           names by which it may be reached, beside those of this machine
    body_seconds    a client has to send a body
    answer_seconds  a large request may wait and be computed, from when its body is there
    poll_seconds    between two looks at the champion's pointer and the spec
    supervisor      the process without which a worker ends; 0 if there is none
    candidate       a version that answers a share of the customers beside the champion; None for none
    waiting         large requests that may wait for the one that is being answered
    """

    dataset: str
    folder: Path
    token: str = field(default="", repr=False)
    hosts: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    body_seconds: float = 30.0
    answer_seconds: float = 30.0  # with the body's, the minute that SageMaker waits
    poll_seconds: float = 0.5
    candidate: Candidate | None = None
    waiting: int = 16
    workers: int = 1
    supervisor: int = 0
