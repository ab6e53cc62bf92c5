"""Whom a load test asks, and the scaling target that its knee proposes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from churn_assets.load_test.knee import SAFETY, propose_target
from churn_assets.load_test.run import LoadTest, Proposal
from churn_model.errors import problem
from churn_model.wording import counted, percent
from resources.errors import EndpointError
from resources.ports.endpoint import IN_SERVICE, Endpoint, Served, no_endpoint


@dataclass(frozen=True)
class Target:
    """An address, or an endpoint as it was `served` when the test began. `told`: what the generator is told of it."""

    name: str
    told: Mapping[str, str]
    served: Served | None = None


def find_target(endpoint: Endpoint, dataset: str, *, url: str, token: str) -> Target:
    """Return the server at an address, or the dataset's endpoint if there is none. Raise EndpointError for an endpoint that does not answer."""
    if url:
        return Target(url, {"url": url, "token": token})
    served = endpoint.find(dataset)
    if served is None:
        raise EndpointError(no_endpoint(dataset))
    if served.status != IN_SERVICE:
        todo = "wait until it answers, and leaves off changing, then test again"
        raise EndpointError(
            problem(expected=f"the endpoint {served.name} to be {IN_SERVICE}", found=served.status, todo=todo)
        )
    return Target(f"endpoint {served.name}", {"endpoint": dataset}, served)


def propose(test: LoadTest, target: Target, endpoint: Endpoint) -> LoadTest:
    """Return the test with the target that its knee proposes for `endpoint: scaling`, if there is a knee, and one of the champion's machines, which stayed."""
    if test.verdict.knee is None:
        return test
    if target.served is None:
        return replace(test, proposal=_propose(test.verdict.knee, 1, "if an instance holds as much as this server"))
    now = endpoint.find(test.dataset)
    before = (target.served.version, target.served.instances, target.served.candidate)
    if now is None or (now.version, now.instances, now.candidate) != before:
        keep = "`scaling: {least: 1, most: 1, ...}` keeps one instance for the time of a test"
        return _remark(test, f"No target follows: the endpoint was changed, or has scaled, while it was asked. {keep}.")
    if now.candidate:
        back = f"`churn endpoint {test.dataset} deploy` takes it back"
        return _remark(
            test, f"No target follows: a candidate answered beside the champion, by machines of its own. {back}."
        )
    if not now.instances:
        return _remark(test, "A serverless endpoint has no instances, and so no target.")
    return replace(
        test, proposal=_propose(test.verdict.knee, now.instances, f"of {counted(now.instances, 'instance')}")
    )


def _propose(knee: float, instances: int, whose: str) -> Proposal:
    invocations = propose_target(knee, instances=instances)
    text = (
        f"Proposed for `endpoint: scaling`: `invocations: {invocations}`, requests a minute for each instance: {percent(SAFETY)} of "
        f"the knee {whose}, since a further instance takes minutes to come."
    )
    return Proposal(invocations=invocations, instances=instances, safety=SAFETY, text=text)


def _remark(test: LoadTest, text: str) -> LoadTest:
    return replace(test, verdict=replace(test.verdict, text=f"{test.verdict.text} {text}"))
