"""Jobs that have run once, and complete at once when they are asked for again: a version is what its files are made of, so they are the same files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from resources.aws.jobs.kinds import TRAINING
from resources.aws.jobs.names import STEP_TAG, VERSION_TAG
from tests.aws.sagemaker.logs import put_lines
from tests.aws.sagemaker.service import Executor, Job

_LOOKS = 2
"""How often a job is described before it has completed."""

Work = tuple[str, str, str]
"""Resource, step and version."""


@dataclass(frozen=True)
class Left:
    """What a completed job has left: the fields of its description, its objects by their names, its trials' requests and fields."""

    fields: Mapping[str, Any]
    objects: Mapping[str, bytes]
    trials: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = ()


def work_of(job: Job) -> Work:
    """Return what a job has done, whichever attempt it was."""
    return job.kind.resource, job.tags[STEP_TAG], job.tags[VERSION_TAG]


def remember(s3: Any, jobs: Iterable[Job]) -> dict[Work, Left]:
    """Return what completed jobs have left, by what they have done. `s3`: client of boto3."""
    trials = {trial.name for job in jobs for trial in job.trials}
    return {
        work_of(job): Left(
            dict(job.fields),
            dict(_read(s3, job)),
            tuple((trial.request, trial.fields) for trial in job.trials),
        )
        for job in jobs
        if job.status == "Completed" and job.name not in trials
    }


def _read(s3: Any, job: Job) -> Iterator[tuple[str, bytes]]:
    for number, (bucket, prefix) in enumerate(_places(job)):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", ()):
                content = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
                yield f"{number}/{found['Key'].removeprefix(prefix)}", content


def _places(job: Job) -> list[tuple[str, str]]:
    """Return bucket and prefix of each output of a job."""
    request = job.request
    if job.kind.resource == "ProcessingJob":
        uris = [each["S3Output"]["S3Uri"] for each in request["ProcessingOutputConfig"]["Outputs"]]
    elif job.kind.resource == "TransformJob":
        uris = [request["TransformOutput"]["S3OutputPath"]]
    elif job.kind.resource == "TrainingJob":
        uris = [f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job.name}/output/model"]
    else:  # of a tuning job its trials' descriptions are all that is read
        uris = []
    pairs = [uri.removeprefix("s3://").partition("/") for uri in uris]
    return [(bucket, f"{key.rstrip('/')}/") for bucket, _, key in pairs]


@dataclass
class Replay(Executor):
    """Completes jobs by what jobs of the same work have left. A job of unknown work fails.

    s3, logs   clients of boto3
    """

    s3: Any
    logs: Any
    left: Mapping[Work, Left]
    unknown: list[Work] = field(default_factory=list)

    def start(self, job: Job) -> None:
        job.fields["_looks"] = _LOOKS

    def look(self, job: Job) -> None:
        if job.status not in ("InProgress", "Stopping"):
            return
        job.fields["_looks"] -= 1
        if job.stopped.is_set():
            job.to("Stopped")
        elif work_of(job) not in self.left:
            self.unknown.append(work_of(job))
            job.to("Failed", FailureReason=f"ClientError: nothing is known of {work_of(job)}")
        elif job.fields["_looks"] <= 0:
            self._complete(job, self.left[work_of(job)])

    def _complete(self, job: Job, left: Left) -> None:
        places = _places(job)
        for name, content in left.objects.items():
            number, _, rest = name.partition("/")
            bucket, prefix = places[int(number)]
            self.s3.put_object(Bucket=bucket, Key=prefix + rest, Body=content)
        for request, fields in left.trials:
            name = job.name + request["TrainingJobName"].removeprefix(fields["TuningJobName"])
            again = Job(TRAINING, {**request, "TrainingJobName": name, "Tags": job.request["Tags"]})
            again.fields = {**fields, "TuningJobName": job.name, "TrainingJobArn": again.arn}
            job.trials.append(again)
            self.jobs["TrainingJob", name] = again
        if job.kind.resource in ("ProcessingJob", "TrainingJob"):
            put_lines(self.logs, job, f"{job.name}/algo-1-1", ["replayed"])
        own = ("CreationTime", f"{job.kind.resource}Arn", "_model", "_looks")
        job.fields |= {name: value for name, value in left.fields.items() if name not in own}
        job.to("Completed")
