"""SageMaker's jobs behind HTTP: requests are checked against the service's model, jobs walk their states, and something executes them.

What it does not know it refuses with `UnknownOperationException`: a green test never rests on an answer that was made up.
"""

import json
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import botocore.session

from resources.aws.jobs.kinds import KINDS, TRAINING, TUNING, JobKind
from resources.aws.jobs.limits import find_problems

if TYPE_CHECKING:
    from tests.aws.sagemaker.hosts import Host

ACCOUNT, REGION = "123456789012", "eu-west-1"


class Refusal(Exception):
    """An error of the service: its code, as AWS's own libraries see it, and the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


class Reset(Exception):
    """The connection breaks: no response is sent."""


@dataclass
class Job:
    """A job as the service knows it. `fields` are what its description adds to its request, `trials` the jobs that a tuning job has started."""

    kind: JobKind
    request: dict[str, Any]
    fields: dict[str, Any] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)
    trials: list["Job"] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.request[self.kind.name_field])

    @property
    def status(self) -> str:
        return str(self.fields[f"{self.kind.resource}Status"])

    @property
    def tags(self) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.request.get("Tags", [])}

    def to(self, status: str, **fields: Any) -> None:
        """Move to a status."""
        self.fields |= {**fields, f"{self.kind.resource}Status": status, "LastModifiedTime": time.time()}

    @property
    def arn(self) -> str:
        resource = re.sub("(?<!^)(?=[A-Z])", "-", self.kind.resource).lower()
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{resource}/{self.name}"


class Executor(ABC):
    """What makes jobs go on. `jobs` are all that the service knows."""

    jobs: dict[tuple[str, str], Job]

    @abstractmethod
    def start(self, job: Job) -> None:
        """A job was created."""

    def look(self, job: Job) -> None:  # noqa: B027
        """A job is about to be described."""

    def close(self) -> None:  # noqa: B027
        """The service ends."""


@dataclass
class Scripted(Executor):
    """Jobs that walk through statuses: each describe call takes the next one. `plans` are by the end of a job's name, "" for all others."""

    plans: dict[str, list[dict[str, Any]]]

    def start(self, job: Job) -> None:
        job.fields["_steps"] = list(
            next((plan for end, plan in self.plans.items() if end and job.name.endswith(end)), self.plans.get("", []))
        )

    def look(self, job: Job) -> None:
        if job.stopped.is_set():
            job.to("Stopped")
        elif steps := job.fields["_steps"]:
            step = dict(steps.pop(0))
            job.to(step.pop("status"), **step)


@cache
def service_model() -> Any:
    return botocore.session.get_session().get_service_model("sagemaker")


