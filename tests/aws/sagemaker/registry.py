"""The model registry of the stand-in: groups, and versions of packages that keep their ClientToken, their approval and their metadata."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.aws.sagemaker.service import ACCOUNT, REGION, Refusal

_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:"
Fields = dict[str, Any]


class ModelPackages:
    """Packages by ARN, as a person sees them in the console."""

    def __init__(self) -> None:
        self.groups: dict[str, Fields] = {}
        self.packages: dict[str, Fields] = {}
        self._tokens: dict[str, tuple[Fields, str]] = {}

    @property
    def operations(self) -> Mapping[str, Callable[[Fields], Mapping[str, Any]]]:
        return {
            "CreateModelPackageGroup": self._create_group,
            "CreateModelPackage": self._create,
            "UpdateModelPackage": self._update,
            "DescribeModelPackage": self._describe,
        }

    def _create_group(self, request: Fields) -> Mapping[str, Any]:
        name = request["ModelPackageGroupName"]
        if name in self.groups:
            raise Refusal(
                "ValidationException", f"Model Package Group already exists: {_ARN}model-package-group/{name}"
            )
        self.groups[name] = request
        return {"ModelPackageGroupArn": f"{_ARN}model-package-group/{name}"}

    def _create(self, request: Fields) -> Mapping[str, Any]:
        token = request.get("ClientToken", "")
        if token in self._tokens:
            known, arn = self._tokens[token]
            if known != request:
                raise Refusal("ConflictException", "the same ClientToken with other parameters")
            return {"ModelPackageArn": arn}
        group = request["ModelPackageGroupName"]
        if group not in self.groups:
            raise Refusal("ValidationException", f"ModelPackageGroup {group} does not exist.")
        if request.get("Tags"):
            raise Refusal("ValidationException", "Versions of a group take no tags: tag the group.")
        number = 1 + sum(each["ModelPackageGroupName"] == group for each in self.packages.values())
        arn = f"{_ARN}model-package/{group}/{number}"
        self.packages[arn] = {
            **request,
            "ModelPackageArn": arn,
            "ModelPackageVersion": number,
            "ModelPackageName": group,
            "CreationTime": time.time(),
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": []},
        }
        self._tokens[token] = (request, arn)
        return {"ModelPackageArn": arn}

    def _update(self, request: Fields) -> Mapping[str, Any]:
        package = self._find(request["ModelPackageArn"])
        metadata = package.get("CustomerMetadataProperties", {}) | request.get("CustomerMetadataProperties", {})
        package |= {**request, "CustomerMetadataProperties": metadata}
        return {"ModelPackageArn": request["ModelPackageArn"]}

    def _describe(self, request: Fields) -> Mapping[str, Any]:
        hidden = ("ClientToken", "Tags")
        package = self._find(request["ModelPackageName"])
        return {name: value for name, value in package.items() if name not in hidden}

    def _find(self, arn: str) -> Fields:
        if arn not in self.packages:
            raise Refusal("ValidationException", f"ModelPackage {arn} does not exist.")
        return self.packages[arn]
