"""The requests that make an endpoint: its model, its configuration, itself. Their names are made of what they say.

A configuration cannot be changed, and one that is in use must not go: another model and another configuration have other names.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from churn_model.models.bundle_file import BUNDLE
from churn_model.spec.sections.endpoint import Endpoint as Section
from churn_model.steps.transform_variables import MODEL_CHARACTERS, REQUEST, to_variables
from resources.aws.image import expected_xgboost
from resources.aws.job_requests import ROOT, JobOptions
from resources.aws.jobs.names import DATASET_TAG, STACK_TAG
from resources.catalog.digests import digest_of_parts
from resources.catalog.names import ENDPOINT, versions_prefix
from resources.catalog.versions import restrict_dataset
from resources.ports.endpoint import CHAMPION, SHARE_DIGITS, Candidate, Deployment

_OF_CANDIDATE = "-candidate"
_ARCHIVES = (BUNDLE, "candidate.tar.gz")
SERVER = "churn_model.steps.endpoint:app"
CODE_FOLDER = "code"
WEIGHT = 1.0
ATTRIBUTE_OF_MODEL = "model_version"  # in what an answer says of itself
_MEGABYTES_OF_A_WORKER = 2048
_UNISOLATED = "serverless"  # in the names of models that may not be isolated, by which the roles' policy knows them


def endpoint_name(stack: str, dataset: str) -> str:
    """Return the name of the endpoint of a dataset: at most 8 + 12 characters and a hyphen."""
    return f"{stack}-{dataset}"


def is_made_for(name: str, endpoint: str) -> bool:
    """Return whether a model or a configuration of this name was made for an endpoint."""
    return re.fullmatch(rf"{endpoint}-({_UNISOLATED}-)?[0-9a-f]{{16}}({_OF_CANDIDATE})?", name) is not None


def config_of(name: str) -> str:
    """Return the name of the configuration that a model of this name, or a configuration, belongs to."""
    return name.removesuffix(_OF_CANDIDATE)


@dataclass(frozen=True, kw_only=True)
class EndpointPlan:
    """What an endpoint is made of, beside the lake.

    uri_of_lake   ends with `/`
    counts        of the machines that variants begin with; the section's for those that are not named
    """

    deployment: Deployment
    stack: str
    role: str
    image: str
    options: JobOptions
    uri_of_lake: str
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def section(self) -> Section:
        """What the spec says of the endpoint."""
        return self.deployment.dataset.endpoint or Section()

    @property
    def endpoint(self) -> str:
        """The endpoint's name."""
        return endpoint_name(self.stack, self.deployment.dataset.name)

    @cached_property
    def name(self) -> str:
        """The name of the champion's model and of the configuration: the endpoint's, and a digest of all that they say but for weights and counts."""
        containers = [self._container(model, "") for model in self._models.values()]
        said = (json.dumps(part, sort_keys=True) for part in (*containers, self._placement(), self._config("")))
        kind = f"{_UNISOLATED}-" if self.section.is_serverless else ""
        return f"{self.endpoint}-{kind}{digest_of_parts((self.deployment.version, *said))}"

    @property
    def prefix(self) -> str:
        """The prefix of the lake that holds the archives of the models."""
        return f"{versions_prefix(self.deployment.dataset.name, ENDPOINT)}{self.name}/"

    @property
    def archives(self) -> dict[str, str]:
        """The keys of the models' archives, and the key of the bundle that each is made from."""
        bundles = (self.deployment.bundle, self.deployment.candidate_bundle)
        return {f"{self.prefix}{name}": bundle for name, bundle in zip(_ARCHIVES, bundles, strict=True) if bundle}

    @property
    def create_models(self) -> list[dict[str, Any]]:
        """The requests for the models: each bundle with today's code, and today's policy in its environment."""
        return [
            {
                "ModelName": f"{self.name}{suffix}",
                "PrimaryContainer": self._container(model, f"{self.uri_of_lake}{archive}"),
                **self._placement(),
                "Tags": self.tags,
            }
            for (suffix, model), archive in zip(self._models.items(), self.archives, strict=True)
        ]

    @property
    def weights(self) -> dict[str, float]:
        """The weights of the variants that answer, the champion's first."""
        if self.candidate is None or self.candidate.shadow:
            return {CHAMPION: WEIGHT}
        return {CHAMPION: round(WEIGHT - self.candidate.share, SHARE_DIGITS), self.candidate.name: self.candidate.share}

    @property
    def scaled(self) -> list[str]:
        """The variants whose machines a policy counts: those that answer. A shadow has as many as the champion begins with."""
        return list(self.weights) if self.section.scaling else []

    @property
    def create_config(self) -> dict[str, Any]:
        """The request for the configuration."""
        config = self._config(self.name)
        for variant in config["ProductionVariants"]:
            variant["InitialVariantWeight"] = self.weights[variant["VariantName"]]
            if not self.section.is_serverless:
                variant["InitialInstanceCount"] = self.counts.get(variant["VariantName"], self.section.instances)
        return {"EndpointConfigName": self.name, **config, "Tags": self.tags}

    @property
    def create_endpoint(self) -> dict[str, Any]:
        """The request for the endpoint, if there is none."""
        return {"EndpointName": self.endpoint, "EndpointConfigName": self.name, "Tags": self.tags}

    def update_endpoint(self, *, keeps_count: bool) -> dict[str, Any]:
        """Return the request that changes the endpoint. `keeps_count`: of machines, which a policy has set; the weights are set as asked."""
        kept = {
            "RetainAllVariantProperties": True,
            "ExcludeRetainedVariantProperties": [
                {"VariantPropertyType": "DesiredWeight"},
                {"VariantPropertyType": "DataCaptureConfig"},
            ],
        }
        return {"EndpointName": self.endpoint, "EndpointConfigName": self.name, **(kept if keeps_count else {})}

    @property
    def set_weights(self) -> list[dict[str, Any]]:
        """The requests that set weights, and how many machines there are unless a policy does: the weights of all at once, the machines of one."""
        is_counted = not (self.section.scaling or self.section.is_serverless)
        count = {"DesiredInstanceCount": self.section.instances} if is_counted else {}
        champion, *others = ({"VariantName": name, "DesiredWeight": weight} for name, weight in self.weights.items())
        asked = [[{**champion, **count}, *others]]
        asked += [[{"VariantName": each["VariantName"], **count}] for each in others if count]
        return [{"EndpointName": self.endpoint, "DesiredWeightsAndCapacities": each} for each in asked]

    @property
    def tags(self) -> list[dict[str, str]]:
        """Of all that is made."""
        ours = {STACK_TAG: self.stack, DATASET_TAG: self.deployment.dataset.name, **self.options.tags}
        return [{"Key": key, "Value": value} for key, value in ours.items()]

    @property
    def candidate(self) -> Candidate | None:
        """What is deployed beside the champion."""
        return self.deployment.candidate

    @property
    def _models(self) -> dict[str, str]:
        """What the names of the models end with, and the version that each serves."""
        champion = {"": self.deployment.model}
        return champion | ({_OF_CANDIDATE: self.candidate.model} if self.candidate else {})

    def _container(self, model: str, archive: str) -> dict[str, Any]:
        request = {
            "version": self.deployment.version,
            "model": model,
            "xgboost": expected_xgboost(),
        }
        workers = max(1, self.section.memory_megabytes // _MEGABYTES_OF_A_WORKER)
        return {
            "Image": self.image,
            "ModelDataUrl": archive,
            "Environment": {
                "SAGEMAKER_SERVING_MODULE": SERVER,
                "PYTHONPATH": f"{ROOT}/model/{CODE_FOLDER}",
                # On machines the image starts one for each core. Each holds the model.
                **({"SAGEMAKER_MODEL_SERVER_WORKERS": str(workers)} if self.section.is_serverless else {}),
                **to_variables(restrict_dataset(self.deployment.dataset, "endpoint"), request, MODEL_CHARACTERS),
            },
        }

    def _placement(self) -> dict[str, Any]:
        """Return the role and the network. A serverless endpoint takes neither isolation nor a VPC."""
        options = self.options
        network = {"Subnets": options.subnets, "SecurityGroupIds": options.security_groups}
        isolated = {"EnableNetworkIsolation": True, **({"VpcConfig": network} if options.subnets else {})}
        return {"ExecutionRoleArn": self.role, **({} if self.section.is_serverless else isolated)}

    def _config(self, model: str) -> dict[str, Any]:
        section, key = self.section, self.options.kms_key
        machines: dict[str, Any] = {"InstanceType": section.instance_type}
        if section.is_serverless:
            sizes = {"MemorySizeInMB": section.memory_megabytes, "MaxConcurrency": section.most_at_once}
            machines = {"ServerlessConfig": sizes}
        champion = {"VariantName": CHAMPION, "ModelName": model, "InitialVariantWeight": WEIGHT, **machines}
        variants: dict[str, Any] = {"ProductionVariants": [champion]}
        if self.candidate:
            beside = {**champion, "VariantName": self.candidate.name, "ModelName": f"{model}{_OF_CANDIDATE}"}
            if self.candidate.shadow:  # of equal weight: of each request it gets a copy
                variants["ShadowProductionVariants"] = [{**beside, "InitialInstanceCount": section.instances}]
            else:
                variants["ProductionVariants"].append(beside)
        has_disk = key and not section.is_serverless
        return {
            **variants,
            **({"KmsKeyId": key} if has_disk else {}),
            **({"DataCaptureConfig": self._capture()} if section.capture else {}),
        }

    def _capture(self) -> dict[str, Any]:
        key = self.options.kms_key
        return {
            "EnableCapture": True,
            "InitialSamplingPercentage": self.section.capture_percent,
            "DestinationS3Uri": f"{self.uri_of_lake}{capture_prefix(self.deployment.dataset.name)}",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {
                "CsvContentTypes": ["text/csv"],
                "JsonContentTypes": ["application/json", "application/jsonlines"],
            },
            **({"KmsKeyId": key} if key else {}),
        }


def capture_prefix(dataset: str) -> str:
    """Return the prefix below which requests and answers are kept: all that the models' role may write below."""
    return f"jobs/captured/{dataset}/"


def read_deployed(model: Mapping[str, Any]) -> tuple[str, str]:
    """Return the versions of the deployment and of the model from the description of a model of ours; "" for another."""
    try:
        request = json.loads(model["PrimaryContainer"]["Environment"][REQUEST])
        return str(request["version"]), str(request["model"])
    except (KeyError, TypeError, ValueError):
        return "", ""
