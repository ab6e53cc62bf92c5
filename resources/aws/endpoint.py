"""Endpoints on SageMaker: the champion behind the managed image's own server.

A deployment makes a model and a configuration under names made of what they say, points the endpoint at the configuration, waits until it answers,
and only then removes those of before. SageMaker keeps the old machines until the new ones answer, and goes back to them if they do not. Every
call looks first at what is there, so that one that broke off anywhere is made up for by the next.
"""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copyfileobj
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from churn_model.errors import listed, problem
from churn_model.models.bundle_file import BUNDLE
from resources.aws.bucket_region import refuse_bucket_elsewhere
from resources.aws.endpoint_calls import Description, EndpointCalls, share_of, weighs
from resources.aws.endpoint_dashboard import EndpointDashboard
from resources.aws.endpoint_machines import add_machines, count_machines, find_short, report_unlike
from resources.aws.endpoint_requests import (
    ATTRIBUTE_OF_MODEL,
    EndpointPlan,
    config_of,
    endpoint_name,
    is_made_for,
    read_deployed,
)
from resources.aws.endpoint_scaling import EndpointAlarms, EndpointScaling, metric_dimensions
from resources.aws.image import check_image, find_managed_image
from resources.aws.job_requests import JobOptions
from resources.aws.jobs.clock import Clock, SystemClock
from resources.aws.jobs.limits import find_problems
from resources.aws.jobs.models import Models
from resources.aws.jobs.names import check_stack_name
from resources.aws.lake import S3Lake
from resources.aws.session import AwsSession, aws_errors
from resources.aws.transform import pack_model
from resources.catalog.names import ENDPOINT, versions_prefix
from resources.errors import EndpointError, StepFailed
from resources.ports.endpoint import (
    CHAMPION,
    IN_SERVICE,
    Candidate,
    Deployment,
    Endpoint,
    EndpointAnswer,
    Served,
    no_endpoint,
)
from resources.settings import PROJECT

_MEGABYTE = 1 << 20
_HOUR, _DAY = 3_600, 86_400
_MOST_HOURS = 720  # that CloudWatch is asked for one by one; it answers 1,440 at most
_CLOCKS_DIFFER = 60.0  # seconds
_GONE = frozenset({"Failed", "OutOfService"})  # nothing answers, and nothing can be updated
_SILENT = _GONE | {"Creating", "Deleting"}