class SageMaker:
    """The service's state and operations.

    calls       (operation, name) of every request that arrived
    not_passed  roles that who asks may not pass to SageMaker
    not_trusted roles that SageMaker may not take
    interfere   called with the operation and `before` or `after` it acts; may raise Refusal or Reset
    """

    def __init__(self, executor: Executor, host: "Host | None" = None) -> None:
        from tests.aws.sagemaker.endpoints import Endpoints  # which need this module's refusals
        from tests.aws.sagemaker.hosts import NoHost
        from tests.aws.sagemaker.registry import ModelPackages
        from tests.aws.sagemaker.warm_pools import WarmPools

        self.executor, self.registry, self.warm_pools = executor, ModelPackages(), WarmPools()
        self.jobs: dict[tuple[str, str], Job] = {}
        executor.jobs = self.jobs
        self.models: dict[str, dict[str, Any]] = {}
        self.hosting = Endpoints(self.models, host or NoHost())
        self.calls: list[tuple[str, str]] = []
        self.not_passed: set[str] = set()
        self.not_trusted: set[str] = set()
        self.interfere: Callable[[str, str], None] = lambda _operation, _phase: None
        self._lock = threading.RLock()

    def answer(self, operation: str, request: dict[str, Any]) -> Mapping[str, Any]:
        """Return the response to a request. Raise Refusal."""
        with self._lock:
            self.calls.append((operation, str(next(iter(request.values()), ""))))
            self.interfere(operation, "before")
            response = self._act(operation, request)
            self.interfere(operation, "after")
            return response

    def _act(self, operation: str, request: dict[str, Any]) -> Mapping[str, Any]:
        if operation not in service_model().operation_names:
            raise Refusal("UnknownOperationException", operation)
        if problems := find_problems(service_model(), operation, request):
            raise Refusal("ValidationException", f"{len(problems)} validation error(s) detected: {'; '.join(problems)}")
        if operation.startswith("Create"):
            self._require_role(request)
        for kind in KINDS:
            for verb, act in (("Create", self._create), ("Describe", self._describe), ("Stop", self._stop)):
                if operation == f"{verb}{kind.resource}":
                    return act(kind, request)
            if operation == f"List{kind.resource}s":
                return self._list(kind, request)
        other = {
            "ListTags": self._list_tags,
            "ListTrainingJobsForHyperParameterTuningJob": self._list_trials,
            "CreateModel": self._create_model,
            "DescribeModel": self._describe_model,
            "DeleteModel": self._delete_model,
            **self.registry.operations,
            **self.hosting.operations,
        }
        if operation not in other:
            raise Refusal("UnknownOperationException", f"the stand-in does not know {operation}")
        return other[operation](request)

    def _require_role(self, request: dict[str, Any]) -> None:
        """Refuse a role as AWS does: IAM one that may not be passed, then SageMaker one that does not trust it."""
        definitions = (request, request.get("TrainingJobDefinition", {}), *request.get("TrainingJobDefinitions", ()))
        roles = {each.get("RoleArn") or each.get("ExecutionRoleArn") for each in definitions}
        for role in roles & self.not_passed:
            user = f"arn:aws:sts::{ACCOUNT}:assumed-role/dagster/session"
            words = f"User: {user} is not authorized to perform: iam:PassRole on resource: {role}"
            raise Refusal(
                "AccessDeniedException", f"{words} because no identity-based policy allows the iam:PassRole action"
            )
        for role in roles & self.not_trusted:
            words = (
                "Please ensure that the role exists and allows principal 'sagemaker.amazonaws.com' to assume the role."
            )
            raise Refusal("ValidationException", f"Could not assume role {role}. {words}")

    def job(self, kind: JobKind, name: str) -> Job:
        """Return a job. Raise Refusal in the words of the service, which are not those of its model."""
        if (kind.resource, name) not in self.jobs:
            raise Refusal("ValidationException", f"Could not find requested job with name: {name}")
        return self.jobs[kind.resource, name]

    def _create(self, kind: JobKind, request: dict[str, Any]) -> Mapping[str, Any]:
        job = Job(kind, request)
        if (kind.resource, job.name) in self.jobs:
            raise Refusal("ResourceInUse", f"Job name must be unique within an AWS account and region: {job.name}")
        if "ModelName" in request:
            job.fields["_model"] = self._describe_model(request)
        job.to("InProgress", CreationTime=time.time(), **{f"{kind.resource}Arn": job.arn})
        self.jobs[kind.resource, job.name] = job
        if kind is TRAINING:
            self.warm_pools.take(job, self.jobs.values())
        self.executor.start(job)
        return {f"{kind.resource}Arn": job.arn}

    def _describe(self, kind: JobKind, request: dict[str, Any]) -> Mapping[str, Any]:
        job = self.job(kind, request[kind.name_field])
        self.executor.look(job)
        known = service_model().operation_model(f"Describe{kind.resource}").output_shape.members
        pool = self.warm_pools.status(job, self.jobs.values())
        fields = {**job.request, **job.fields, **({"WarmPoolStatus": pool} if pool else {})}
        return {name: value for name, value in fields.items() if name in known}

    def _stop(self, kind: JobKind, request: dict[str, Any]) -> Mapping[str, Any]:
        job = self.job(kind, request[kind.name_field])
        if job.status not in ("InProgress", "Stopping"):
            raise Refusal("ValidationException", f"The request was rejected because the job is in status {job.status}.")
        job.to("Stopping")
        job.stopped.set()
        return {}

    def _list(self, kind: JobKind, request: dict[str, Any]) -> Mapping[str, Any]:
        """Answer one page, of two jobs at most: whoever lists has to go on."""
        names = [
            name
            for resource, name in self.jobs
            if resource == kind.resource and request.get("NameContains", "") in name
        ]
        wanted = request.get("StatusEquals")
        found = [self.jobs[kind.resource, name] for name in names]
        found = [job for job in found if wanted in (None, job.status)]
        start = int(request.get("NextToken", "0"))
        known = service_model().shape_for(f"{kind.resource}Summary").members
        page = [
            {name: value for name, value in {**job.request, **job.fields}.items() if name in known}
            for job in found[start : start + 2]
        ]
        more = {"NextToken": str(start + 2)} if start + 2 < len(found) else {}
        return {f"{kind.resource}Summaries": page, **more}

    def _list_trials(self, request: dict[str, Any]) -> Mapping[str, Any]:
        """Answer one page of a tuning job's training jobs, of two at most."""
        trials = self.job(TUNING, request["HyperParameterTuningJobName"]).trials
        found = [trial for trial in trials if request.get("StatusEquals") in (None, trial.status)]
        start = int(request.get("NextToken", "0"))
        known = service_model().shape_for("HyperParameterTrainingJobSummary").members
        page = [
            {name: value for name, value in {**trial.request, **trial.fields}.items() if name in known}
            for trial in found[start : start + 2]
        ]
        more = {"NextToken": str(start + 2)} if start + 2 < len(found) else {}
        return {"TrainingJobSummaries": page, **more}

    def _list_tags(self, request: dict[str, Any]) -> Mapping[str, Any]:
        for job in self.jobs.values():
            if job.arn == request["ResourceArn"]:
                return {"Tags": job.request.get("Tags", [])}
        raise Refusal("ValidationException", f"Could not find {request['ResourceArn']}")

    def _create_model(self, request: dict[str, Any]) -> Mapping[str, Any]:
        name = request["ModelName"]
        if name in self.models:
            raise Refusal("ValidationException", f"Cannot create already existing model {name}.")
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/{name}"
        self.models[name] = {**request, "ModelArn": arn, "CreationTime": time.time()}
        return {"ModelArn": arn}

    def _describe_model(self, request: dict[str, Any]) -> Mapping[str, Any]:
        if request["ModelName"] not in self.models:
            raise Refusal("ValidationException", f"Could not find model {request['ModelName']}.")
        return {name: value for name, value in self.models[request["ModelName"]].items() if name != "Tags"}

    def _delete_model(self, request: dict[str, Any]) -> Mapping[str, Any]:
        self._describe_model(request)
        self.hosting.require_unused(request["ModelName"])
        del self.models[request["ModelName"]]
        return {}


