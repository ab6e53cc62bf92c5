"""Warm pools: the instances that a training job leaves for a while to the next one that asks for the same, and which are billed meanwhile.

By SageMaker's documentation. A pool needs a quota of its own, of which an account has none at first: then nothing is kept, and no job is refused.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.aws.sagemaker.service import Job

_RUNNING = ("InProgress", "Stopping")
_RESOURCES = ("InstanceCount", "InstanceType", "VolumeKmsKeyId", "VolumeSizeInGB")
_REQUEST = ("RoleArn", "VpcConfig", "EnableInterContainerTrafficEncryption", "EnableNetworkIsolation")


@dataclass
class WarmPools:
    """The pools of an account, each by the name of the job that it belongs to.

    quota   instances that may be kept at the same time
    now     seconds since 1970
    """

    quota: int = 0
    now: Callable[[], float] = time.time
    _ends: dict[str, float] = field(default_factory=dict)  # until when the pool of a job that has ended is there
    _reused: dict[str, tuple[str, float]] = field(default_factory=dict)  # by which job, and when

    def take(self, job: Job, jobs: Iterable[Job]) -> None:
        """Give a new job a pool that is available and of the same kind, if there is one."""
        for other in jobs:
            if (
                other is not job
                and self.status(other, jobs).get("Status") == "Available"
                and _kind(other) == _kind(job)
            ):
                self._reused[other.name] = (job.name, self.now())
                return

    def status(self, job: Job, jobs: Iterable[Job]) -> dict[str, Any]:
        """Return what a description says of a job's pool, nothing for one that keeps none."""
        keeps = job.request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds", 0)
        if not keeps or job.kind.resource != "TrainingJob":
            return {}
        if job.status in _RUNNING:
            return {"Status": "InUse"}
        ended = job.fields["LastModifiedTime"]
        if job.name not in self._ends:
            self._ends[job.name] = ended + keeps if self._has_room(job, jobs) else ended
        if job.name in self._reused:
            by, when = self._reused[job.name]
            return {"Status": "Reused", "ReusedByJob": by, "ResourceRetainedBillableTimeInSeconds": round(when - ended)}
        seconds = round(min(self.now(), self._ends[job.name]) - ended)
        status = "Available" if self.now() < self._ends[job.name] else "Terminated"
        return {"Status": status, "ResourceRetainedBillableTimeInSeconds": seconds}

    def _has_room(self, job: Job, jobs: Iterable[Job]) -> bool:
        kept = {name for name, end in self._ends.items() if self.now() < end and name not in self._reused}
        return sum(_count(each) for each in (job, *(each for each in jobs if each.name in kept))) <= self.quota


def _kind(job: Job) -> tuple[Any, ...]:
    """Return what two jobs must have in common to have the same instances."""
    resources = job.request.get("ResourceConfig", {})
    return (*(resources.get(name) for name in _RESOURCES), *(job.request.get(name) for name in _REQUEST))


def _count(job: Job) -> int:
    return int(job.request["ResourceConfig"].get("InstanceCount", 1))