class SageMakerEndpoint(Endpoint):
    """Serves each dataset's champion on an endpoint `<stack>-<dataset>`."""

    session: AwsSession
    lake: S3Lake
    stack: str
    role: str  # ARN of the role that the models take
    image: str = ""  # as the runner's
    options: JobOptions = JobOptions()
    code: str = str(PROJECT)
    _clock: Clock = PrivateAttr(default_factory=SystemClock)

    def deploy(self, deployment: Deployment) -> Served:
        plan = self._plan(deployment)
        _require_within_limits(self._sagemaker, plan)
        calls, scaling = self._calls(plan.endpoint), EndpointScaling(self.session, plan.endpoint)
        found = self._remove_broken(calls, calls.settle())
        is_new = found is None or found["EndpointConfigName"] != plan.name
        if found is None or is_new:
            found = self._replace(plan, calls, found)
        unscaled = scaling.remove(kept=plan.scaled)  # before the spec counts its machines
        changes = [is_new, unscaled, self._set_weights(plan, calls, found), scaling.apply(plan)]
        changes += [each(self.session, plan.endpoint).apply(plan) for each in (EndpointAlarms, EndpointDashboard)]
        self._remove_made(plan.endpoint, kept=plan.name)
        served = self.find(deployment.dataset.name)
        if served is None or (served.version, served.candidate) != (deployment.version, deployment.candidate):
            raise EndpointError(_changed_meanwhile(plan.endpoint))
        return Served(**{**vars(served), "is_new": any(changes)})

    def delete(self, dataset: str, *, unchanged_since: float | None = None) -> bool:
        endpoint = endpoint_name(check_stack_name(self.stack), dataset)
        calls = self._calls(endpoint)
        if unchanged_since is not None:  # before its scaling is removed, and again right before itself
            calls.settle_unchanged(unchanged_since)
        scaled = EndpointScaling(self.session, endpoint).remove()  # before the machines that it is about
        beside = [each(self.session, endpoint).remove() for each in (EndpointAlarms, EndpointDashboard)]
        deleted = calls.delete(unchanged_since)
        return any([scaled, *beside, deleted, self._remove_made(endpoint, kept="")])

    def find(self, dataset: str) -> Served | None:
        endpoint = endpoint_name(check_stack_name(self.stack), dataset)
        calls = self._calls(endpoint)
        found = calls.describe()
        if found is None:
            return None
        answers = found["EndpointStatus"] not in _SILENT
        models = calls.describe_models(found["EndpointConfigName"]) if answers else {}
        version, model = read_deployed(models.get(CHAMPION, {}))
        return Served(
            name=endpoint,
            status=str(found["EndpointStatus"]),
            version=version,
            model=model,
            since=found["LastModifiedTime"].timestamp(),
            candidate=_read_candidate(found, models),
            link=calls.link,
            instances=sum(each.get("CurrentInstanceCount") or 0 for each in found.get("ProductionVariants", ())),
            dashboard=EndpointDashboard(self.session, endpoint).link,
        )

    def ask(self, dataset: str, body: bytes, *, content_type: str, accept: str, variant: str = "") -> EndpointAnswer:
        from botocore.exceptions import ClientError

        endpoint = endpoint_name(check_stack_name(self.stack), dataset)
        with aws_errors(EndpointError, f"an answer of the endpoint {endpoint}"):
            try:
                answer = self.session.client("sagemaker-runtime").invoke_endpoint(
                    EndpointName=endpoint,
                    Body=body,
                    ContentType=content_type,
                    Accept=accept,
                    **({"TargetVariant": variant} if variant else {}),
                )
            except ClientError as error:
                if words := _refusal(error.response):
                    expected = f"an answer of the endpoint {endpoint}"
                    raise EndpointError(problem(expected=expected, found=words, todo="correct the request")) from error
                if f"Endpoint {endpoint} " in str(error) and "not found" in str(error):
                    raise EndpointError(no_endpoint(dataset)) from error
                raise
            content = answer["Body"].read()
        attributes = dict(part.partition("=")[::2] for part in answer.get("CustomAttributes", "").split(","))
        return EndpointAnswer(
            body=content, content_type=answer["ContentType"], model=attributes.get(ATTRIBUTE_OF_MODEL, "")
        )

    def count_requests(self, dataset: str, within: timedelta) -> float:
        endpoint, now = endpoint_name(check_stack_name(self.stack), dataset), datetime.now(UTC)
        found = self._calls(endpoint).describe() or {}
        variants = [each["VariantName"] for each in found.get("ProductionVariants", ())]
        total = 0.0
        with aws_errors(EndpointError, f"to know how often the endpoint {endpoint} was asked"):
            for variant in variants:
                counted = self.session.client("cloudwatch").get_metric_statistics(
                    Namespace="AWS/SageMaker",
                    MetricName="Invocations",
                    Dimensions=metric_dimensions(endpoint, variant),
                    StartTime=now - within,
                    EndTime=now + timedelta(minutes=1),  # of which the present one is part
                    Period=_HOUR if within <= timedelta(hours=_MOST_HOURS) else _DAY,
                    Statistics=["Sum"],
                )
                total += sum(point["Sum"] for point in counted["Datapoints"])
        return total

    @property
    def _sagemaker(self) -> Any:
        return self.session.client("sagemaker")

    def _calls(self, endpoint: str) -> EndpointCalls:
        log = dg.get_dagster_logger()
        return EndpointCalls(self.session, endpoint, self._clock, self.options, log.info)

    def _plan(self, deployment: Deployment) -> EndpointPlan:
        return EndpointPlan(
            deployment=deployment,
            stack=check_stack_name(self.stack),
            role=self.role,
            image=check_image(self.image) or find_managed_image(self._sagemaker.meta.region_name),
            options=self.options,
            uri_of_lake=self.lake.uri(""),
        )

    # Another deployment

    def _remove_broken(self, calls: EndpointCalls, found: Description | None) -> Description | None:
        """Remove an endpoint that was made and never answered. Raise EndpointError for one that can be neither updated nor is broken."""
        if found is None or found["EndpointStatus"] == IN_SERVICE:
            return found
        if found["EndpointStatus"] not in _GONE:
            raise EndpointError(
                problem(
                    expected=f"an endpoint {calls.endpoint} that can be updated",
                    found=f"{found['EndpointStatus']}: {found.get('FailureReason', 'no reason given')}",
                    todo="look at it in the console; deleting it and deploying again leaves a while without answers",
                )
            )
        EndpointScaling(self.session, calls.endpoint).remove()
        calls.delete()
        return None

    def _replace(self, plan: EndpointPlan, calls: EndpointCalls, found: Description | None) -> Description:
        """Make the models and the configuration, and have the endpoint serve them. If it does not come to that, remove them again."""
        was_serverless = found is not None and calls.is_serverless(found)
        if found is not None and plan.section.is_serverless and not was_serverless:
            raise EndpointError(
                problem(
                    expected="engine: instance, which SageMaker never changes to serverless",
                    found="engine: serverless",
                    todo=f"run `churn endpoint {plan.deployment.dataset.name} delete` first: nobody is answered meanwhile",
                )
            )
        refuse_bucket_elsewhere(self.session, self.lake.bucket)
        self._upload(plan)
        plan = replace(plan, counts=count_machines(plan, found))
        options = self.options
        models = Models(self._sagemaker, self._clock, options.shortest_pause, options.longest_pause)
        try:
            for request in plan.create_models:
                models.require(request)
        except StepFailed as error:
            raise EndpointError(str(error)) from error
        calls.create_config(plan.create_config)
        began = time.time()
        if found is None:
            calls.create(plan.create_endpoint)
        else:
            # The last step before it: a deployment that is refused earlier leaves what is served as it was, and scaled. AWS refuses
            # to change the type of machines that a policy counts.
            keeps_type = calls.instance_type(found["EndpointConfigName"]) == plan.section.instance_type
            EndpointScaling(self.session, plan.endpoint).remove(kept=plan.scaled if keeps_type else ())
            is_scaled = plan.section.scaling is not None and not was_serverless
            keeps_count = is_scaled and not find_short(plan.counts, found)
            calls.update(plan.update_endpoint(keeps_count=keeps_count))
        ended = calls.settle()
        if ended and ended["EndpointStatus"] == IN_SERVICE and ended["EndpointConfigName"] == plan.name:
            return ended
        asked = plan.deployment.model + (f", and {plan.candidate.model} beside it," if plan.candidate else "")
        failure = calls.explain(ended, asked, began - _CLOCKS_DIFFER)
        if ended and ended["EndpointConfigName"] != plan.name:
            self._remove_made(plan.endpoint, kept=ended["EndpointConfigName"])
        raise failure

    def _set_weights(self, plan: EndpointPlan, calls: EndpointCalls, found: Description) -> bool:
        """Set the weights, and how many machines there are, if they are not as asked, and read them back. Return whether they were set."""
        is_new, wanted = False, [each["DesiredWeightsAndCapacities"] for each in plan.set_weights]
        if not all(weighs(found, each) for each in wanted):
            found = add_machines(plan, calls, found)
        for request, each in zip(plan.set_weights, wanted, strict=True):
            if not weighs(found, each):
                calls.set_weights(request)
                found, is_new = calls.settle() or {}, True
        if not all(weighs(found, each) for each in wanted):
            raise report_unlike(plan, calls, found, wanted)
        return is_new

    def _upload(self, plan: EndpointPlan) -> None:
        """Put each bundle with today's code into an archive, by way of the disk, if it is not there."""
        for key, bundle_key in plan.archives.items():
            if self.lake.find(key):
                continue
            with tempfile.TemporaryDirectory(prefix="endpoint-") as folder:
                bundle, archive = Path(folder) / BUNDLE, Path(folder) / "archive"
                with self.lake.open(bundle_key) as source, bundle.open("wb") as target:
                    copyfileobj(source, target, _MEGABYTE)
                pack_model(bundle, Path(self.code), archive)
                self.lake.put(key, archive)

    def _remove_made(self, endpoint: str, *, kept: str) -> bool:
        """Remove the configurations, models and archives of an endpoint, but for those of one name. Return whether there were any."""
        dataset = endpoint.removeprefix(f"{self.stack}-")
        calls, options = self._calls(endpoint), self.options
        models = Models(self._sagemaker, self._clock, options.shortest_pause, options.longest_pause)
        names = [name for name in calls.list_made() if is_made_for(name, endpoint) and config_of(name) != kept]
        for name in names:
            calls.delete_config(name)
            models.remove(name)
        prefix = versions_prefix(dataset, ENDPOINT)
        stray = [
            entry.key for entry in self.lake.entries(prefix) if not entry.key.startswith(f"{prefix}{kept or ' '}/")
        ]
        if stray:
            self.lake.remove(stray)
        return bool(names or stray)


