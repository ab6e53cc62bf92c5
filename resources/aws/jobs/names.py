"""The names and tags of jobs.

`<stack>-<dataset>-<step>-<version>-<attempt>`, with the whole version: at most 8 + 12 + 14 + 16 + 2 characters and four hyphens, of 63. A tuning
job has 32 characters: no step, which is always the training, and seven digits of the version. Tags hold the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from churn_model.errors import problem
from resources.aws.jobs.kinds import TUNING, JobKind
from resources.errors import SettingsError
from resources.settings import STACK_NAME

MOST_ATTEMPTS = 100
_TUNING_DIGITS = 7

# Keys of the tags.
STACK_TAG = "churn/stack"
DATASET_TAG = "churn/dataset"
STEP_TAG = "churn/step"
VERSION_TAG = "churn/version"
OUTPUT_TAG = "churn/output"
ASKED_BY_TAG = "churn/asked-by"
TRY_TAG = "churn/try"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a job is to do. Jobs of equal work have the same name, but for the attempt.

    asked_by   who asks: a run, or the first run of those that Dagster repeated by itself. Another one is a person who asks again.
    """

    kind: JobKind
    stack: str
    dataset: str
    step: str
    version: str
    output: str
    asked_by: str = ""

    def name(self, attempt: int) -> str:
        """Return the job's name."""
        if self.kind is TUNING:
            return f"{self.stack}-{self.dataset}-{self.version[:_TUNING_DIGITS]}-{attempt}"
        return f"{self.stack}-{self.dataset}-{self.step.replace('_', '-')}-{self.version}-{attempt}"

    def tags(self, number_of_try: int) -> dict[str, str]:
        """Return the job's tags. `number_of_try`: from 1, of those that this asker started because the platform was at fault."""
        return {
            **self.identity,
            STACK_TAG: self.stack,
            DATASET_TAG: self.dataset,
            STEP_TAG: self.step,
            ASKED_BY_TAG: self.asked_by,
            TRY_TAG: str(number_of_try),
        }

    @property
    def identity(self) -> Mapping[str, str]:
        """The tags by which a job of our name is known as ours."""
        return {VERSION_TAG: self.version, OUTPUT_TAG: self.output}


def check_stack_name(stack: str) -> str:
    """Return the name of a stack. Raise SettingsError if it does not fit into the names of jobs."""
    if not STACK_NAME.fullmatch(stack):
        raise SettingsError(
            problem(
                expected="a stack's name of 1 to 8 lower-case letters and digits that begins with a letter",
                found=repr(stack[:40]),
                todo="choose a shorter one: it is part of every job's name, and tuning jobs have 32 characters in all",
            )
        )
    return stack
