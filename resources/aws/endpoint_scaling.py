"""What stands beside an endpoint: how many machines it is to have, and the alarm for its errors. Each is read first, and changed if it differs."""

from collections.abc import Mapping
from typing import Any

from resources.aws.endpoint_requests import VARIANT, EndpointPlan
from resources.aws.jobs.models import holds
from resources.aws.session import AwsSession, aws_errors, code_of
from resources.errors import EndpointError

_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_METRIC = "SageMakerVariantInvocationsPerInstance"
_ERRORS_PERIOD = 300


def scaled_variant(endpoint: str) -> dict[str, str]:
    """Return what application-autoscaling knows the machines of an endpoint by."""
    resource = f"endpoint/{endpoint}/variant/{VARIANT}"
    return {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": _DIMENSION}


def metric_dimensions(endpoint: str) -> list[dict[str, str]]:
    """Return the dimensions of the metrics of an endpoint."""
    return [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": VARIANT}]


class EndpointScaling:
    """The policy by which the machines of an endpoint follow its requests."""

    def __init__(self, session: AwsSession, endpoint: str) -> None:
        self._client, self._endpoint = session.client("application-autoscaling"), endpoint
        self._variant = scaled_variant(endpoint)

    def apply(self, plan: EndpointPlan) -> bool:
        """Register what the spec says, and return whether that was another."""
        wanted = plan.section.scaling
        if wanted is None:
            return self.remove()
        target = {**self._variant, "MinCapacity": wanted.least, "MaxCapacity": wanted.most}
        policy = {
            **self._variant,
            "PolicyName": f"{self._endpoint}-requests",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": float(wanted.invocations),
                "PredefinedMetricSpecification": {"PredefinedMetricType": _METRIC},
            },
        }
        with aws_errors(EndpointError, f"to scale the endpoint {self._endpoint}"):
            is_new = not holds(self._target(), target)
            if is_new:
                self._client.register_scalable_target(**target)
            if not holds(self._policy(), policy):
                self._client.put_scaling_policy(**policy)
                is_new = True
        return is_new

    def remove(self) -> bool:
        """Deregister the machines, with their policy. Return whether they were registered."""
        with aws_errors(EndpointError, f"not to scale the endpoint {self._endpoint}"):
            if self._target() is None:
                return False
            self._client.deregister_scalable_target(**self._variant)
        return True

    def _target(self) -> Mapping[str, Any] | None:
        variant = {**self._variant, "ResourceIds": [self._variant["ResourceId"]]}
        del variant["ResourceId"]
        return next(iter(self._client.describe_scalable_targets(**variant)["ScalableTargets"]), None)

    def _policy(self) -> Mapping[str, Any] | None:
        return next(iter(self._client.describe_scaling_policies(**self._variant)["ScalingPolicies"]), None)


class EndpointAlarm:
    """The alarm for requests that the endpoint failed to answer, where the stack has a topic for alarms."""

    def __init__(self, session: AwsSession, endpoint: str) -> None:
        self._session, self._endpoint, self._name = session, endpoint, f"{endpoint}-endpoint-errors"

    def apply(self, plan: EndpointPlan) -> bool:
        """Set the alarm, and return whether that was another. Without a topic there is nobody to tell."""
        cloudwatch = self._session.client("cloudwatch")
        topic = f"{_account(plan.role, cloudwatch.meta.region_name)}:{plan.stack}-churn-alarms"
        wanted = {
            "AlarmName": self._name,
            "AlarmDescription": f"The endpoint {self._endpoint} failed to answer requests",
            "Namespace": "AWS/SageMaker",
            "MetricName": "Invocation5XXErrors",
            "Dimensions": metric_dimensions(self._endpoint),
            "Statistic": "Sum",
            "Period": _ERRORS_PERIOD,
            "EvaluationPeriods": 1,
            "Threshold": 0.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": [topic],
        }
        with aws_errors(EndpointError, f"an alarm of the endpoint {self._endpoint}"):
            if not self._is_topic(topic) or holds(self._find(), wanted):
                return False
            cloudwatch.put_metric_alarm(**wanted)
        return True

    def remove(self) -> bool:
        """Remove the alarm, and return whether there was one."""
        with aws_errors(EndpointError, f"no alarm of the endpoint {self._endpoint}"):
            if self._find() is None:
                return False
            self._session.client("cloudwatch").delete_alarms(AlarmNames=[self._name])
        return True

    def _find(self) -> Mapping[str, Any] | None:
        found = self._session.client("cloudwatch").describe_alarms(AlarmNames=[self._name])
        return next(iter(found["MetricAlarms"]), None)

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
    """Return the beginning of the ARNs of topics, in the partition and the account of the jobs' role."""
    _, partition, _, _, account, *_ = role.split(":")
    return f"arn:{partition}:sns:{region}:{account}"
