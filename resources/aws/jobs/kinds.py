"""The four kinds of job: what SageMaker calls their operations and fields, where their logs are, and what they cost."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Description = Mapping[str, Any]
"""What a describe call answers."""

COMPLETED, FAILED, STOPPED = "Completed", "Failed", "Stopped"
RUNNING = frozenset({"InProgress", "Stopping"})
ENDED = frozenset({COMPLETED, FAILED, STOPPED, "Deleting", "DeleteFailed"})


@dataclass(frozen=True)
class JobKind:
    """One kind of job.

    resource     as in the names of operations and fields: `ProcessingJob` gives `CreateProcessingJob` and `ProcessingJobName`
    name_limit   characters of a name
    log_group    of CloudWatch; a job's streams begin with its name and `/`
    console      the part of the console's address before the name
    billed       from a description, the seconds that are billed for all instances together; None if they are not known
    progress     from a description, one line about what the job does
    """

    resource: str
    name_limit: int
    log_group: str
    console: str
    billed: Callable[[Description], float | None]
    progress: Callable[[Description], str]

    @property
    def words(self) -> str:
        """The kind as messages call it: `training job`."""
        return self._spaced(" ")

    @property
    def method(self) -> str:
        """The end of the names of a client's methods: `create_` and `training_job`."""
        return self._spaced("_")

    def _spaced(self, blank: str) -> str:
        return re.sub(r"(?<!^)(?=[A-Z])", blank, self.resource).lower()

    @property
    def name_field(self) -> str:
        """The field that holds a job's name."""
        return f"{self.resource}Name"

    def name_of(self, description: Description) -> str:
        """Return a job's name."""
        return str(description[self.name_field])

    def status_of(self, description: Description) -> str:
        """Return a job's status."""
        return str(description[f"{self.resource}Status"])

    def arn_of(self, description: Description) -> str:
        """Return a job's ARN."""
        return str(description[f"{self.resource}Arn"])

    def link(self, region: str, name: str) -> str:
        """Return the address of a job's page in the console."""
        return f"https://{region}.console.aws.amazon.com/sagemaker/home?region={region}#/{self.console}/{name}"


def _elapsed(start: str, end: str, instances: Callable[[Description], int]) -> Callable[[Description], float | None]:
    def billed(description: Description) -> float | None:
        if start not in description or end not in description:
            return None
        return float((description[end] - description[start]).total_seconds()) * instances(description)

    return billed


def _cluster_size(path: Sequence[str]) -> Callable[[Description], int]:
    def size(description: Description) -> int:
        place: Any = description
        for name in path:
            place = place.get(name, {})
        return int(place.get("SelectedInstanceCount") or place.get("InstanceCount") or 1)

    return size


def _billed_training(description: Description) -> float | None:
    seconds = description.get("BillableTimeInSeconds")
    return None if seconds is None else float(seconds) * _cluster_size(["ResourceConfig"])(description)


def share_saved(description: Description) -> float | None:
    """Return the share of a training job's time that was not billed since it ran on spot instances; None for every other job."""
    billed, trained = description.get("BillableTimeInSeconds"), description.get("TrainingTimeInSeconds")
    if not (description.get("EnableManagedSpotTraining") and billed and trained):
        return None
    return float(1 - billed / trained)


def _billed_elsewhere(_description: Description) -> None:
    """Return nothing: what a tuning job says that it consumed is time on the clock, and its trials are billed."""


def _training_progress(description: Description) -> str:
    """Return the secondary status, with the reason that SageMaker gives."""
    transitions = description.get("SecondaryStatusTransitions") or [{}]
    words = [str(description.get("SecondaryStatus", "")), str(transitions[-1].get("StatusMessage", ""))]
    return ": ".join(word for word in words if word)


def _tuning_progress(description: Description) -> str:
    """Return how many trials there are of each status, and the best objective so far."""
    counts = description.get("TrainingJobStatusCounters", {})
    text = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    metric = description.get("BestTrainingJob", {}).get("FinalHyperParameterTuningJobObjectiveMetric", {})
    return f"{text}; best {metric['MetricName']} {metric['Value']:.6g}" if "Value" in metric else text


def _no_progress(_description: Description) -> str:
    return ""


_LOGS = "/aws/sagemaker/"
PROCESSING = JobKind(
    resource="ProcessingJob",
    name_limit=63,
    log_group=f"{_LOGS}ProcessingJobs",
    console="processing-jobs",
    billed=_elapsed(
        "ProcessingStartTime", "ProcessingEndTime", _cluster_size(["ProcessingResources", "ClusterConfig"])
    ),
    progress=_no_progress,
)
TRAINING = JobKind(
    resource="TrainingJob",
    name_limit=63,
    log_group=f"{_LOGS}TrainingJobs",
    console="jobs",
    billed=_billed_training,
    progress=_training_progress,
)
TUNING = JobKind(
    resource="HyperParameterTuningJob",
    name_limit=32,
    log_group=f"{_LOGS}TrainingJobs",
    console="hyper-tuning-jobs",
    billed=_billed_elsewhere,
    progress=_tuning_progress,
)
TRANSFORM = JobKind(
    resource="TransformJob",
    name_limit=63,
    log_group=f"{_LOGS}TransformJobs",
    console="transform-jobs",
    billed=_elapsed("TransformStartTime", "TransformEndTime", _cluster_size(["TransformResources"])),
    progress=_no_progress,
)
KINDS = (PROCESSING, TRAINING, TUNING, TRANSFORM)
