"""The stack of an installation: proposed as a change set, made, and deleted by CloudFormation; what a deleted one leaves is listed."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from churn_model.errors import listed, problem
from resources.aws.image import find_managed_image
from resources.aws.jobs.clock import Clock, SystemClock
from resources.aws.jobs.names import STACK_TAG, check_stack_name
from resources.aws.session import AwsSession, aws_errors, code_of
from resources.errors import CommandError
from resources.settings import PROJECT

TEMPLATE = PROJECT / "infra" / "stack.yaml"
_PAUSE = 5.0  # seconds between two looks
_PATIENCE = 3600.0
_UNMADE = "REVIEW_IN_PROGRESS"  # a change set was proposed, and no stack made of it
_CAPABILITIES = ["CAPABILITY_NAMED_IAM"]
_UNCHANGED = ("didn't contain changes", "No updates are to be performed")
_MOST_REASONS = 5


@dataclass(frozen=True)
class Change:
    """What CloudFormation would do to one resource."""

    action: str
    resource: str
    kind: str
    replaces: bool

    def __str__(self) -> str:
        return f"{self.action} {self.resource} ({self.kind})" + (", by a new one in its place" if self.replaces else "")


@dataclass(frozen=True)
class Proposal:
    """A change set that was not carried out yet."""

    name: str
    changes: Sequence[Change]


class Stack:
    """One installation in an account and region, by the name that its jobs carry.

    say      takes a line about the progress
    """

    def __init__(self, session: AwsSession, name: str, say: Callable[[str], None], clock: Clock | None = None) -> None:
        self._session, self._name, self._say = session, check_stack_name(name), say
        self._clock = clock or SystemClock()

    @property
    def cloud_name(self) -> str:
        """The name that CloudFormation knows the stack by."""
        return f"churn-{self._name}"

    def propose(self, parameters: Mapping[str, str]) -> Proposal | None:
        """Return what would change, or None if nothing would. `parameters` of the template; those left out stay as they are.

        Raise CommandError, and change nothing, if a stack of this name was deleted and its bucket is still there, and `parameters` name none.
        """
        from botocore.exceptions import ClientError, WaiterError

        found = self._find()
        given = self._complete(parameters, is_new=found is None)
        known = {each["ParameterKey"] for each in (found or {}).get("Parameters", ())}
        name = f"churn-{uuid4().hex[:12]}"
        cloud = self._cloud
        with aws_errors(CommandError, f"a change set of the stack {self.cloud_name}"):
            arguments = {"StackName": self.cloud_name, "ChangeSetName": name}
            try:
                cloud.create_change_set(
                    **arguments,
                    ChangeSetType="CREATE" if found is None else "UPDATE",
                    TemplateBody=TEMPLATE.read_text("utf-8"),
                    Capabilities=_CAPABILITIES,
                    Parameters=[
                        *({"ParameterKey": key, "ParameterValue": value} for key, value in given.items()),
                        *({"ParameterKey": key, "UsePreviousValue": True} for key in sorted(known - {*given})),
                    ],
                    Tags=[{"Key": STACK_TAG, "Value": self._name}],
                )
                with suppress(WaiterError):  # its reason is described below
                    cloud.get_waiter("change_set_create_complete").wait(**arguments)
                described = cloud.describe_change_set(**arguments)
            except ClientError as error:
                if any(text in str(error) for text in _UNCHANGED):
                    return None
                raise
        changes = [_read_change(each["ResourceChange"]) for each in described.get("Changes", ())]
        proposal = Proposal(name, changes)
        reason = str(described.get("StatusReason", ""))
        if changes and described["Status"] != "FAILED":
            return proposal
        self.withdraw(proposal)
        if not changes and (not reason or any(text in reason for text in _UNCHANGED)):
            return None
        raise CommandError(
            problem(
                expected=f"a change set of the stack {self.cloud_name}",
                found=reason,
                todo="correct it, and deploy again",
            )
        )

    def withdraw(self, proposal: Proposal) -> None:
        """Forget a proposal, and the empty stack that CloudFormation keeps for one of a stack that is not there."""
        with aws_errors(CommandError, f"to withdraw the change set {proposal.name}"):
            self._cloud.delete_change_set(StackName=self.cloud_name, ChangeSetName=proposal.name)
            stacks = self._described()
            if stacks and stacks[0]["StackStatus"] == _UNMADE:
                self._cloud.delete_stack(StackName=self.cloud_name)

    def carry_out(self, proposal: Proposal) -> Mapping[str, str]:
        """Make what was proposed, wait for it, and return the stack's outputs. Raise CommandError with the reasons if it failed."""
        with aws_errors(CommandError, f"to change the stack {self.cloud_name}"):
            self._cloud.execute_change_set(StackName=self.cloud_name, ChangeSetName=proposal.name)
        return self.outputs(self._wait())

    def outputs(self, stack: Mapping[str, Any] | None = None) -> Mapping[str, str]:
        """Return the outputs of the stack, none if there is no stack."""
        found = stack or self._find() or {}
        return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())}

    def delete(self) -> bool:
        """Delete the stack, and wait for it. Its bucket and its key stay. Return False if there is none."""
        if self._find() is None:
            return False
        with aws_errors(CommandError, f"to delete the stack {self.cloud_name}"):
            self._cloud.delete_stack(StackName=self.cloud_name)
        self._wait(is_deleted=True)
        return True

    def left(self) -> Sequence[str]:
        """Return the ARNs of what carries the stack's tag, such as the bucket and the key of a deleted one."""
        tagging = self._session.client("resourcegroupstaggingapi")
        with aws_errors(CommandError, f"to list what is left of the stack {self._name}"):
            pages = tagging.get_paginator("get_resources").paginate(
                TagFilters=[{"Key": STACK_TAG, "Values": [self._name]}]
            )
            found = {each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]}
        # Jobs cannot be deleted, and cost nothing once they have ended. An endpoint goes on, and costs.
        over = {arn for arn in found if ":sagemaker:" in arn and ":endpoint/" not in arn}
        return sorted(arn for arn in found - over if ":cloudformation:" not in arn)

    def require_own_bucket(self, bucket: str) -> None:
        """Raise CommandError unless a bucket carries the stack's tag. One that was there before the stack has other things in it."""
        own = self._left_buckets()
        if bucket not in own:
            raise CommandError(
                problem(
                    expected=f"a bucket with the tag {STACK_TAG}={self._name}",
                    found=f"{bucket}; those with it: {', '.join(own) or 'none'}",
                    todo="correct its name; remove a bucket that the stack did not make yourself",
                )
            )

    def remove_bucket(self, bucket: str) -> int:
        """Remove a bucket with every version of every object in it. Return how many there were. Raise CommandError for any other's."""
        self.require_own_bucket(bucket)
        s3, removed = self._session.client("s3"), 0
        with aws_errors(CommandError, f"to remove the bucket {bucket}"):
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
                if objects:
                    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
                    if failures := answer.get("Errors"):
                        raise CommandError(
                            problem(
                                expected=f"to remove every object of {bucket}",
                                found=f"{failures[0].get('Code')} for {len(failures)} of them",
                                todo="see to the permissions of the bucket, then destroy again",
                            )
                        )
                    removed += len(objects)
            s3.delete_bucket(Bucket=bucket)
        return removed

    @property
    def _cloud(self) -> Any:
        return self._session.client("cloudformation")

    def _described(self) -> Sequence[Mapping[str, Any]]:
        from botocore.exceptions import ClientError

        try:
            found: Sequence[Mapping[str, Any]] = self._cloud.describe_stacks(StackName=self.cloud_name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return ()
            raise
        return found

    def _find(self) -> Mapping[str, Any] | None:
        """Return the stack's description, or None if there is no stack, or one that was proposed and never made."""
        with aws_errors(CommandError, f"to look up the stack {self.cloud_name}"):
            found = [each for each in self._described() if each["StackStatus"] != _UNMADE]
        return found[0] if found else None

    def _complete(self, parameters: Mapping[str, str], *, is_new: bool) -> dict[str, str]:
        """Return the parameters with what can be found out: the account of the image, the key of a bucket that is there."""
        given = {"Stack": self._name, **parameters}
        bucket = given.get("ExistingBucket", "")
        if is_new:
            self._refuse_taken_role()
        if is_new and "ExistingBucket" not in given:
            self._refuse_left_over_bucket()
        if is_new and "ImageAccount" not in given:
            given["ImageAccount"] = find_managed_image(self._cloud.meta.region_name).partition(".")[0]
        if bucket and "ExistingKey" not in given and (key := self._key_of(bucket)):
            given["ExistingKey"] = key
        return given

    def _refuse_taken_role(self) -> None:
        """Raise CommandError if another installation of the account, in another region or made otherwise, has the name."""
        from botocore.exceptions import ClientError

        role = f"{self._name}-churn-jobs"
        with aws_errors(CommandError, f"to look up the role {role}"):
            try:
                self._session.client("iam").get_role(RoleName=role)
            except ClientError as error:
                if code_of(error) in ("NoSuchEntity", "NoSuchEntityException"):
                    return
                raise
        raise CommandError(
            problem(
                expected=f"a name that no other installation of the account has, found by its role {role}",
                found="that it is taken, although this region has no such stack",
                todo="choose another name: roles are those of all regions",
            )
        )

    def _left_buckets(self) -> list[str]:
        return [arn.rpartition(":")[2] for arn in self.left() if arn.partition(":::")[0].endswith(":s3")]

    def _refuse_left_over_bucket(self) -> None:
        buckets = self._left_buckets()
        if buckets:
            raise CommandError(
                problem(
                    expected=f"no bucket of an earlier stack {self._name}",
                    found=", ".join(buckets),
                    todo=f"take it with `--set ExistingBucket={buckets[0]}`, or make a new one with `--set ExistingBucket=`",
                )
            )

    def _key_of(self, bucket: str) -> str:
        """Return the ARN of the KMS key of a bucket's default encryption, "" for S3's own."""
        with aws_errors(CommandError, f"the encryption of the bucket {bucket}"):
            rules = self._session.client("s3").get_bucket_encryption(Bucket=bucket)
        for rule in rules["ServerSideEncryptionConfiguration"]["Rules"]:
            key = str(rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID", ""))
            if key.startswith("arn:"):
                return key
        return ""

    def _wait(self, *, is_deleted: bool = False) -> Mapping[str, Any]:
        """Wait until nothing is in progress, and return the stack's last description. Raise CommandError if it failed."""
        begin, said, stack = self._clock.now(), "", dict[str, Any]()
        while True:
            with aws_errors(CommandError, f"to look up the stack {self.cloud_name}"):
                found = self._described()
            if not found:
                if is_deleted:
                    return stack
                raise CommandError(
                    problem(expected=f"the stack {self.cloud_name}", found="none", todo="deploy it again")
                )
            stack = dict(found[0])
            status = str(stack["StackStatus"])
            if status != said:
                self._say(f"  {self.cloud_name}: {status.lower().replace('_', ' ')}")
                said = status
            if not status.endswith("_IN_PROGRESS"):
                break
            if self._clock.now() - begin > _PATIENCE:
                raise CommandError(
                    problem(
                        expected=f"the stack {self.cloud_name} within an hour",
                        found=status,
                        todo="see its events in the console of CloudFormation",
                    )
                )
            self._clock.sleep(_PAUSE)
        wanted = ("DELETE_COMPLETE",) if is_deleted else ("CREATE_COMPLETE", "UPDATE_COMPLETE")
        if status not in wanted:
            raise CommandError(self._explain(status))
        return stack

    def _explain(self, status: str) -> str:
        with aws_errors(CommandError, f"the events of the stack {self.cloud_name}"):
            events = self._cloud.describe_stack_events(StackName=self.cloud_name)["StackEvents"]
        reasons = [
            f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason', 'no reason given')}"
            for each in events
            if str(each.get("ResourceStatus", "")).endswith("FAILED")
            and "cancelled" not in str(each.get("ResourceStatusReason", ""))
        ]
        found = "; ".join(reasons[:_MOST_REASONS]) or status
        todo = "correct it, delete the stack with `churn destroy` if it was rolled back at its making, and deploy again"
        return problem(expected=f"the stack {self.cloud_name} to be complete", found=found, todo=todo)


def read_parameters(texts: Sequence[str]) -> dict[str, str]:
    """Return `NAME=VALUE` texts as parameters of the template. Raise CommandError with every problem at once."""
    known = re.findall(r"^  (\w+):$", TEMPLATE.read_text("utf-8").split("\nConditions:")[0], re.MULTILINE)
    pairs = [text.partition("=") for text in texts]
    problems = [
        problem(
            expected=f"NAME=VALUE with a parameter of the template ({', '.join(known)})",
            found=repr("".join(pair)[:80]),
            todo="correct it",
        )
        for pair in pairs
        if not pair[1] or pair[0] not in known or pair[0] == "Stack"
    ]
    if problems:
        raise CommandError(listed(problems))
    return {name: value for name, _, value in pairs}


def _read_change(change: Mapping[str, Any]) -> Change:
    replaces = str(change.get("Replacement", "False")) != "False"
    return Change(change["Action"], change["LogicalResourceId"], change["ResourceType"], replaces)
