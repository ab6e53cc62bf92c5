"""The requests that create jobs: where their inputs, outputs and machines are, for processing and training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import Field

ROOT = "/opt/ml"
ENTRYPOINT = "start.py"
CODE, CONFIG, RESULT = "code", "config", "result"
CHECKPOINTS = "checkpoints"
_GIGABYTE = 1 << 30
_MEGABYTE = 1_000_000
_HOUR = 3600


class JobOptions(dg.Config):
    """How jobs run, for all steps of a stack.

    instances             types in order of preference, at most five
    training_instances    of training jobs; `instances` if there are none
    hours                 after which a job is stopped
    spot                  train on spot instances: cheaper, and interrupted when others need them
    spot_hours            after which a job on spot instances is stopped, waiting included; 0: twice `hours`
    volume_gigabytes      0: three times the inputs and ten more
    kms_key               of the jobs' disks and of what they write
    subnets, security_groups    of a VPC; none for SageMaker's own network
    keep_alive_minutes    keep a training job's instances warm for the next one
    tags                  of each job, beside ours
    small_megabytes       steps whose inputs are no larger run in the run's own process; 0: none
    shortest_pause, longest_pause    seconds between two calls about a job, soon after it has begun and later
    """

    instances: list[str] = Field(default=["ml.m5.xlarge"], min_length=1, max_length=5)
    training_instances: list[str] = Field(default_factory=list, max_length=5)
    hours: float = 24
    spot: bool = False
    spot_hours: float = 0
    volume_gigabytes: int = 0
    kms_key: str = ""
    subnets: list[str] = Field(default_factory=list)
    security_groups: list[str] = Field(default_factory=list)
    keep_alive_minutes: int = 0
    tags: dict[str, str] = Field(default_factory=dict)
    small_megabytes: int = 0
    shortest_pause: float = Field(default=5.0, gt=0)
    longest_pause: float = Field(default=60.0, gt=0)

    @property
    def training_types(self) -> list[str]:
        """The instance types of training jobs."""
        return self.training_instances or self.instances

    @property
    def warm_minutes(self) -> int:
        """How long a training job's instances are kept for the next one: a spot instance, which others need, is not."""
        return 0 if self.spot else self.keep_alive_minutes

    def is_small(self, input_bytes: int) -> bool:
        """Return whether a step on so much runs in the run's own process."""
        return input_bytes < self.small_megabytes * _MEGABYTE


@dataclass(frozen=True, kw_only=True)
class JobInput:
    """What a job reads: the objects below a prefix, or those that a manifest lists."""

    uri: str
    is_manifest: bool = False

    @property
    def s3(self) -> dict[str, str]:
        """The part that processing and training requests share."""
        return {
            "S3DataType": "ManifestFile" if self.is_manifest else "S3Prefix",
            "S3Uri": self.uri,
            "S3DataDistributionType": "FullyReplicated",
        }


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """One job to be.

    inputs        by name; the code and the configuration are among them
    output        URI of the prefix that it writes below; it ends with `/`
    input_bytes   size of all inputs
    checkpoints   URI of what a job on spot instances finds again after an interruption; "" for a job on other instances
    """

    step: str
    image: str
    role: str
    options: JobOptions
    inputs: Mapping[str, JobInput]
    output: str
    input_bytes: int
    checkpoints: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that `start.py` reads."""
        return {"CHURN_STEP": self.step, "CHURN_ROOT": ROOT}

    @property
    def volume(self) -> int:
        """Gigabytes: a step holds its input, what it makes of it, and what it sorts on the way."""
        return self.options.volume_gigabytes or math.ceil(3 * self.input_bytes / _GIGABYTE) + 10

    @property
    def seconds(self) -> int:
        """After which the job is stopped."""
        return round(self.options.hours * _HOUR)

    @property
    def stopping(self) -> dict[str, int]:
        """The time limits. On spot instances there are two: of running, and of waiting and running together."""
        times = {"MaxRuntimeInSeconds": self.seconds}
        if self.checkpoints:
            times["MaxWaitTimeInSeconds"] = round((self.options.spot_hours or 2 * self.options.hours) * _HOUR)
        return times

    @property
    def spot(self) -> dict[str, Any]:
        """The use of spot instances, with what outlives an interruption."""
        if not self.checkpoints:
            return {}
        kept = {"S3Uri": self.checkpoints, "LocalPath": f"{ROOT}/{CHECKPOINTS}"}
        return {"EnableManagedSpotTraining": True, "CheckpointConfig": kept}

    @property
    def network(self) -> dict[str, Any]:
        """The VPC, if there is one."""
        if not self.options.subnets:
            return {}
        return {"VpcConfig": {"Subnets": self.options.subnets, "SecurityGroupIds": self.options.security_groups}}

    @property
    def tags(self) -> list[dict[str, str]]:
        """The user's own tags."""
        return [{"Key": key, "Value": value} for key, value in self.options.tags.items()]

    def cluster(self, types: Sequence[str]) -> dict[str, Any]:
        """Return one instance of the first of `types` that is to be had, with its disk."""
        one: dict[str, Any] = {"InstanceType": types[0], "InstanceCount": 1}
        several = {"InstancePreferences": [{"InstanceType": name, "InstanceCount": 1} for name in types]}
        key = {"VolumeKmsKeyId": self.options.kms_key} if self.options.kms_key else {}
        return {**(one if len(types) == 1 else several), "VolumeSizeInGB": self.volume, **key}


