"""What stands beside an endpoint: how many machines it is to have, and the alarms for its errors. Each is read first, and changed if it differs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from churn_model.spec.sections.endpoint import Scaling
from resources.aws.endpoint_requests import EndpointPlan
from resources.aws.jobs.models import holds
from resources.aws.session import AwsSession, aws_errors, code_of
from resources.errors import EndpointError
from resources.ports.endpoint import CHAMPION

_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_METRIC = "SageMakerVariantInvocationsPerInstance"
_ERRORS_PERIOD = 300


def scaled_variant(endpoint: str, variant: str) -> dict[str, str]:
    """Return what application-autoscaling knows the machines of a variant by."""
    resource = f"endpoint/{endpoint}/variant/{variant}"
    return {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": _DIMENSION}


def metric_dimensions(endpoint: str, variant: str) -> list[dict[str, str]]:
    """Return the dimensions of the metrics of a variant."""
    return [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]


class EndpointScaling:
    """The policies by which the machines of each variant follow its requests."""

    def __init__(self, session: AwsSession, endpoint: str) -> None:
        self._client, self._endpoint = session.client("application-autoscaling"), endpoint

    def apply(self, plan: EndpointPlan) -> bool:
        """Register what the spec says, and return whether that was another. What it does not name has been removed before."""
        wanted = plan.section.scaling
        changed = [self._register(name, wanted) for name in plan.scaled if wanted]
        return any(changed)

    def _register(self, name: str, wanted: Scaling) -> bool:
        variant = scaled_variant(self._endpoint, name)
        target = {**variant, "MinCapacity": wanted.least, "MaxCapacity": wanted.most}
        policy = {
            **variant,
            "PolicyName": f"{self._endpoint}-requests",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": float(wanted.invocations),
                "PredefinedMetricSpecification": {"PredefinedMetricType": _METRIC},
            },
        }
        with aws_errors(EndpointError, f"to scale the endpoint {self._endpoint}"):
            is_new = not any(holds(each, target) for each in self._targets())
            if is_new:
                self._client.register_scalable_target(**target)
            found = self._client.describe_scaling_policies(**variant)["ScalingPolicies"]
            if not any(holds(each, policy) for each in found):
                self._client.put_scaling_policy(**policy)
                is_new = True
        return is_new

    def remove(self, kept: Collection[str] = ()) -> bool:
        """Deregister the machines of all variants but some, with their policies. Return whether any were registered."""
        keeps = {scaled_variant(self._endpoint, name)["ResourceId"] for name in kept}
        with aws_errors(EndpointError, f"not to scale the endpoint {self._endpoint}"):
            over = [each["ResourceId"] for each in self._targets() if each["ResourceId"] not in keeps]
            for resource in over:
                self._deregister(scaled_variant(self._endpoint, resource.rpartition("/")[2]))
        return bool(over)

    def _deregister(self, variant: Mapping[str, str]) -> None:
        """Deregister machines that are registered or, if the answer to that was lost, no longer."""
        from botocore.exceptions import ClientError

        try:
            self._client.deregister_scalable_target(**variant)
        except ClientError as error:
            if code_of(error) != "ObjectNotFoundException" and "No scalable target found" not in str(error):
                raise

    def _targets(self) -> Iterator[Mapping[str, Any]]:
        """Yield the variants that are registered, also those that this plan does not know."""
        pages = self._client.get_paginator("describe_scalable_targets").paginate(
            ServiceNamespace="sagemaker", ScalableDimension=_DIMENSION
        )
        for page in pages:
            for each in page["ScalableTargets"]:
                if each["ResourceId"].startswith(scaled_variant(self._endpoint, "")["ResourceId"]):
                    yield each


class EndpointAlarms:
    """The alarms for requests that a variant failed to answer, where the stack has a topic for alarms."""

    def __init__(self, session: AwsSession, endpoint: str) -> None:
        self._session, self._endpoint = session, endpoint
        self._of_champion, self._of_candidate = f"{endpoint}-endpoint-errors", f"{endpoint}-candidate-errors"

    def apply(self, plan: EndpointPlan) -> bool:
        """Set the alarms, and return whether they were others. Without a topic there is nobody to tell."""
        changed = [self._set(plan, self._of_champion, CHAMPION)]
        if plan.candidate:
            changed.append(self._set(plan, self._of_candidate, plan.candidate.name))
        else:
            changed.append(self._remove(self._of_candidate))
        return any(changed)

    def remove(self) -> bool:
        """Remove the alarms, and return whether there were any."""
        return self._remove(self._of_champion, self._of_candidate)

    def _set(self, plan: EndpointPlan, name: str, variant: str) -> bool:
        cloudwatch = self._session.client("cloudwatch")
        topic = f"{_account(plan.role, cloudwatch.meta.region_name)}:{plan.stack}-churn-alarms"
        wanted = {
            "AlarmName": name,
            "AlarmDescription": f"{variant} of the endpoint {self._endpoint} failed to answer requests",
            "Namespace": "AWS/SageMaker",
            "MetricName": "Invocation5XXErrors",
            "Dimensions": metric_dimensions(self._endpoint, variant),
            "Statistic": "Sum",
            "Period": _ERRORS_PERIOD,
            "EvaluationPeriods": 1,
            "Threshold": 0.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": [topic],
        }
        with aws_errors(EndpointError, f"an alarm of the endpoint {self._endpoint}"):
            if not self._is_topic(topic) or any(holds(each, wanted) for each in self._find(name)):
                return False
            cloudwatch.put_metric_alarm(**wanted)
        return True

    def _remove(self, *names: str) -> bool:
        with aws_errors(EndpointError, f"no alarm of the endpoint {self._endpoint}"):
            found = [each["AlarmName"] for each in self._find(*names)]
            if found:
                self._session.client("cloudwatch").delete_alarms(AlarmNames=found)
        return bool(found)

    def _find(self, *names: str) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self._session.client("cloudwatch").describe_alarms(AlarmNames=names)[
            "MetricAlarms"
        ]
        return found

    def _is_topic(self, topic: str) -> bool:
        from botocore.exceptions import ClientError

        try:
            self._session.client("sns").get_topic_attributes(TopicArn=topic)
        except ClientError as error:
            if code_of(error) in ("NotFound", "NotFoundException"):
                return False
            raise
        return True


def _account(role: str, region: str) -> str:
    """Return the beginning of the ARNs of topics, in the partition and the account of a role."""
    _, partition, _, _, account, *_ = role.split(":")
    return f"arn:{partition}:sns:{region}:{account}"
