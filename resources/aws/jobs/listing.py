"""Which jobs of a stack run now. Nothing that starts or awaits a job depends on it: jobs are found by their names."""

from collections.abc import Sequence
from typing import Any

from resources.aws.jobs.kinds import JobKind
from resources.aws.session import aws_errors
from resources.errors import StepFailed
from resources.ports.runner import RunningStep

_MOST_PAGES = 10  # of 100 jobs


def list_running(client: Any, kind: JobKind, stack: str) -> list[RunningStep]:
    """Return the running jobs of one kind whose names are those of a stack, oldest first. Raise StepFailed."""
    arguments = {
        "NameContains": f"{stack}-",
        "StatusEquals": "InProgress",
        "SortBy": "CreationTime",
        "SortOrder": "Ascending",
    }
    found: list[RunningStep] = []
    with aws_errors(StepFailed, f"to list the running {kind.words}s"):
        for _ in range(_MOST_PAGES):
            page = getattr(client, f"list_{kind.method}s")(MaxResults=100, **arguments)
            found += [
                RunningStep(
                    name=kind.name_of(each),
                    dataset=kind.name_of(each).split("-")[1],
                    since=each["CreationTime"].isoformat(timespec="seconds"),
                    link=kind.link(client.meta.region_name, kind.name_of(each)),
                )
                for each in page[f"{kind.resource}Summaries"]
                if kind.name_of(each).startswith(f"{stack}-")
            ]
            if not page.get("NextToken"):
                break
            arguments["NextToken"] = page["NextToken"]
    return found


def without_trials(steps: Sequence[RunningStep]) -> list[RunningStep]:
    """Return the jobs without those that a tuning job among them has started, whose names begin with its own."""
    names = tuple(f"{step.name}-" for step in steps)
    return [step for step in steps if not step.name.startswith(names)]
