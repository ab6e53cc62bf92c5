"""Where the champion answers while nobody runs a server: an endpoint on SageMaker, or this machine."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import dagster as dg

from churn_model.errors import listed, problem
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.endpoint import Endpoint as Section
from resources.errors import EndpointError

IN_SERVICE = "InService"
CHAMPION = "champion"
"""The name of the champion's variant."""
SHARE_DIGITS = 6
"""Of a share, after the point: SageMaker keeps weights in 32 bits."""
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_MOST_CHARACTERS = 63  # of a variant's name


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that answers a share of the requests beside the champion.

    name     of its variant
    model    its version
    share    from 0 to 1, drawn for each request
    shadow   it answers nobody, and is asked all the same; its share is 0
    """

    name: str
    model: str
    share: float
    shadow: bool = False


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What the endpoint of a dataset is to serve. Raise EndpointError for what SageMaker never does, on a laptop too.

    dataset     the spec, whose section `endpoint` says how
    model       the version of the model, and `bundle` the key of its file
    version     of all that an answer of the champion is made from: model, policy, code, libraries, machines
    candidate   beside the champion, None for none, and `candidate_bundle` the key of its file
    """

    dataset: Dataset
    model: str
    bundle: str
    version: str
    candidate: Candidate | None = None
    candidate_bundle: str = ""

    def __post_init__(self) -> None:
        problems = list(_find_problems(self.candidate)) if self.candidate else []
        if self.candidate and (self.dataset.endpoint or Section()).is_serverless:
            problems.append(
                problem(
                    expected="engine: instance for a candidate beside the champion",
                    found="engine: serverless, which SageMaker gives one variant and no shadow",
                    todo="write engine: instance in the section `endpoint`, or deploy without --variant",
                )
            )
        if problems:
            raise EndpointError(listed(problems))


def _find_problems(candidate: Candidate) -> Iterator[str]:
    """Yield what is wrong with a candidate that was asked for. The command has looked already, a run's config has not."""
    name, share = candidate.name, candidate.share
    if name == CHAMPION or len(name) > _MOST_CHARACTERS or not _NAME.fullmatch(name):
        expected = f"a name of letters, digits and hyphens other than {CHAMPION}, {_MOST_CHARACTERS} characters at most"
        yield problem(expected=expected, found=repr(name[:_MOST_CHARACTERS]), todo="write for example candidate")
    if not (0 <= share <= 1 and round(share, SHARE_DIGITS) == share):
        expected = f"a share from 0 to 1, with {SHARE_DIGITS} digits at most"
        yield problem(expected=expected, found=f"{share!r}", todo="write for example 0.1")
    if candidate.shadow and share:
        expected = "share 0 of a candidate in the shadow, which answers nobody"
        yield problem(expected=expected, found=f"{share!r}", todo="write 0, or leave out shadow")


@dataclass(frozen=True, kw_only=True)
class Served:
    """An endpoint as it is found.

    status      `InService` if it answers
    version     of the deployment that answers, and `model` its model's; "" if nothing does
    candidate   beside the champion, as it is found
    is_new      whether the call that returns this has changed anything
    since       seconds since 1970 at which it was changed last
    link        its page for a person, "" if there is none, and `dashboard` that of its figures
    instances   how many machines answer; 0 if none stands ready
    """

    name: str
    status: str
    version: str
    model: str
    since: float
    candidate: Candidate | None = None
    is_new: bool = False
    link: str = ""
    instances: int = 0
    dashboard: str = ""


@dataclass(frozen=True, kw_only=True)
class EndpointAnswer:
    """What an endpoint has answered. `model`: the version of the model that did."""

    body: bytes
    content_type: str
    model: str


class Endpoint(dg.ConfigurableResource, ABC):
    """Serves the champion of each dataset, and a candidate beside it if one is deployed. Every method raises EndpointError."""

    @abstractmethod
    def deploy(self, deployment: Deployment) -> Served:
        """Make the endpoint serve this, and return it once it does.

        Where it serves this already, nothing is done. A call that broke off anywhere is made up for by the next. If the new one does not come to
        answer, the old one goes on, and the error says why.
        """

    @abstractmethod
    def delete(self, dataset: str, *, unchanged_since: float | None = None) -> bool:
        """Remove the endpoint of a dataset with all that was made for it. Return whether there was anything.

        unchanged_since: `Served.since` of the endpoint that is meant; one that was changed since then stays, and that is an error.
        """

    @abstractmethod
    def find(self, dataset: str) -> Served | None:
        """Return the endpoint of a dataset, or None if there is none."""

    @abstractmethod
    def ask(self, dataset: str, body: bytes, *, content_type: str, accept: str, variant: str = "") -> EndpointAnswer:
        """Ask the endpoint, as `/invocations` of the model server is asked. What it refuses is an error with its words.

        variant: who is to answer, `champion` or the candidate's name; "" leaves that to chance and the shares
        """

    @abstractmethod
    def count_requests(self, dataset: str, within: timedelta) -> float:
        """Return how many requests have come within so much time up to now."""


def require_unchanged(endpoint: str, since: float, expected: float | None) -> None:
    """Raise EndpointError if an endpoint was changed at another time than expected. None expects nothing."""
    if expected is not None and since != expected:
        raise EndpointError(
            problem(
                expected=f"the endpoint {endpoint} as it was when its deletion was asked for",
                found="that it was changed meanwhile; it stays",
                todo="nothing, if it is used again",
            )
        )


def no_endpoint(dataset: str) -> str:
    """Return the words for a dataset that has no endpoint."""
    return problem(
        expected=f"an endpoint of {dataset}",
        found="none",
        todo=f"deploy the champion: `churn endpoint {dataset} deploy`",
    )
