"""The template's policies, held against the calls that were really made."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient
from cfnlint.decode import cfn_yaml

from resources.settings import PROJECT
from tests.aws.crawlers import CRAWLS
from tests.aws.sagemaker.running import JOBS, MODEL_ROLE
from tests.aws.services import REGION

TEMPLATE = PROJECT / "infra" / "stack.yaml"
ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Call:
    """An action on a resource, with the values that conditions ask for."""

    action: str
    resource: str
    context: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass
class Recording:
    """What the orchestrator asked AWS for, and what SageMaker did in the name of the jobs' role.

    requests   of the orchestrator to S3, each as its operation and its key or prefix
    creates    requests to SageMaker that make something, or change it, each as its operation and its parameters
    """

    orchestrator: list[Call] = field(default_factory=list)
    jobs: list[Call] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    creates: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)


@contextmanager
def recorded_calls(stack: str) -> Iterator[Recording]:
    """Record each call that AWS's libraries make in this process, as one of a stack: later calls about a query do not name its workgroup."""
    recording, send = Recording(), BaseClient._make_api_call

    def record(self: BaseClient, operation: str, parameters: Mapping[str, Any]) -> Any:
        if self.meta.config.user_agent_extra == CRAWLS:
            return send(self, operation, parameters)
        is_job, service = self.meta.config.user_agent_extra == JOBS, self.meta.service_model.service_name
        role = recording.jobs if is_job else recording.orchestrator
        role += actions_of(service, operation, parameters, stack)
        if service == "s3" and not is_job:
            recording.requests.append((operation, str(parameters.get("Key") or parameters.get("Prefix"))))
        if service == "sagemaker" and operation.startswith(("Create", "Update")):
            recording.creates.append((operation, parameters))
        return send(self, operation, parameters)

    with patch.object(BaseClient, "_make_api_call", record):
        yield recording


