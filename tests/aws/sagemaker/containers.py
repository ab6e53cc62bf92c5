"""Jobs that really run: inputs from S3 in SageMaker's folders, the entrypoint as a process in the image's environment, outputs back to S3.

Where the machine allows, a job has a mount namespace of its own, with its folder at /opt/ml, and no network. Elsewhere /opt/ml is replaced by the
folder's path in the request.
"""

import functools
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.aws.sagemaker.logs import put_lines
from tests.aws.sagemaker.service import Executor, Job
from tests.aws.sagemaker.spot import NO_CAPACITY, WAITED_TOO_LONG, Checkpoints, add_times, find_latest_end, is_spot
from tests.aws.sagemaker.transforms import BadStatus, Stopped, run_transform
from tests.aws.sagemaker.tuning import MODULE_COMMAND, Tuner

IMAGE = Path(__file__).resolve().parents[3] / ".venv-image"
ROOT = "/opt/ml"
_STOP_SECONDS = 120
_INTERRUPTED = "Interrupted"


@functools.cache
def has_namespaces() -> bool:
    """Return whether this machine gives processes mounts and a network of their own."""
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", *_namespace_flags(), "-m", "-n", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _namespace_flags() -> list[str]:
    return [] if os.geteuid() == 0 else ["-r"]


class BrokenInput(Exception):
    """An input that SageMaker could not download: the job fails with these words."""