def _require_within_limits(sagemaker: Any, plan: EndpointPlan) -> None:
    """Raise EndpointError with all that SageMaker would refuse, before anything is sent."""
    service = sagemaker.meta.service_model
    requests: Sequence[tuple[str, Mapping[str, Any]]] = (
        *(("CreateModel", each) for each in plan.create_models),
        ("CreateEndpointConfig", plan.create_config),
        ("CreateEndpoint", plan.create_endpoint),
        ("UpdateEndpoint", plan.update_endpoint(keeps_count=True)),
    )
    problems = [
        f"{operation}: {text}" for operation, request in requests for text in find_problems(service, operation, request)
    ]
    if problems:
        raise EndpointError(listed(problems))


def _read_candidate(found: Description, models: Mapping[str, Mapping[str, Any]]) -> Candidate | None:
    """Return what an endpoint serves beside the champion, if it does."""
    name = next((each for each in models if each != CHAMPION), None)
    if name is None:
        return None
    in_shadow = any(each["VariantName"] == name for each in found.get("ShadowProductionVariants", ()))
    _, model = read_deployed(models[name])
    return Candidate(name=name, model=model, share=share_of(found, name), shadow=in_shadow)


def _refusal(response: Mapping[str, Any]) -> str:
    """Return the words with which a model's server has refused a request, "" if it was not the server."""
    text = response.get("OriginalMessage") or ""
    try:
        return str(json.loads(text)["error"]).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return str(text)


def _changed_meanwhile(endpoint: str) -> str:
    return problem(
        expected=f"the endpoint {endpoint} to serve what was deployed",
        found="something else, deployed meanwhile",
        todo="run the job again",
    )
