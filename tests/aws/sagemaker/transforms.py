"""Batch Transform as the service does it: the model's archive unpacked, the model's server behind a socket, an object a request, `<object>.out` for each.

The server is gunicorn, started as the image's own `serve` does (sagemaker-containers, without nginx). It has no network: the socket is a file.
"""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

from tests.aws.sagemaker.service import Job

if TYPE_CHECKING:
    from tests.aws.sagemaker.containers import Containers

_PING_SECONDS = 60
_SERVER_LIBRARIES = ("gunicorn", "packaging")


class BadStatus(Exception):
    """The model's server did not answer a request with 200. `lines` are those that the service logs."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(lines[0])
        self.lines = lines


class Stopped(Exception):
    """The job was told to stop."""


def run_transform(containers: "Containers", job: Job) -> dict[str, bytes]:
    """Send each object of the input to the model's server. Return the outputs by URI; nothing is stored here.

    Raise BadStatus, Stopped.
    """
    request, container = job.request, job.fields["_model"]["PrimaryContainer"]
    for field, only in (("SplitType", "None"), ("CompressionType", "None")):
        if request["TransformInput"].get(field, "None") != only:
            raise NotImplementedError(f"the stand-in knows no {field} but {only}")
    if request["TransformOutput"].get("AssembleWith", "None") != "None" or "DataProcessing" in request:
        raise NotImplementedError("the stand-in neither assembles nor filters")
    root = containers.folder / job.name
    unpack(containers, container["ModelDataUrl"], root / "model")
    source = request["TransformInput"]["DataSource"]["S3DataSource"]
    if source["S3DataType"] != "S3Prefix":
        raise NotImplementedError("the stand-in transforms prefixes alone")
    bucket, prefix = source["S3Uri"].removeprefix("s3://").split("/", 1)
    keys = list(containers.keys(bucket, prefix))
    if not keys:
        raise BadStatus([f"ClientError: No S3 objects found under S3 URL {source['S3Uri']}"])
    outputs: dict[str, bytes] = {}
    with serving(containers, job, root, container["Environment"] | request.get("Environment", {})) as server:
        for key in keys:
            body = containers.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            place = (
                f"{request['TransformOutput']['S3OutputPath'].rstrip('/')}/{key.removeprefix(prefix).lstrip('/')}.out"
            )
            outputs[place] = _transform(job, server, f"{bucket}/{key}", body)
    return outputs


def unpack(containers: "Containers", uri: str, folder: Path) -> None:
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    folder.mkdir(parents=True)
    archive = folder.parent / "model.tar.gz"
    containers.s3.download_file(bucket, key, str(archive))
    with tarfile.open(archive) as members:
        members.extractall(folder, filter="data")


def _transform(job: Job, server: "Server", name: str, body: bytes) -> bytes:
    """Return the response to one object, as `BatchStrategy: SingleRecord` sends it."""
    if job.stopped.is_set():
        raise Stopped
    most = job.request.get("MaxPayloadInMB", 6)
    if len(body) > most << 20:
        raise BadStatus([f"{name}: Too much data for max payload size"])
    headers = {
        "Content-Type": job.request["TransformInput"].get("ContentType", "application/octet-stream"),
        "Accept": job.request["TransformOutput"].get("Accept", "*/*"),
    }
    status, answer = server.ask("POST", "/invocations", body, headers)
    if status != 200:
        lines = [f"{name}: Bad HTTP status received from algorithm: {status}", f"{name}: ", f"{name}: Message:"]
        raise BadStatus([*lines, *(f"{name}: {line}" for line in answer.decode().splitlines())])
    return answer


class Server:
    """The model's server, asked through a socket in the file system."""

    def __init__(self, path: str, job: Job, process: "subprocess.Popen[bytes]") -> None:
        self._path, self._job, self._process = path, job, process

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        status, _, content = self.ask_whole(method, path, body, headers or {})
        return status, content

    def ask_whole(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body of the response."""
        connection = http.client.HTTPConnection("localhost", timeout=120)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(120)
        try:
            connection.sock.connect(self._path)
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def wait(self, refusals: int | None) -> None:
        """Ping until the server answers, as the service does before it sends anything."""
        refused, limit = 0, time.monotonic() + _PING_SECONDS
        while time.monotonic() < limit and self._process.poll() is None:
            if self._job.stopped.is_set():
                raise Stopped
            if Path(self._path).exists():
                try:
                    if self.ask("GET", "/ping")[0] == 200:
                        return
                    refused += 1
                    if refused == refusals:
                        break
                except ConnectionError:
                    pass
            time.sleep(0.05)
        raise BadStatus(["The primary container for production variant AllTraffic did not pass the ping health check."])


@contextmanager
def serving(
    containers: "Containers", job: Job, root: Path, environment: Mapping[str, str], *, refusals: int | None = None
) -> Iterator[Server]:
    """Start the model's server as the image does, and end it. `refusals`: pings that it may refuse before it is given up."""
    if "SAGEMAKER_SERVING_MODULE" not in environment:
        raise NotImplementedError("the stand-in serves models by their own module alone")
    with tempfile.TemporaryDirectory(prefix="serve-", dir="/tmp") as folder:  # the path of a socket has 108 bytes
        path = f"{folder}/socket"
        code = _lay_server(Path(folder))
        command = [
            "python",
            *(
                "-m",
                "gunicorn",
                "--no-control-socket",
                "--timeout",
                environment.get("SAGEMAKER_MODEL_SERVER_TIMEOUT", "60"),
            ),
            *(
                "-w",
                environment.get("SAGEMAKER_MODEL_SERVER_WORKERS", "1"),
                "-b",
                f"unix:{path}",
                "--log-level",
                "info",
            ),
            environment["SAGEMAKER_SERVING_MODULE"],
        ]
        environment = dict(environment) | {"PYTHONPATH": f"{environment.get('PYTHONPATH', '')}:{code}"}
        process = containers.open_process(job, root, command, environment)
        try:
            server = Server(path, job, process)
            server.wait(refusals)
            yield server
        finally:
            _end_server(process)


def _end_server(process: subprocess.Popen[bytes]) -> None:
    """End a server, and kill it after a while as the service does: a worker that is just being forked misses the signal."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _lay_server(folder: Path) -> Path:
    """Copy the server's library beside the image's own, which lacks it here; it is pure Python."""
    code = folder / "server"
    for name in _SERVER_LIBRARIES:
        source = Path(str(distribution(name).locate_file(name)))
        shutil.copytree(source, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    return code