def processing_request(plan: JobPlan) -> dict[str, Any]:
    """Return the request of a processing job, but for its name."""
    inputs = [
        {
            "InputName": name,
            "S3Input": {**source.s3, "LocalPath": f"{ROOT}/processing/input/{name}", "S3InputMode": "File"},
        }
        for name, source in plan.inputs.items()
    ]
    output = {
        "OutputName": RESULT,
        "S3Output": {
            "S3Uri": f"{plan.output}{RESULT}",
            "LocalPath": f"{ROOT}/processing/output/{RESULT}",
            "S3UploadMode": "EndOfJob",
        },
    }
    key = {"KmsKeyId": plan.options.kms_key} if plan.options.kms_key else {}
    return {
        "RoleArn": plan.role,
        "AppSpecification": {
            "ImageUri": plan.image,
            "ContainerEntrypoint": ["python3", f"{ROOT}/processing/input/{CODE}/{ENTRYPOINT}"],
        },
        "Environment": plan.environment,
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": {"Outputs": [output], **key},
        "ProcessingResources": {"ClusterConfig": plan.cluster(plan.options.instances)},
        "StoppingCondition": {"MaxRuntimeInSeconds": plan.seconds},
        "NetworkConfig": {"EnableNetworkIsolation": True, **plan.network},
        "Tags": plan.tags,
    }


def training_request(plan: JobPlan) -> dict[str, Any]:
    """Return the request of a training job, but for its name. Its result is the model's folder, uploaded file by file."""
    options = plan.options
    channels = [
        {"ChannelName": name, "InputMode": "File", "DataSource": {"S3DataSource": source.s3}}
        for name, source in plan.inputs.items()
    ]
    key = {"KmsKeyId": options.kms_key} if options.kms_key else {}
    warm = {"KeepAlivePeriodInSeconds": options.warm_minutes * 60} if options.warm_minutes else {}
    return {
        "RoleArn": plan.role,
        "AlgorithmSpecification": {
            "TrainingImage": plan.image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", f"{ROOT}/input/data/{CODE}/{ENTRYPOINT}"],
        },
        "Environment": plan.environment,
        "InputDataConfig": channels,
        "OutputDataConfig": {"S3OutputPath": plan.output.rstrip("/"), "CompressionType": "NONE", **key},
        "ResourceConfig": {**plan.cluster(options.training_types), **warm},
        "StoppingCondition": plan.stopping,
        **plan.spot,
        "EnableNetworkIsolation": True,
        **plan.network,
        "Tags": plan.tags,
    }
