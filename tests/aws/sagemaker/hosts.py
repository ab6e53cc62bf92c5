"""Where the stand-in's endpoints run: a server for each, as a process in the image's releases, or the same application in this process."""

import io
import json
import tarfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.aws.jobs.kinds import JobKind
from tests.aws.sagemaker.service import Job
from tests.aws.sagemaker.transforms import BadStatus, serving, unpack

if TYPE_CHECKING:
    from tests.aws.sagemaker.containers import Containers

_SERVER = JobKind("Endpoint", 63, "", "", lambda _: None, lambda _: "")
Fields = dict[str, Any]
Answer = tuple[int, Mapping[str, str], bytes]


class NotAnswering(Exception):
    """A server did not pass the ping health check. `lines` are of its log."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Answering(ABC):
    """A model's server."""

    @abstractmethod
    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a request."""

    def close(self) -> None:  # noqa: B027
        """End the server."""


class Host(ABC):
    """Starts servers, and keeps what the service keeps of them."""

    @abstractmethod
    def start(self, endpoint: str, model: Fields) -> Answering:
        """Start a model's server, and wait until it answers pings. Raise NotAnswering."""

    def put_lines(self, endpoint: str, lines: list[str]) -> None:  # noqa: B027
        """Keep lines in the endpoint's log."""

    def count(self, endpoint: str, variant: str) -> None:  # noqa: B027
        """Count an invocation."""

    def capture(self, uri: str, lines: bytes) -> None:  # noqa: B027
        """Keep a captured request."""


class NoHost(Host):
    """Where no endpoint is expected."""

    def start(self, endpoint: str, model: Fields) -> Answering:
        raise NotImplementedError("this stand-in has no host for endpoints")


@dataclass
class AwsHost(Host):
    """Servers in this process, by the application that the image's server would import. Logs, metrics and captured requests go to moto."""

    s3: Any
    logs: Any
    cloudwatch: Any
    folder: Path

    def start(self, endpoint: str, model: Fields) -> Answering:
        from churn_model.steps.endpoint import EndpointServer

        container = model["PrimaryContainer"]
        folder = self.folder / f"{endpoint}-{time.time_ns()}"
        bucket, key = container["ModelDataUrl"].removeprefix("s3://").split("/", 1)
        archive = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(archive)) as members:
            members.extractall(folder, filter="data")
        server = InProcess(EndpointServer(container["Environment"] | {"CHURN_MODEL": str(folder)}))
        status, _, body = server.ask("GET", "/ping", b"", {})
        if status != 200:
            raise NotAnswering([str(json.loads(body)["error"])])
        return server

    def put_lines(self, endpoint: str, lines: list[str]) -> None:
        group, stream = f"/aws/sagemaker/Endpoints/{endpoint}", f"champion/i-{time.time_ns()}"
        for create, arguments in (
            (self.logs.create_log_group, {"logGroupName": group}),
            (self.logs.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
        ):
            try:
                create(**arguments)
            except self.logs.exceptions.ResourceAlreadyExistsException:
                continue
        events = [{"timestamp": int(time.time() * 1000), "message": line or " "} for line in lines]
        self.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    def count(self, endpoint: str, variant: str) -> None:
        dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
        datum = {"MetricName": "Invocations", "Dimensions": dimensions, "Value": 1.0}
        self.cloudwatch.put_metric_data(Namespace="AWS/SageMaker", MetricData=[datum])

    def capture(self, uri: str, lines: bytes) -> None:
        bucket, key = uri.removeprefix("s3://").split("/", 1)
        self.s3.put_object(Bucket=bucket, Key=key, Body=lines)


class InProcess(Answering):
    """A WSGI application."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        names = {"Content-Type": "CONTENT_TYPE"}
        begun: list[tuple[str, list[tuple[str, str]]]] = []
        request = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            **{names.get(name, f"HTTP_{name.upper().replace('-', '_')}"): value for name, value in headers.items()},
        }
        content = b"".join(self._application(request, lambda status, found: begun.append((status, found))))
        return int(begun[0][0].split()[0]), dict(begun[0][1]), content


@dataclass
class ImageHost(AwsHost):
    """The image's own server, as a process without a network."""

    containers: "Containers"

    def start(self, endpoint: str, model: Fields) -> Answering:
        number = time.time_ns()
        job = Job(_SERVER, {"EndpointName": f"{endpoint}-{number}"})
        root, container = self.containers.folder / job.name, model["PrimaryContainer"]
        unpack(self.containers, container["ModelDataUrl"], root / "model")
        stack = ExitStack()
        try:
            server = stack.enter_context(serving(self.containers, job, root, container["Environment"], refusals=5))
        except BadStatus as error:
            log = self.containers.folder / f"{job.name}.log"
            raise NotAnswering(log.read_text("utf-8", errors="replace").splitlines()) from error

        class Process(Answering):
            def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
                return server.ask_whole(method, path, body, headers)

            def close(self) -> None:
                stack.close()

        return Process()
