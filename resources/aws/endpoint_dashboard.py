"""The dashboard of an endpoint: for each variant its requests, errors, time and load."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from resources.aws.endpoint_requests import EndpointPlan
from resources.aws.endpoint_scaling import metric_dimensions
from resources.aws.session import AwsSession, aws_errors, code_of
from resources.errors import EndpointError
from resources.ports.endpoint import CHAMPION

_REQUESTS, _LOAD = "AWS/SageMaker", "/aws/sagemaker/Endpoints"
_ABSENT = ("ResourceNotFound", "DashboardNotFoundError")
_WIDTH, _HEIGHT, _COLUMNS, _PERIOD = 12, 6, 2, 60
_Metric = tuple[str, str, str]
"""A namespace, a metric in it, and a statistic."""
_GRAPHS: Mapping[str, Sequence[_Metric]] = {
    "Requests": [(_REQUESTS, "Invocations", "Sum")],
    "Errors: refused requests, failed answers": [
        (_REQUESTS, "Invocation4XXErrors", "Sum"),
        (_REQUESTS, "Invocation5XXErrors", "Sum"),
    ],
    "Time of an answer, microseconds": [(_REQUESTS, "ModelLatency", "p50"), (_REQUESTS, "ModelLatency", "p99")],
}
_MACHINES: Mapping[str, Sequence[_Metric]] = {
    "Load of the machines, %": [(_LOAD, "CPUUtilization", "Average"), (_LOAD, "MemoryUtilization", "Average")],
    # Each machine says so once a minute.
    "Machines": [(_LOAD, "CPUUtilization", "SampleCount")],
}
_SERVERLESS: Mapping[str, Sequence[_Metric]] = {
    "Memory, %": [(_LOAD, "MemoryUtilization", "Maximum")],
    "Share of max_concurrency that is used": [(_REQUESTS, "ServerlessConcurrentExecutionsUtilization", "Maximum")],
}


class EndpointDashboard:
    """Made with the endpoint, and removed with it. Dashboards are of the account, not of a region: so the name has the region's."""

    def __init__(self, session: AwsSession, endpoint: str) -> None:
        self._client, self._endpoint = session.client("cloudwatch"), endpoint
        self._region = self._client.meta.region_name
        self._name = f"{endpoint}-{self._region}"

    @property
    def link(self) -> str:
        """The address of the dashboard's page in the console."""
        page = f"https://{self._region}.console.aws.amazon.com/cloudwatch/home?region={self._region}"
        return f"{page}#dashboards/dashboard/{self._name}"

    def apply(self, plan: EndpointPlan) -> bool:
        """Make the dashboard, and return whether it was another."""
        wanted = {"widgets": self._widgets(plan)}
        with aws_errors(EndpointError, f"a dashboard of the endpoint {self._endpoint}"):
            if self._find() == wanted:
                return False
            self._client.put_dashboard(DashboardName=self._name, DashboardBody=json.dumps(wanted))
        return True

    def remove(self) -> bool:
        """Remove the dashboard, and return whether there was one."""
        from botocore.exceptions import ClientError

        with aws_errors(EndpointError, f"no dashboard of the endpoint {self._endpoint}"):
            if self._find() is None:
                return False
            try:
                self._client.delete_dashboards(DashboardNames=[self._name])
            except ClientError as error:
                if code_of(error) not in _ABSENT:  # the answer to the first attempt may have been lost
                    raise
        return True

    def _find(self) -> Any:
        from botocore.exceptions import ClientError

        try:
            return json.loads(self._client.get_dashboard(DashboardName=self._name)["DashboardBody"])
        except ClientError as error:
            if code_of(error) in _ABSENT:
                return None
            raise

    def _widgets(self, plan: EndpointPlan) -> list[dict[str, Any]]:
        variants = [CHAMPION, *([plan.candidate.name] if plan.candidate else [])]
        graphs = {**_GRAPHS, **(_SERVERLESS if plan.section.is_serverless else _MACHINES)}
        return [
            {
                "type": "metric",
                "x": place % _COLUMNS * _WIDTH,
                "y": place // _COLUMNS * _HEIGHT,
                "width": _WIDTH,
                "height": _HEIGHT,
                "properties": {
                    "title": title,
                    "region": self._region,
                    "view": "timeSeries",
                    "period": _PERIOD,
                    "metrics": [self._line(metric, variant) for variant in variants for metric in metrics],
                },
            }
            for place, (title, metrics) in enumerate(graphs.items())
        ]

    def _line(self, metric: _Metric, variant: str) -> list[Any]:
        namespace, name, statistic = metric
        dimensions = [part for each in metric_dimensions(self._endpoint, variant) for part in each.values()]
        return [namespace, name, *dimensions, {"stat": statistic, "label": f"{variant}: {name} {statistic}"}]
