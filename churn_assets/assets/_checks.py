"""Claims as Dagster's asset checks, and their results from a step's report."""

from collections.abc import Mapping, Sequence

import dagster as dg

from churn_assets.assets._metadata import round_figure
from churn_model.checks import Check, Claim
from churn_model.errors import problem
from churn_model.wording import NOT_EVALUATED


def check_specs(asset: dg.AssetKey, claims: Sequence[Claim]) -> list[dg.AssetCheckSpec]:
    """Return the claims about an asset as Dagster declares them."""
    return [
        dg.AssetCheckSpec(claim.name, asset=asset, description=claim.description, blocking=claim.blocking)
        for claim in claims
    ]


def check_results(
    claims: Sequence[Claim], checks: Sequence[Check], numbers: Mapping[str, float | None] | None = None
) -> list[dg.AssetCheckResult]:
    """Return a result for each claim, with the report's numbers, which the UI plots over time.

    A claim that an older report does not answer passes with a warning.
    """
    shown = {name: round_figure(value) for name, value in (numbers or {}).items() if value is not None}
    answers = {check.name: check for check in checks}
    return [_result(claim, answers.get(claim.name), shown) for claim in claims]


def _result(claim: Claim, check: Check | None, numbers: Mapping[str, float]) -> dg.AssetCheckResult:
    if check is None:
        return dg.AssetCheckResult(
            check_name=claim.name,
            passed=True,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{NOT_EVALUATED.capitalize()}, which was published by earlier code.",
            metadata={"evaluated": False},
        )
    return dg.AssetCheckResult(
        check_name=claim.name,
        passed=check.passed,
        severity=dg.AssetCheckSeverity.ERROR if claim.blocking else dg.AssetCheckSeverity.WARN,
        description=_describe(check),
        metadata={
            "expected": check.expected,
            "found": check.found,
            "to do": "nothing" if check.passed else check.todo,
            **numbers,
        },
    )


def _describe(check: Check) -> str:
    if check.passed:
        return check.found
    return problem(expected=check.expected, found=check.found, todo=check.todo)


def accept(results: Sequence[dg.AssetCheckResult], name: str) -> list[dg.AssetCheckResult]:
    """Return the results with the check of that name as a warning, if it failed: a person has accepted what it says."""
    return [
        result._replace(severity=dg.AssetCheckSeverity.WARN, description=f"Accepted. {result.description}")
        if result.check_name == name and not result.passed
        else result
        for result in results
    ]


def no_failure_blocks(results: Sequence[dg.AssetCheckResult]) -> bool:
    """Return whether what is downstream may run."""
    return all(result.passed or result.severity is not dg.AssetCheckSeverity.ERROR for result in results)
