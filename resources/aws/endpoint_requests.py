"""The requests that make an endpoint: its model, its configuration, itself. Their names are made of what they say.

A configuration cannot be changed, and one that is in use must not go: another model and another configuration have other names.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
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
from resources.ports.endpoint import Deployment

VARIANT = "champion"
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
    return re.fullmatch(rf"{endpoint}-({_UNISOLATED}-)?[0-9a-f]{{16}}", name) is not None


@dataclass(frozen=True, kw_only=True)
class EndpointPlan:
    """What an endpoint is made of, beside the lake.

    uri_of_lake   ends with `/`
    """

    deployment: Deployment
    stack: str
    role: str
    image: str
    options: JobOptions
    uri_of_lake: str

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
        """The name of the model and of the configuration: the endpoint's, and a digest of all that they say."""
        said = (json.dumps(part, sort_keys=True) for part in (self._container(""), self._placement(), self._config("")))
        kind = f"{_UNISOLATED}-" if self.section.is_serverless else ""
        return f"{self.endpoint}-{kind}{digest_of_parts((self.deployment.version, *said))}"

    @property
    def prefix(self) -> str:
        """The prefix of the lake that holds the model's archive."""
        return f"{versions_prefix(self.deployment.dataset.name, ENDPOINT)}{self.name}/"

    @property
    def create_model(self) -> dict[str, Any]:
        """The request for the model: the bundle with today's code, and today's policy in its environment."""
        container = self._container(f"{self.uri_of_lake}{self.prefix}{BUNDLE}")
        return {"ModelName": self.name, "PrimaryContainer": container, **self._placement(), "Tags": self.tags}

    @property
    def create_config(self) -> dict[str, Any]:
        """The request for the configuration."""
        config = self._config(self.name)
        if not self.section.is_serverless:
            config["ProductionVariants"][0]["InitialInstanceCount"] = self.section.instances
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
    def set_weights(self) -> dict[str, Any]:
        """The request that sets weights, and how many machines there are unless a policy does."""
        count = (
            {}
            if self.section.scaling or self.section.is_serverless
            else {"DesiredInstanceCount": self.section.instances}
        )
        variant = {"VariantName": VARIANT, "DesiredWeight": WEIGHT, **count}
        return {"EndpointName": self.endpoint, "DesiredWeightsAndCapacities": [variant]}

    @property
    def tags(self) -> list[dict[str, str]]:
        """Of all that is made."""
        ours = {STACK_TAG: self.stack, DATASET_TAG: self.deployment.dataset.name, **self.options.tags}
        return [{"Key": key, "Value": value} for key, value in ours.items()]

    def _container(self, archive: str) -> dict[str, Any]:
        request = {
            "version": self.deployment.version,
            "model": self.deployment.model,
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
        variant = {"VariantName": VARIANT, "ModelName": model, "InitialVariantWeight": WEIGHT, **machines}
        has_disk = key and not section.is_serverless
        return {
            "ProductionVariants": [variant],
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
    """Return the prefix below which requests and answers are kept: `jobs/` is all that the jobs' role may write below."""
    return f"jobs/captured/{dataset}/"


def read_deployed(model: Mapping[str, Any]) -> tuple[str, str]:
    """Return the versions of the deployment and of the model from the description of a model of ours; "" for another."""
    try:
        request = json.loads(model["PrimaryContainer"]["Environment"][REQUEST])
        return str(request["version"]), str(request["model"])
    except (KeyError, TypeError, ValueError):
        return "", ""
