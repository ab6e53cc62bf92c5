"""Endpoints of the stand-in: models, configurations, endpoints that walk their states, and a server for each that really answers.

A `Host` starts the server: the image's own, as a process, or the same application in this process. What would be wrong on an account, such as
the removal of a configuration that is in use, is refused, also where the service would let it pass and break later.
"""

import base64
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.aws.sagemaker.hosts import Answer, Answering, Fields, Host, NotAnswering
from tests.aws.sagemaker.service import ACCOUNT, REGION, Refusal, service_model

_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:"
_MOST_BYTES, _MOST_SERVERLESS_BYTES = 6_291_456, 4_000_000
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_TARGET = "X-Amzn-SageMaker-Target-Variant"


@dataclass
class Hosted:
    """An endpoint: what it serves, what it is to serve, and how many looks that takes."""

    config: str
    status: str
    pending: str = ""
    looks: int = 0
    servers: dict[str, Answering] = field(default_factory=dict)
    variants: list[Fields] = field(default_factory=list)
    wanted: list[Fields] = field(default_factory=list)
    shadows: list[Fields] = field(default_factory=list)
    failure: str = ""
    created: float = field(default_factory=time.time)
    modified: float = field(default_factory=time.time)
    invoked: int = 0

    def close(self) -> None:
        for server in self.servers.values():
            server.close()


