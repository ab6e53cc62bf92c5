"""SageMaker's Model Registry as a mirror: a model package group for each dataset, a package for each model that was decided about.

`<dataset>/registry.json` remembers how far the mirror has come and which package is which model's: a listing of packages does not show whose
they are.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from churn_model.errors import listed
from churn_model.records import from_plain
from churn_model.reports.step_report import REPORT
from resources.aws.jobs.limits import find_problems
from resources.aws.jobs.names import DATASET_TAG, STACK_TAG, check_stack_name
from resources.aws.lake import S3Lake
from resources.aws.session import AwsSession, aws_errors
from resources.catalog.decisions import WAITING, Decision, list_decisions_after
from resources.catalog.digests import digest_of_parts
from resources.catalog.names import EVALUATION_REPORT, TUNED_MODEL, registry_key, version_prefix
from resources.catalog.pointers import read_pointer
from resources.errors import RegistryError
from resources.ports.registry import Approval, Registry

_PENDING, _APPROVED, _REJECTED = "PendingManualApproval", "Approved", "Rejected"
_STATUSES = {
    "first": _APPROVED,
    "promoted": _APPROVED,
    "rolled_back": _APPROVED,
    "kept": _REJECTED,
    "refused": _REJECTED,
    WAITING: _PENDING,
}
_APPROVALS = {_APPROVED: Approval.APPROVED, _REJECTED: Approval.REJECTED}
_MOST_CHARACTERS = 1_024
_MOST_METRICS = 40


@dataclass(frozen=True)
class Package:
    """A model's package, and the status that was last written to it."""

    arn: str
    status: str


@dataclass(frozen=True)
class Mirrored:
    """How far the mirror has come.

    decisions   number of the last decision that is shown
    champion    version of the champion after it, "" for none
    packages    by version of the model
    """

    decisions: int = 0
    champion: str = ""
    packages: Mapping[str, Package] = field(default_factory=dict)


class ModelRegistry(Registry):
    """Shows decisions as model packages with approval status, reason and metrics."""

    session: AwsSession
    lake: S3Lake
    stack: str

    def mirror(self, dataset: str) -> None:
        """Show every decision that is not shown yet. A create is repeated with its ClientToken, which gives the same package."""
        key = registry_key(dataset)
        before = read_pointer(self.lake, key)
        mirrored = _read(before)
        for number, decision in list_decisions_after(self.lake, dataset, mirrored.decisions):
            mirrored = replace(self._show(dataset, mirrored, decision), decisions=number)
            after = json.dumps(asdict(mirrored), sort_keys=True, indent=1).encode()
            self.lake.swap(key, before, after)
            before = after

    def find_approval(self, dataset: str, version: str) -> Approval:
        """Return what the model's package says. A model without a package waits."""
        package = _read(read_pointer(self.lake, registry_key(dataset))).packages.get(version)
        if package is None:
            return Approval.PENDING
        found = self._call("DescribeModelPackage", f"to look up {package.arn}", ModelPackageName=package.arn)
        return _APPROVALS.get(str(found["ModelApprovalStatus"]), Approval.PENDING)

    def _show(self, dataset: str, mirrored: Mirrored, decision: Decision) -> Mirrored:
        """Show one decision: its model's package, and those of the models whose time it ends."""
        packages = dict(mirrored.packages)
        version, status = decision.version, _STATUSES.get(decision.outcome, _REJECTED)
        for other, package in mirrored.packages.items():
            ends = package.status == _PENDING or (decision.outcome == "rolled_back" and other == mirrored.champion)
            if other != version and ends:
                words = "Rolled back by hand." if other == mirrored.champion else f"Superseded by {version}."
                self._update(package.arn, words, ModelApprovalStatus=_REJECTED)
                packages[other] = Package(package.arn, _REJECTED)
        if version in packages:
            self._update(
                packages[version].arn,
                decision.reason,
                ModelApprovalStatus=status,
                CustomerMetadataProperties=_describe(decision),
            )
            packages[version] = Package(packages[version].arn, status)
        else:
            arn = self._create(dataset, decision, status)
            # Without the status: if this is a repetition, a person may have approved the package meanwhile.
            self._update(arn, decision.reason)
            packages[version] = Package(arn, status)
        return replace(mirrored, packages=packages, champion=version if decision.made_a_champion else mirrored.champion)

    def _create(self, dataset: str, decision: Decision, status: str) -> str:
        """Create a model's package in the dataset's group, or find the one that was created with this token. Return its ARN."""
        group = f"{check_stack_name(self.stack)}-{dataset}"
        self._create_group(group, dataset)
        report = version_prefix(dataset, EVALUATION_REPORT, decision.evaluation) + REPORT
        created = self._call(
            "CreateModelPackage",
            f"to register model {decision.version} in {group}",
            ModelPackageGroupName=group,
            ModelPackageDescription=_one_line(f"Model {decision.version} of {dataset}."),
            ModelApprovalStatus=status,
            SourceUri=self.lake.uri(version_prefix(dataset, TUNED_MODEL, decision.version)),
            ModelMetrics={
                "ModelQuality": {
                    "Statistics": {"ContentType": "application/json", "S3Uri": self.lake.uri(report)},
                }
            },
            CustomerMetadataProperties=_describe(decision),
            ClientToken=digest_of_parts((group, decision.version, decision.evaluation)),
        )
        return str(created["ModelPackageArn"])

    def _create_group(self, group: str, dataset: str) -> None:
        from botocore.exceptions import ClientError

        try:
            self._call(
                "CreateModelPackageGroup",
                f"to create the model package group {group}",
                ModelPackageGroupName=group,
                ModelPackageGroupDescription=f"What was decided about the models of {dataset}. A mirror: the lake's champion.json decides.",
                Tags=[{"Key": STACK_TAG, "Value": self.stack}, {"Key": DATASET_TAG, "Value": dataset}],
            )
        except RegistryError as error:
            cause = error.__cause__
            if not (isinstance(cause, ClientError) and "already exist" in str(cause)):
                raise

    def _update(self, arn: str, reason: str, **fields: Any) -> None:
        self._call(
            "UpdateModelPackage",
            f"to update {arn}",
            ModelPackageArn=arn,
            ApprovalDescription=_one_line(reason),
            **fields,
        )

    def _call(self, operation: str, expected: str, **request: Any) -> Mapping[str, Any]:
        """Send a request that keeps within the service's limits. Raise RegistryError."""
        client = self.session.client("sagemaker")
        if problems := find_problems(client.meta.service_model, operation, request):
            raise RegistryError(listed([f"{operation}: {text}" for text in problems]))
        from botocore import xform_name

        with aws_errors(RegistryError, expected):
            answer: Mapping[str, Any] = getattr(client, xform_name(operation))(**request)
        return answer


def _read(data: bytes | None) -> Mirrored:
    """Return what was remembered. What cannot be read is mirrored again: tokens keep packages from being made twice."""
    try:
        return Mirrored() if data is None else from_plain(Mirrored, json.loads(data))
    except ValueError:
        return Mirrored()


def _describe(decision: Decision) -> dict[str, str]:
    """Return a decision as metadata: at most 50 entries of few characters each."""
    metrics = {name: value for name, value in sorted(decision.metrics.items()) if value is not None}
    return {
        "version": decision.version,
        "evaluation": decision.evaluation,
        "outcome": decision.outcome,
        "decided_at": decision.decided_at,
        **{name: f"{value:.6g}" for name, value in list(metrics.items())[:_MOST_METRICS]},
    }


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARACTERS else line[: _MOST_CHARACTERS - 1] + "…"
