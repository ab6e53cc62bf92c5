"""Training jobs on spot instances: how long they may wait, what they cost, and their checkpoints.

SageMaker copies the checkpoints' folder to S3 while the job writes it, and lays it out again where the job begins again.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.aws.sagemaker.service import Job

NO_CAPACITY = "Insufficient capacity error from EC2 while launching instances, retrying!"
"""What a description says while a job waits."""
WAITED_TOO_LONG = "MaxWaitTimeExceeded"
_PRICE = 0.3  # of a spot instance, as a share of the full one


def is_spot(job: Job) -> bool:
    """Return whether a job runs on spot instances."""
    return bool(job.request.get("EnableManagedSpotTraining"))


def find_latest_end(job: Job) -> float:
    """Return until when a job may wait and run, in seconds since 1970: a spot job alone has such a limit, from its creation on."""
    seconds = job.request.get("StoppingCondition", {}).get("MaxWaitTimeInSeconds") if is_spot(job) else None
    return float("inf") if seconds is None else float(job.fields["CreationTime"] + seconds)


def add_times(times: Mapping[str, float], seconds: float, *, on_spot: bool) -> dict[str, float]:
    """Return the times of a training job after so many more seconds of it."""
    trained = times.get("TrainingTimeInSeconds", 0) + max(1, round(seconds))
    billed = max(1, round(trained * _PRICE)) if on_spot else trained
    return {"TrainingTimeInSeconds": trained, "BillableTimeInSeconds": billed}


class Checkpoints:
    """The folder of a job's checkpoints, and its copy. A job without any has neither."""

    def __init__(self, s3: Any, keys: Callable[[str, str], Iterable[str]], job: Job, root: Path) -> None:
        config = job.request.get("CheckpointConfig", {})
        self._s3, self._keys, self._uri = s3, keys, config.get("S3Uri", "")
        self._folder = root / Path(config.get("LocalPath", "/opt/ml/checkpoints/")).relative_to("/opt/ml")
        self._stored: dict[Path, tuple[int, int]] = {}

    def restore(self) -> None:
        """Lay out what earlier runs of the job have left."""
        if not self._uri:
            return
        self._folder.mkdir(parents=True)
        for key in self._keys(self._bucket, self._prefix):
            path = self._folder / key.removeprefix(self._prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._s3.download_file(self._bucket, key, str(path))
            self._stored[path] = _state(path)

    def store(self, most: int | None = None) -> None:
        """Copy files that have changed, all or so many."""
        paths = self._folder.rglob("*") if self._uri else ()
        found = sorted(each for each in paths if each.is_file() and each.suffix != ".partial")
        for path in [each for each in found if self._stored.get(each) != _state(each)][:most]:
            key = f"{self._prefix}{path.relative_to(self._folder).as_posix()}"
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=path.read_bytes())
            self._stored[path] = _state(path)

    @property
    def _bucket(self) -> str:
        return str(self._uri.removeprefix("s3://").partition("/")[0])

    @property
    def _prefix(self) -> str:
        return str(self._uri.removeprefix("s3://").partition("/")[2]).rstrip("/") + "/"


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