class Endpoints:
    """Configurations and endpoints.

    looks      describe calls that a change takes
    allowed    asked before a server is started; False for a start that SageMaker itself fails
    """

    def __init__(self, models: dict[str, Fields], host: Host) -> None:
        self.models, self.host = models, host
        self.configs: dict[str, Fields] = {}
        self.endpoints: dict[str, Hosted] = {}
        self.looks = 2
        self.allowed: Callable[[str], bool] = lambda _model: True
        self._lock = threading.RLock()
        self._random = random.Random(1)  # who answers a request, by the weights

    @property
    def operations(self) -> Mapping[str, Callable[[Fields], Mapping[str, Any]]]:
        return {
            "CreateEndpointConfig": self._create_config,
            "DescribeEndpointConfig": self._describe_config,
            "DeleteEndpointConfig": self._delete_config,
            "ListEndpointConfigs": self._list_configs,
            "ListModels": self._list_models,
            "CreateEndpoint": self._create,
            "DescribeEndpoint": self._describe,
            "UpdateEndpoint": self._update,
            "UpdateEndpointWeightsAndCapacities": self._weigh,
            "DeleteEndpoint": self._delete,
        }

    def close(self) -> None:
        for hosted in self.endpoints.values():
            hosted.close()

    # Configurations

    def _create_config(self, request: Fields) -> Mapping[str, Any]:
        name = request["EndpointConfigName"]
        if name in self.configs:
            raise Refusal("ValidationException", f'Cannot create already existing endpoint configuration "{name}".')
        variants, shadows = request["ProductionVariants"], request.get("ShadowProductionVariants", ())
        if len({each["VariantName"] for each in (*variants, *shadows)}) < len(variants) + len(shadows):
            raise Refusal("ValidationException", "VariantName must be unique.")
        if shadows and (len(variants), len(shadows)) != (1, 1):
            raise Refusal("ValidationException", "A shadow variant needs one production variant, and is one.")
        if len(variants) + len(shadows) > 1 and any("ServerlessConfig" in each for each in (*variants, *shadows)):
            raise Refusal("ValidationException", "Serverless endpoints do not support multiple variants.")
        for variant in (*variants, *shadows):
            self._require_variant(request, variant)
        self.configs[name] = {**request, "CreationTime": time.time()}
        return {"EndpointConfigArn": f"{_ARN}endpoint-config/{name}"}

    def _require_variant(self, request: Fields, variant: Fields) -> None:
        if variant["ModelName"] not in self.models:
            raise Refusal("ValidationException", f'Could not find model "{variant["ModelName"]}".')
        model = self.models[variant["ModelName"]]
        if "ServerlessConfig" in variant:
            forbidden = [each for each in ("EnableNetworkIsolation", "VpcConfig") if model.get(each)]
            forbidden += [each for each in ("DataCaptureConfig", "KmsKeyId") if each in request]
            forbidden += [each for each in ("InstanceType", "InitialInstanceCount") if each in variant]
            if forbidden or variant["ServerlessConfig"]["MemorySizeInMB"] % 1024:
                raise Refusal("ValidationException", f"Serverless endpoints do not support {forbidden}.")
        elif not {"InstanceType", "InitialInstanceCount"} <= variant.keys():
            raise Refusal("ValidationException", "InstanceType and InitialInstanceCount are needed.")

    def _describe_config(self, request: Fields) -> Mapping[str, Any]:
        name = request["EndpointConfigName"]
        if name not in self.configs:
            raise Refusal("ValidationException", f'Could not find endpoint configuration "{name}".')
        arn = {"EndpointConfigArn": f"{_ARN}endpoint-config/{name}"}
        return {key: value for key, value in {**self.configs[name], **arn}.items() if key != "Tags"}

    def _delete_config(self, request: Fields) -> Mapping[str, Any]:
        self._describe_config(request)
        name = request["EndpointConfigName"]
        if any(name in (hosted.config, hosted.pending) for hosted in self.endpoints.values()):
            raise Refusal("ValidationException", f"the stand-in keeps configurations in use: {name}")
        del self.configs[name]
        return {}

    def require_unused(self, model: str) -> None:
        """Raise Refusal if a configuration names a model."""
        if any(model == variant["ModelName"] for config in self.configs.values() for variant in _variants(config)):
            raise Refusal("ValidationException", f"the stand-in keeps models in use: {model}")

    def _list_configs(self, request: Fields) -> Mapping[str, Any]:
        return _page(request, self.configs, "EndpointConfigs", "EndpointConfig")

    def _list_models(self, request: Fields) -> Mapping[str, Any]:
        return _page(request, self.models, "Models", "Model")

    # Endpoints

    def _hosted(self, request: Fields) -> Hosted:
        name = request["EndpointName"]
        if name not in self.endpoints:
            raise Refusal("ValidationException", f'Could not find endpoint "{_ARN}endpoint/{name}".')
        return self.endpoints[name]

    def _create(self, request: Fields) -> Mapping[str, Any]:
        name, config = request["EndpointName"], request["EndpointConfigName"]
        if name in self.endpoints:
            raise Refusal("ValidationException", f'Cannot create already existing endpoint "{_ARN}endpoint/{name}".')
        self._describe_config(request)
        self.endpoints[name] = Hosted(config, "Creating", config, self.looks, wanted=self._summaries(config))
        return {"EndpointArn": f"{_ARN}endpoint/{name}"}

    def _update(self, request: Fields) -> Mapping[str, Any]:
        hosted, config = self._require_settled(request), request["EndpointConfigName"]
        self._describe_config(request)
        wanted = self._summaries(config)
        if "CurrentServerlessConfig" in wanted[0] and "CurrentServerlessConfig" not in hosted.variants[0]:
            raise Refusal("ValidationException", "An endpoint of instances cannot be converted to serverless.")
        if request.get("RetainAllVariantProperties"):
            excluded = {each["VariantPropertyType"] for each in request.get("ExcludeRetainedVariantProperties", ())}
            before = {variant["VariantName"]: variant for variant in hosted.variants}
            for variant in wanted:
                for part in {"DesiredInstanceCount", "DesiredWeight"} - excluded:
                    if part in before.get(variant["VariantName"], ()):
                        variant[part] = before[variant["VariantName"]][part]
        hosted.status, hosted.pending, hosted.looks, hosted.wanted = "Updating", config, self.looks, wanted
        return {"EndpointArn": f"{_ARN}endpoint/{request['EndpointName']}"}

    def _weigh(self, request: Fields) -> Mapping[str, Any]:
        hosted = self._require_settled(request)
        if sum("DesiredInstanceCount" in each for each in request["DesiredWeightsAndCapacities"]) > 1:
            raise Refusal("ValidationException", "The capacity of one variant at a time.")
        hosted.wanted = [dict(variant) for variant in hosted.variants]
        for each in request["DesiredWeightsAndCapacities"]:
            (variant,) = [found for found in hosted.wanted if found["VariantName"] == each["VariantName"]]
            variant |= each
        hosted.status, hosted.looks = "Updating", self.looks
        return {"EndpointArn": f"{_ARN}endpoint/{request['EndpointName']}"}

    def _require_settled(self, request: Fields) -> Hosted:
        hosted = self._hosted(request)
        if hosted.status != "InService":
            raise Refusal("ValidationException", f'Cannot update in-progress endpoint "{request["EndpointName"]}".')
        return hosted

    def _delete(self, request: Fields) -> Mapping[str, Any]:
        hosted = self._hosted(request)
        if hosted.status not in ("InService", "Failed", "OutOfService"):
            raise Refusal("ValidationException", f'Cannot update in-progress endpoint "{request["EndpointName"]}".')
        hosted.status, hosted.looks = "Deleting", self.looks
        return {}

    def _describe(self, request: Fields) -> Mapping[str, Any]:
        hosted, name = self._hosted(request), request["EndpointName"]
        if hosted.status in ("Creating", "Updating", "Deleting"):
            hosted.looks -= 1
            if hosted.looks < 0:
                self._finish(name, hosted)
                hosted = self._hosted(request)
        description = {
            "EndpointName": name,
            "EndpointArn": f"{_ARN}endpoint/{name}",
            "EndpointConfigName": hosted.config,
            "EndpointStatus": hosted.status,
            "CreationTime": hosted.created,
            "LastModifiedTime": hosted.modified,
            "ProductionVariants": hosted.variants,
            **({"ShadowProductionVariants": hosted.shadows} if hosted.shadows else {}),
            **({"FailureReason": hosted.failure} if hosted.failure else {}),
        }
        unknown = description.keys() - service_model().operation_model("DescribeEndpoint").output_shape.members.keys()
        assert not unknown, unknown
        return description

    def _finish(self, name: str, hosted: Hosted) -> None:
        """End what is going on with an endpoint: its new server answers, or the old one stays."""
        if hosted.status == "Deleting":
            hosted.close()
            del self.endpoints[name]
            return
        hosted.modified, hosted.failure = time.time(), ""
        if hosted.pending:
            was_creating = hosted.status == "Creating"
            servers: dict[str, Answering] = {}
            try:
                for variant in _variants(self.configs[hosted.pending]):
                    if not self.allowed(variant["ModelName"]):
                        raise NotAnswering([])
                    servers[variant["VariantName"]] = self.host.start(name, self.models[variant["ModelName"]])
            except NotAnswering as error:
                self.host.put_lines(name, error.lines)
                for server in servers.values():
                    server.close()
                hosted.failure = (
                    "The primary container for production variant champion did not pass the ping health check. "
                    "Please check CloudWatch logs for this endpoint."
                )
                hosted.status, hosted.pending = "Failed" if was_creating else "InService", ""
                return
            hosted.close()
            hosted.servers, hosted.config, hosted.pending = servers, hosted.pending, ""
            hosted.shadows = [
                {**_summary(each), "CurrentWeight": each["InitialVariantWeight"]}
                for each in self.configs[hosted.config].get("ShadowProductionVariants", ())
            ]
        hosted.variants = hosted.wanted
        for variant in hosted.variants:
            variant |= {key.replace("Desired", "Current"): value for key, value in variant.items() if "Desired" in key}
        hosted.status = "InService"

    def _summaries(self, config: str) -> list[Fields]:
        return [_summary(variant) for variant in self.configs[config]["ProductionVariants"]]

    # Invocations

    def invoke(self, name: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Answer InvokeEndpoint as the runtime does: some headers go in, others come out, an error of the server is a ModelError."""
        with self._lock:
            hosted = self.endpoints.get(name)
            if hosted is None or not hosted.servers:
                return _error("ValidationError", 400, f"Endpoint {name} of account {ACCOUNT} not found.")
            is_serverless = "CurrentServerlessConfig" in hosted.variants[0]
            most = _MOST_SERVERLESS_BYTES if is_serverless else _MOST_BYTES
            if len(body) > most:
                return _error("ValidationError", 413, f"Request larger than {most} bytes")
            passed = ("Content-Type", "Accept", _ATTRIBUTES, _TARGET)
            if unknown := [each for each in headers if each.startswith("X-Amzn-SageMaker-") and each not in passed]:
                raise NotImplementedError(f"the stand-in does not know {unknown}")
            given = {key: headers[key] for key in passed if key != _TARGET and headers.get(key)}
            names = [each["VariantName"] for each in hosted.variants]
            weights = [each["CurrentWeight"] for each in hosted.variants]
            variant = headers.get(_TARGET) or self._random.choices(names, weights)[0]
            if variant not in names:
                return _error("ValidationError", 400, f"Variant {variant} of endpoint {name} not found.")
            for shadow in hosted.shadows:
                hosted.servers[shadow["VariantName"]].ask("POST", "/invocations", body, given)
                self.host.count(name, shadow["VariantName"])
            status, found, content = hosted.servers[variant].ask("POST", "/invocations", body, given)
            hosted.invoked += 1
            self.host.count(name, variant)
            if status != 200:
                words = content.decode()
                text = f"Received client error ({status}) from {variant} with message {json.dumps(words)}."
                return _error("ModelError", 424, text, OriginalStatusCode=status, OriginalMessage=words)
            self._capture(name, variant, hosted, body, content)
            out = {key: value for key, value in found.items() if key.lower() == _ATTRIBUTES.lower()}
            kind = next(value for key, value in found.items() if key.lower() == "content-type")
            return 200, {"Content-Type": kind, "x-Amzn-Invoked-Production-Variant": variant, **out}, content

    def _capture(self, name: str, variant: str, hosted: Hosted, body: bytes, content: bytes) -> None:
        settings = self.configs[hosted.config].get("DataCaptureConfig")
        if settings and hosted.invoked % round(100 / settings["InitialSamplingPercentage"]) == 0:
            data = {"endpointInput": body, "endpointOutput": content}
            captured = {
                key: {"data": base64.b64encode(value).decode(), "encoding": "BASE64"} for key, value in data.items()
            }
            uri = f"{settings['DestinationS3Uri'].rstrip('/')}/{name}/{variant}/2026/01/01/00/{hosted.invoked}.jsonl"
            self.host.capture(uri, json.dumps({"captureData": captured}).encode() + b"\n")


def _variants(config: Fields) -> list[Fields]:
    return [*config["ProductionVariants"], *config.get("ShadowProductionVariants", ())]


def _summary(variant: Fields) -> Fields:
    """Return how the description of an endpoint shows a variant that was just made."""
    machines: Fields = {"DesiredInstanceCount": variant.get("InitialInstanceCount")}
    if "ServerlessConfig" in variant:
        machines = {"CurrentServerlessConfig": variant["ServerlessConfig"]}
    return {"VariantName": variant["VariantName"], "DesiredWeight": variant["InitialVariantWeight"], **machines}


def _page(request: Fields, named: Mapping[str, Fields], field_: str, kind: str) -> Mapping[str, Any]:
    """Answer one page, of two at most: whoever lists has to go on."""
    names = sorted(name for name in named if request.get("NameContains", "") in name)
    start = int(request.get("NextToken", "0"))
    slug = "endpoint-config" if kind == "EndpointConfig" else "model"
    page = [
        {f"{kind}Name": name, f"{kind}Arn": f"{_ARN}{slug}/{name}", "CreationTime": named[name]["CreationTime"]}
        for name in names[start : start + 2]
    ]
    return {field_: page, **({"NextToken": str(start + 2)} if start + 2 < len(names) else {})}


def _error(code: str, status: int, message: str, **fields: Any) -> Answer:
    body = json.dumps({"message": message, "Message": message, **fields}).encode()
    return status, {"Content-Type": "application/json", "x-amzn-ErrorType": code}, body