def actions_of(service: str, operation: str, parameters: Mapping[str, Any], stack: str) -> list[Call]:
    """Return what a call of a stack needs to be allowed. Raise KeyError for a call that is not known here."""
    if service == "s3":
        return _s3(operation, parameters)
    if service == "glue":
        return _glue(operation, parameters)
    if service == "athena":
        return [
            Call(
                f"athena:{operation}",
                f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{stack}",
            )
        ]
    if service == "logs":
        group = parameters["logGroupName"]
        return [Call(f"logs:{operation}", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:any")]
    if service in _BESIDE_ENDPOINTS:
        return _BESIDE_ENDPOINTS[service](operation, parameters)
    return _sagemaker(operation, parameters)


def _autoscaling(operation: str, parameters: Mapping[str, Any]) -> list[Call]:
    arn, context = f"arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/any", {}
    if not operation.startswith("Describe"):  # these take no resource
        context = {"application-autoscaling:service-namespace": parameters["ServiceNamespace"]}
    calls = [Call(f"application-autoscaling:{operation}", arn if context else "*", context)]
    if operation == "RegisterScalableTarget":  # the first of an account makes the role that scales
        service = "sagemaker.application-autoscaling.amazonaws.com"
        role = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{service}/any"
        calls.append(Call("iam:CreateServiceLinkedRole", role, {"iam:AWSServiceName": service}))
    return calls


def _cloudwatch(operation: str, parameters: Mapping[str, Any]) -> list[Call]:
    if "Dashboard" in operation:  # of the account, in no region
        names = parameters.get("DashboardNames") or [parameters["DashboardName"]]
        return [Call(f"cloudwatch:{operation}", f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{name}") for name in names]
    names = parameters.get("AlarmNames") or [parameters.get("AlarmName")]
    if operation in ("GetMetricStatistics", "PutMetricData"):  # these take no resource
        return [Call(f"cloudwatch:{operation}", "*")]
    return [Call(f"cloudwatch:{operation}", f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}") for name in names]


def _sns(operation: str, parameters: Mapping[str, Any]) -> list[Call]:
    return [Call(f"sns:{operation}", parameters["TopicArn"])]


def _runtime(operation: str, parameters: Mapping[str, Any]) -> list[Call]:
    return [
        Call(f"sagemaker:{operation}", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{parameters['EndpointName']}")
    ]


_BESIDE_ENDPOINTS = {
    "application-autoscaling": _autoscaling,
    "cloudwatch": _cloudwatch,
    "sns": _sns,
    "sagemaker-runtime": _runtime,
}

_S3_ACTIONS = {
    "ListObjectsV2": "ListBucket",
    "HeadObject": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
}


def _s3(operation: str, parameters: Mapping[str, Any]) -> list[Call]:
    bucket = f"arn:aws:s3:::{parameters['Bucket']}"
    if operation == "ListObjectsV2":
        return [Call("s3:ListBucket", bucket)]
    if operation == "GetBucketLocation":
        return [Call("s3:GetBucketLocation", bucket)]
    if operation == "DeleteObjects":
        return [Call("s3:DeleteObject", f"{bucket}/{each['Key']}") for each in parameters["Delete"]["Objects"]]
    target = Call(f"s3:{_S3_ACTIONS.get(operation, operation)}", f"{bucket}/{parameters['Key']}")
    if operation == "CopyObject":
        source = parameters["CopySource"]
        return [
            Call("s3:GetObject", f"arn:aws:s3:::{source['Bucket']}/{source['Key']}"),
            Call("s3:PutObject", target.resource),
        ]
    return [target]


def _glue(operation: str, parameters: Mapping[str, Any]) -> list[Call]:
    arn = f"arn:aws:glue:{REGION}:{ACCOUNT}"
    if operation in ("GetCrawler", "StartCrawler"):
        return [Call(f"glue:{operation}", f"{arn}:crawler/{parameters['Name']}")]
    name = parameters.get("TableName") or parameters.get("Name") or parameters["TableInput"]["Name"]
    database = parameters["DatabaseName"]
    resources = (f"{arn}:catalog", f"{arn}:database/{database}", f"{arn}:table/{database}/{name}")
    return [Call(f"glue:{operation}", resource) for resource in resources]


def _sagemaker(operation: str, parameters: Mapping[str, Any]) -> list[Call]:
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
    if operation in ("ListTags", "AddTags"):
        return [Call(f"sagemaker:{operation}", parameters["ResourceArn"])]
    if operation == "ListTrainingJobsForHyperParameterTuningJob":
        name = parameters["HyperParameterTuningJobName"]
        return [Call(f"sagemaker:{operation}", f"{arn}:hyper-parameter-tuning-job/{name}")]
    if operation.startswith("List"):  # no resource: of the whole account
        return [Call(f"sagemaker:{operation}", "*")]
    for pattern, read in (("Endpoint", _endpoint), ("ModelPackage", _registry), ("Model$|Transform", _transform)):
        if re.search(pattern, operation):
            return read(operation, parameters, arn)
    resource = re.sub("^(Create|Describe|Stop)", "", operation)
    kinds = {"ProcessingJob": "processing-job", "TrainingJob": "training-job"}
    kind, name = (
        (kinds | {"HyperParameterTuningJob": "hyper-parameter-tuning-job"})[resource],
        parameters[f"{resource}Name"],
    )
    call = Call(f"sagemaker:{operation}", f"{arn}:{kind}/{name}")
    if not operation.startswith("Create"):
        return [call]
    parameters = parameters.get("TrainingJobDefinitions", [parameters])[0]
    machines = parameters.get("ResourceConfig") or parameters["ProcessingResources"]["ClusterConfig"]
    isolated = parameters.get("EnableNetworkIsolation") or parameters.get("NetworkConfig", {}).get(
        "EnableNetworkIsolation"
    )
    context = {
        "sagemaker:NetworkIsolation": "true" if isolated else "false",
        "sagemaker:InstanceTypes": [machines["InstanceType"]],
        "sagemaker:MaxRuntimeInSeconds": parameters["StoppingCondition"]["MaxRuntimeInSeconds"],
    }
    return [
        Call(call.action, call.resource, context),
        Call("sagemaker:AddTags", call.resource),
        Call("iam:PassRole", parameters["RoleArn"], {"iam:PassedToService": "sagemaker.amazonaws.com"}),
    ]


def _endpoint(operation: str, parameters: Mapping[str, Any], arn: str) -> list[Call]:
    """Return what a call about an endpoint, or its configuration, needs. To point an endpoint at a configuration takes both."""
    endpoint = f"{arn}:endpoint/{parameters.get('EndpointName')}"
    config = f"{arn}:endpoint-config/{parameters.get('EndpointConfigName')}"
    about = [each for each, name in ((endpoint, "EndpointName"), (config, "EndpointConfigName")) if name in parameters]
    variants = (*parameters.get("ProductionVariants", ()), *parameters.get("ShadowProductionVariants", ()))
    types = [each["InstanceType"] for each in variants if "InstanceType" in each]
    context = {"sagemaker:InstanceTypes": types} if types else {}
    calls = [Call(f"sagemaker:{operation}", each, context) for each in about]
    return [*calls, *(Call("sagemaker:AddTags", each) for each in about[:1] if operation.startswith("Create"))]


def _transform(operation: str, parameters: Mapping[str, Any], arn: str) -> list[Call]:
    """Return what a call about a transform job or its model needs. The role is passed with the model."""
    of_model = operation.endswith("Model")
    resource = (
        f"{arn}:model/{parameters['ModelName']}"
        if of_model
        else f"{arn}:transform-job/{parameters['TransformJobName']}"
    )
    if not operation.startswith("Create"):
        return [Call(f"sagemaker:{operation}", resource)]
    tag = Call("sagemaker:AddTags", resource)
    if not of_model:
        context = {"sagemaker:InstanceTypes": [parameters["TransformResources"]["InstanceType"]]}
        return [Call(f"sagemaker:{operation}", resource, context), tag]
    isolation = {"sagemaker:NetworkIsolation": "true" if parameters.get("EnableNetworkIsolation") else "false"}
    passed = Call("iam:PassRole", parameters["ExecutionRoleArn"], {"iam:PassedToService": "sagemaker.amazonaws.com"})
    return [Call(f"sagemaker:{operation}", resource, isolation), tag, passed]


def _registry(operation: str, parameters: Mapping[str, Any], arn: str) -> list[Call]:
    group = f"{arn}:model-package-group/{parameters.get('ModelPackageGroupName')}"
    if operation == "CreateModelPackageGroup":
        return [Call(f"sagemaker:{operation}", group), Call("sagemaker:AddTags", group)]
    if operation == "CreateModelPackage":
        package = f"{arn}:model-package/{parameters['ModelPackageGroupName']}/any"
        return [Call(f"sagemaker:{operation}", package), Call(f"sagemaker:{operation}", group)]
    return [Call(f"sagemaker:{operation}", parameters.get("ModelPackageArn") or parameters["ModelPackageName"])]


# --- policies


@dataclass(frozen=True)
class Policies:
    """The statements of the orchestrator, also about endpoints, of the jobs and of endpoints' models, with the template's parameters filled in."""

    orchestrator: Sequence[Mapping[str, Any]]
    endpoints: Sequence[Mapping[str, Any]]
    jobs: Sequence[Mapping[str, Any]]
    models: Sequence[Mapping[str, Any]]


def read_policies(parameters: Mapping[str, Any]) -> Policies:
    """Return the template's policies. `parameters` are values of its parameters and attributes, as `Key.Arn`, and names of conditions that hold."""
    template = cfn_yaml.load(str(TEMPLATE))
    defaults = {name: each.get("Default", "") for name, each in template["Parameters"].items()}
    pseudo = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::NoValue": None}
    values = defaults | pseudo | {"ModelRole.Arn": MODEL_ROLE} | dict(parameters)
    resources = template["Resources"]
    orchestrator = resources["OrchestratorPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    endpoints = resources["EndpointPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    jobs = resources["JobRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    models = resources["ModelRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    return Policies(*(_fill(each, values) for each in (orchestrator, endpoints, jobs, models)))


def _fill(node: Any, values: Mapping[str, Any]) -> Any:
    """Evaluate Ref, Fn::GetAtt, Fn::Sub and Fn::If."""
    if isinstance(node, list):
        return [filled for each in node if (filled := _fill(each, values)) is not None]
    if not isinstance(node, dict):
        return node
    if "Ref" in node or "Fn::GetAtt" in node:
        return values[node.get("Ref") or ".".join(node["Fn::GetAtt"])]
    if "Fn::If" in node:
        condition, then, otherwise = node["Fn::If"]
        return _fill(then if values.get(condition) else otherwise, values)
    if "Fn::Sub" in node:
        text, more = node["Fn::Sub"] if isinstance(node["Fn::Sub"], list) else (node["Fn::Sub"], {})
        known = {**values, **_fill(more, values)}
        return re.sub(r"\$\{([\w:.]+)\}", lambda found: str(known[found[1]]), text)
    return {key: _fill(value, values) for key, value in node.items()}


def allowing_statement(statements: Sequence[Mapping[str, Any]], call: Call) -> str:
    """Return the Sid of the statement that allows a call, or "" if none does."""
    return next((str(each["Sid"]) for each in statements if _allows(each, call)), "")


def _allows(statement: Mapping[str, Any], call: Call) -> bool:
    actions, resources = statement["Action"], statement["Resource"]
    return (
        call.action in ([actions] if isinstance(actions, str) else actions)
        and any(
            fnmatchcase(call.resource, pattern)
            for pattern in ([resources] if isinstance(resources, str) else resources)
        )
        and all(
            _holds(operator, call.context.get(key), wanted)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _holds(operator: str, found: Any, wanted: Any) -> bool:
    if operator == "Null":
        return (found is None) is bool(wanted == "true")
    if found is None:  # as AWS has it: of no values, all are equal
        return operator.startswith("ForAllValues:")
    if operator == "NumericLessThanEquals":
        return float(found) <= float(wanted)
    if operator == "ForAllValues:StringEquals":
        return set(found) <= set(wanted.split(",") if isinstance(wanted, str) else wanted)
    return str(found) in ([wanted] if isinstance(wanted, str) else wanted)
