"""How many machines the variants of an endpoint begin with, where a policy counts them.

A policy follows the requests, and takes minutes to. So a variant whose share grows, such as the champion's when a candidate goes, begins with its share
of all the machines that answered until then.

Its machines come before its share does. Until then, the weights of all variants, of which only the ratio counts, add up to the number of the machines
that answered, and a half: set by the same call that adds machines, they tell a deployment after one that broke off there which machines to count.
"""

from collections.abc import Mapping, Sequence
from math import ceil, isclose
from typing import Any

from churn_model.errors import problem
from resources.aws.endpoint_calls import Description, EndpointCalls, share_of
from resources.aws.endpoint_requests import EndpointPlan
from resources.errors import EndpointError
from resources.ports.endpoint import SHARE_DIGITS

_MARK = 0.5  # in the sum of the weights, which is 1 otherwise
_EXACT = 0.01  # SageMaker keeps weights in 32 bits


def count_machines(plan: EndpointPlan, found: Description | None) -> dict[str, int]:
    """Return how many machines each variant of a plan is to begin with on this endpoint; {} if no policy counts them, or there are none yet.

    One whose share does not grow has as many as before: the policy takes what is too much.
    """
    scaling, current = plan.section.scaling, _current(found)
    if scaling is None or found is None or not sum(current.values()):
        return {}
    total = _count_answering(found)
    counts = {name: current.get(name, scaling.least) for name in plan.weights}
    for name, weight in plan.weights.items():
        if weight > share_of(found, name):
            needed = ceil(round(total * weight, SHARE_DIGITS))
            counts[name] = max(counts[name], min(needed, scaling.most))
    return counts


def find_short(counts: Mapping[str, int], found: Description | None) -> dict[str, int]:
    """Return the variants that are on an endpoint with fewer machines than these, and how many they are to have."""
    current = _current(found)
    return {name: count for name, count in counts.items() if count > current.get(name, count)}


def add_machines(plan: EndpointPlan, calls: EndpointCalls, found: Description) -> Description:
    """Give each variant whose share grows its machines, one variant at a time, and return the endpoint. Raise EndpointError if they do not come."""
    for name, count in find_short(count_machines(plan, found), found).items():
        total = _count_answering(found) + _MARK
        weights = {each: total * share_of(found, each) for each in _current(found)}
        asked = [
            {"VariantName": each, "DesiredWeight": weight, **({"DesiredInstanceCount": count} if each == name else {})}
            for each, weight in weights.items()
        ]
        calls.set_weights({"EndpointName": plan.endpoint, "DesiredWeightsAndCapacities": asked})
        found = calls.settle() or {}
        if name not in _current(found) or find_short({name: count}, found):
            raise report_unlike(plan, calls, found, asked)
    return found


def report_unlike(
    plan: EndpointPlan, calls: EndpointCalls, found: Description, asked: Sequence[object]
) -> EndpointError:
    """Return the error of an endpoint whose weights and machines are not as asked."""
    status, reason = found.get("EndpointStatus", "no endpoint"), found.get("FailureReason", "no reason given")
    return EndpointError(
        problem(
            expected=f"weights and machines of {plan.endpoint} as asked: {asked}",
            found=f"{status}: {reason}; {found.get('ProductionVariants', 'none')}",
            todo=f"run the job again, or look at it: {calls.link}",
        )
    )


def _count_answering(found: Description) -> int:
    """Return how many machines answer, without those that have come for a share that is not there yet."""
    total = sum(_current(found).values())
    weights = sum(float(each.get("CurrentWeight", 0.0)) for each in found["ProductionVariants"])
    is_marked = weights > 1 and isclose(weights % 1, _MARK, abs_tol=_EXACT)
    return min(total, int(weights)) if is_marked else total


def _current(found: Description | None) -> dict[str, int]:
    variants: Sequence[Mapping[str, Any]] = (found or {}).get("ProductionVariants", ())
    return {each["VariantName"]: each.get("CurrentInstanceCount") or 0 for each in variants}