def _handler(service: SageMaker) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one write: the second would wait 40 ms for the client to confirm the first

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if "X-Amz-Target" not in self.headers:
                self._invoke(body)
                return
            operation = self.headers["X-Amz-Target"].partition(".")[2]
            try:
                self._send(200, json.dumps(service.answer(operation, json.loads(body)), default=_plain).encode())
            except Refusal as error:
                answer = {"__type": error.code, "message": str(error)}
                self._send(error.status, json.dumps(answer).encode())
            except Reset:
                self.close_connection = True

        def _invoke(self, body: bytes) -> None:
            """Answer a request to the runtime, which has an address for each endpoint."""
            _, part, name, action = self.path.split("/")
            assert (part, action) == ("endpoints", "invocations"), self.path
            status, headers, content = service.hosting.invoke(name, body, dict(self.headers))
            self._send(status, content, headers)

        def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {"Content-Type": "application/x-amz-json-1.1"}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Keep the tests' output clean."""

    return Handler


def _plain(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else str(value)


def epoch(seconds: float) -> float:
    """Return a moment as the service writes it: seconds since 2026-01-01."""
    return datetime(2026, 1, 1, tzinfo=UTC).timestamp() + seconds


@contextmanager
def running_sagemaker(executor: Executor, host: "Host | None" = None) -> Iterator[tuple[SageMaker, str]]:
    """Serve on a free port of the loopback interface. Yield the service and its address. `host`: of endpoints' servers."""
    service = SageMaker(executor, host)
    with serving_sagemaker(service) as address:
        yield service, address


@contextmanager
def serving_sagemaker(service: SageMaker) -> Iterator[str]:
    """Serve what is there, on a free port. Yield the address. At the end the service remains, and nothing runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(service))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        service.executor.close()
        service.hosting.close()
        server.shutdown()
        server.server_close()
        thread.join()
