"""The lines of a job's log, where the service's agent puts them."""

import time
from typing import Any

from tests.aws.sagemaker.service import Job

_GROUPS = {"ProcessingJob": "ProcessingJobs", "TrainingJob": "TrainingJobs", "TransformJob": "TransformJobs"}
_MOST_LINES = 5000


def put_lines(logs: Any, job: Job, stream: str, lines: list[str]) -> None:
    """Put lines into a stream of a job's log. `logs`: a client of boto3."""
    if not lines:
        return
    group = f"/aws/sagemaker/{_GROUPS[job.kind.resource]}"
    for create, arguments in (
        (logs.create_log_group, {"logGroupName": group}),
        (logs.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
    ):
        try:
            create(**arguments)
        except logs.exceptions.ResourceAlreadyExistsException:
            continue
    events = [{"timestamp": int(time.time() * 1000), "message": line or " "} for line in lines[-_MOST_LINES:]]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