@dataclass
class Containers(Executor):
    """Runs each job in a thread and a process.

    s3, logs      clients of boto3
    folder        where jobs have their folders
    python        the image's interpreter, found as `python3` by the entrypoint
    environment   variables that the image itself sets
    interrupts    whether the instances of a running job, a spot job with this folder, are needed elsewhere now
    has_capacity  whether there are instances for a spot job now
    """

    s3: Any
    logs: Any
    folder: Path
    python: Path = IMAGE / "bin" / "python"
    environment: Mapping[str, str] = field(default_factory=dict)
    interrupts: Callable[[Job, Path], bool] = lambda _job, _root: False
    has_capacity: Callable[[Job], bool] = lambda _job: True
    _threads: list[threading.Thread] = field(default_factory=list)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, job: Job) -> None:
        runs = {
            "ProcessingJob": self._run,
            "TrainingJob": self._run,
            "HyperParameterTuningJob": self._tune,
            "TransformJob": self._run_transform,
        }
        thread = threading.Thread(target=runs[job.kind.resource], args=(job,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        for job in tuple(self.jobs.values()):
            job.stopped.set()  # a tuning job would start its next trials
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        for thread in self._threads:
            thread.join(10)

    # The states of a job

    def _run(self, job: Job) -> None:
        try:
            self._execute(job)
        except BrokenInput as error:
            self._end(job, "Failed", FailureReason=f"ClientError: {error}")
        except Exception:
            traceback.print_exc()
            self._end(job, "Failed", FailureReason="InternalServerError: the stand-in broke")

    def _tune(self, job: Job) -> None:
        def read_log(trial: Job) -> str:
            return (self.folder / f"{trial.name}.log").read_text("utf-8", errors="replace")

        try:
            Tuner(job, self._run, read_log, self.jobs).tune()
        except Exception:
            traceback.print_exc()
            job.to("Failed", FailureReason="InternalServerError: the stand-in broke")

    def _run_transform(self, job: Job) -> None:
        """Run a transform job. One that fails or is stopped stores nothing, and says no more than that its log knows why."""
        job.fields["TransformStartTime"] = time.time()
        lines: list[str] = []
        status, reason = "Completed", {}
        try:
            for uri, content in run_transform(self, job).items():
                bucket, key = _split(uri)
                self.s3.put_object(Bucket=bucket, Key=key, Body=content)
        except Stopped:
            status = "Stopped"
        except BadStatus as error:
            lines = [f"[sagemaker logs]: {line}" for line in error.lines]
            status, reason = "Failed", {"FailureReason": "AlgorithmError: See job logs for more information"}
        except Exception:
            traceback.print_exc()
            status, reason = "Failed", {"FailureReason": "InternalServerError: the stand-in broke"}
        self._write_log(job)
        put_lines(self.logs, job, f"{job.name}/i-0/data-log", lines)
        job.to(status, TransformEndTime=time.time(), **reason)

    def _execute(self, job: Job) -> None:
        root = self.folder / job.name
        is_training = job.kind.resource == "TrainingJob"
        times: dict[str, float] = {}
        ending = _INTERRUPTED
        if "MaxPendingTimeInSeconds" in job.request.get("StoppingCondition", {}):
            raise NotImplementedError("the stand-in has no queue in which a job is pending")
        while ending == _INTERRUPTED:  # on other instances, which know nothing of the ones before
            if waited := self._wait_for_capacity(job):
                self._end(job, "Stopped", SecondaryStatus=waited, **times)
                return
            shutil.rmtree(root, ignore_errors=True)
            self._lay_folders(job, root, is_training=is_training)
            if job.stopped.is_set():
                self._end(job, "Stopped")
                return
            self._enter(job, "Training")
            started = time.time()
            code, ending = self._run_entrypoint(job, root)
            if ending == _INTERRUPTED:
                self._enter(job, _INTERRUPTED)
            if is_training:
                times = add_times(times, time.time() - started, on_spot=is_spot(job))
        if ending:
            self._end(job, "Stopped", SecondaryStatus=ending, **times)
        elif code == 0:
            self._enter(job, "Uploading")
            self._upload_outputs(job, root)
            self._end(job, "Completed", **times)
        else:
            self._end(job, "Failed", **_failure(root, code, is_training=is_training), **times)

    def _wait_for_capacity(self, job: Job) -> str:
        """Wait until a spot job's instances are to be had. Return what ended the waiting as a secondary status, "" for nothing."""
        if not is_spot(job) or self.has_capacity(job):
            return ""
        self._enter(job, "Starting", NO_CAPACITY)
        while not self.has_capacity(job):
            if job.stopped.is_set():
                return "Stopped"
            if time.time() > find_latest_end(job):
                return WAITED_TOO_LONG
            time.sleep(0.02)
        return ""

    def _lay_folders(self, job: Job, root: Path, *, is_training: bool) -> None:
        self._enter(job, "Downloading")
        for place, source in _inputs(job):
            self._download(root / place, source)
        for place in ("output", "model") if is_training else ("output", *_output_paths(job)):
            (root / place).mkdir(parents=True, exist_ok=True)
        (root / "input" / "config").mkdir(parents=True, exist_ok=True)
        if is_training:
            hyperparameters = json.dumps(job.request.get("HyperParameters", {}))
            (root / "input" / "config" / "hyperparameters.json").write_text(hyperparameters)

    def _enter(self, job: Job, secondary: str, message: str = "") -> None:
        now = time.time()
        if job.kind.resource == "ProcessingJob":
            if secondary == "Training":
                job.fields["ProcessingStartTime"] = now
            return
        steps = job.fields.setdefault("SecondaryStatusTransitions", [])
        said = message or f"{secondary} as the stand-in does"
        steps.append({"Status": secondary, "StartTime": now, "StatusMessage": said})
        job.fields |= {"SecondaryStatus": secondary}
        if secondary == "Training":
            job.fields["TrainingStartTime"] = now

    def _end(self, job: Job, status: str, **fields: Any) -> None:
        ends = {"ProcessingJob": "ProcessingEndTime", "TrainingJob": "TrainingEndTime"}
        if job.kind.resource != "ProcessingJob":
            fields = {"SecondaryStatus": status, **fields}
        else:
            fields.pop("SecondaryStatus", None)
        job.to(status, **{ends[job.kind.resource]: time.time()}, **fields)

    # Inputs and outputs

    def _download(self, folder: Path, source: Mapping[str, Any]) -> None:
        """Lay the objects of a prefix under the rest of their keys, and those of a manifest under their names in it."""
        bucket, key = _split(source["S3Uri"])
        folder.mkdir(parents=True, exist_ok=True)
        if source["S3DataType"] == "ManifestFile":
            (start, *names) = json.loads(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            bucket, prefix = _split(start["prefix"])
            pairs = [(prefix + name, name) for name in names]
        else:
            pairs = [(found, found.removeprefix(key).lstrip("/")) for found in self.keys(bucket, key)]
            pairs = [(found, name or Path(found).name) for found, name in pairs]
        if not pairs:
            raise BrokenInput(f"No S3 objects found under S3 URL {source['S3Uri']!r}")
        for found, name in pairs:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.s3.download_file(bucket, found, str(target))
            except self.s3.exceptions.ClientError as error:
                raise BrokenInput(f"Failed to download {found}: {error}") from error

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """Yield the keys below a prefix, but for the empty objects that mark folders."""
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):
                    yield found["Key"]

    def _upload_outputs(self, job: Job, root: Path) -> None:
        if job.kind.resource == "ProcessingJob":
            for output in job.request.get("ProcessingOutputConfig", {}).get("Outputs", ()):
                self._upload(root / _place(output["S3Output"]["LocalPath"]), output["S3Output"]["S3Uri"])
            return
        output = job.request["OutputDataConfig"]
        if output.get("CompressionType") != "NONE":
            raise NotImplementedError("the stand-in writes no model.tar.gz")
        place = f"{output['S3OutputPath'].rstrip('/')}/{job.name}/output/model"
        self._upload(root / "model", place)
        job.fields["ModelArtifacts"] = {"S3ModelArtifacts": place + "/"}

    def _upload(self, folder: Path, uri: str) -> None:
        bucket, key = _split(uri)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.s3.upload_file(str(path), bucket, f"{key.rstrip('/')}/{path.relative_to(folder).as_posix()}")

    # The process

    def _run_entrypoint(self, job: Job, root: Path) -> tuple[int, str]:
        """Run the entrypoint until it ends by itself or is ended. Return its exit code, and what ended it as a secondary status, "" for nothing."""
        specification = job.request.get("AppSpecification") or job.request["AlgorithmSpecification"]
        command = [
            *specification.get("ContainerEntrypoint", ("python3", "-c", MODULE_COMMAND)),
            *specification.get("ContainerArguments", ()),
        ]
        checkpoints = Checkpoints(self.s3, self.keys, job, root)
        checkpoints.restore()
        process = self.open_process(job, root, command, job.request.get("Environment", {}))
        ending = self._wait(job, process, checkpoints, root)
        if ending != _INTERRUPTED:  # what the job wrote last was not copied in time
            checkpoints.store()
        self._write_log(job)
        return process.returncode, ending

    def open_process(
        self, job: Job, root: Path, command: list[str], variables: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        """Start a container's process: with the job's folder at /opt/ml, no network, and its output in the job's log."""
        environment = {
            "PATH": f"{self.python.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(root.parent / "home"),
            **self.environment,
            **variables,
        }
        if has_namespaces():
            inner = ["sh", "-c", 'mount --bind "$0" /opt/ml && exec "$@"', str(root), *command]
            Path(ROOT).mkdir(parents=True, exist_ok=True)
            command = ["unshare", *_namespace_flags(), "-m", "-n", *inner]
        else:
            command = [part.replace(ROOT, str(root)) for part in command]
            environment = {name: value.replace(ROOT, str(root)) for name, value in environment.items()}
        with (self.folder / f"{job.name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _wait(self, job: Job, process: "subprocess.Popen[bytes]", checkpoints: Checkpoints, root: Path) -> str:
        limit = time.monotonic() + job.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86_400)
        while process.poll() is None:
            ending = ""
            if time.monotonic() > limit:
                ending = "MaxRuntimeExceeded"
            elif time.time() > find_latest_end(job):
                ending = WAITED_TOO_LONG
            elif job.stopped.is_set():
                ending = "Stopped"
            elif is_spot(job) and self.interrupts(job, root):
                ending = _INTERRUPTED
            if ending:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                return ending
            checkpoints.store(most=1)
            time.sleep(0.02)
        return "Stopped" if job.stopped.is_set() else ""

    def _write_log(self, job: Job) -> None:
        """Put the process's lines into the job's stream, as the service's agent does."""
        log = self.folder / f"{job.name}.log"
        lines = log.read_text("utf-8", errors="replace").splitlines() if log.exists() else []
        put_lines(self.logs, job, f"{job.name}/algo-1-{time.time_ns()}", lines)


def _inputs(job: Job) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each input's folder below /opt/ml and its source."""
    for source in job.request.get("ProcessingInputs", ()):
        yield _place(source["S3Input"]["LocalPath"]), source["S3Input"]
    for channel in job.request.get("InputDataConfig", ()):
        yield f"input/data/{channel['ChannelName']}", channel["DataSource"]["S3DataSource"]


def _output_paths(job: Job) -> list[str]:
    outputs = job.request.get("ProcessingOutputConfig", {}).get("Outputs", ())
    return [_place(output["S3Output"]["LocalPath"]) for output in outputs]


def _place(path: str) -> str:
    if not path.startswith(ROOT + "/"):
        raise BrokenInput(f"LocalPath {path} must be below {ROOT}")
    return path.removeprefix(ROOT + "/")


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _failure(root: Path, code: int, *, is_training: bool) -> dict[str, str]:
    """Return what a description says of a process that failed: training shows `failure`, processing `message`."""
    if not is_training:
        message = root / "output" / "message"
        words = message.read_bytes().decode("utf-8")[:1024] if message.exists() else ""  # no UTF-8: the stand-in breaks
        reason = "AlgorithmError: See job logs for more information"
        return {"FailureReason": reason, **({"ExitMessage": words} if words else {})}
    failure = root / "output" / "failure"
    words = failure.read_text("utf-8", errors="replace")[:1024] if failure.exists() else ""
    return {"FailureReason": f"AlgorithmError: {words}, exit code: {code}"}
