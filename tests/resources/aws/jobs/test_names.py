"""Names of jobs are within SageMaker's limits by construction."""

import pytest

from resources.aws.jobs.kinds import KINDS, JobKind
from resources.aws.jobs.limits import find_problems
from resources.aws.jobs.names import MOST_ATTEMPTS, Work, check_stack_name
from resources.catalog.versions import READS
from resources.errors import SettingsError
from tests.aws.sagemaker.service import service_model


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
@pytest.mark.parametrize("step", READS)
def test_airflow_45550_the_longest_names_of_the_last_attempt_are_within_the_limits(kind: JobKind, step: str) -> None:
    """apache/airflow 45550: a second run added a time stamp to the name, which was then longer than 63 characters."""
    work = Work(kind=kind, stack="stacksss", dataset="d" * 12, step=step, version="f" * 16, output="o/")
    name = work.name(MOST_ATTEMPTS - 1)
    assert len(name) <= kind.name_limit
    assert find_problems(service_model(), f"Describe{kind.resource}", {kind.name_field: name}) == []


def test_a_name_tells_stack_dataset_step_version_and_attempt() -> None:
    work = Work(
        kind=KINDS[0], stack="prod", dataset="telco", step="retention_list", version="0123456789abcdef", output="o/"
    )
    assert work.name(3) == "prod-telco-retention-list-0123456789abcdef-3"


@pytest.mark.parametrize("stack", ["", "a" * 9, "Prod", "a-b", "1a", "a_b", "é"])
def test_a_stacks_name_that_does_not_fit_is_refused(stack: str) -> None:
    with pytest.raises(SettingsError, match="a stack's name of 1 to 8 lower-case letters and digits"):
        check_stack_name(stack)


def test_a_stacks_name_that_fits_is_taken() -> None:
    assert check_stack_name("prod2026") == "prod2026"
