"""What is asked of SageMaker about one endpoint: patiently, and so that asking twice is asking once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isclose
from typing import Any

from churn_model.errors import problem
from resources.aws.endpoint_log import read_tail
from resources.aws.job_requests import JobOptions
from resources.aws.jobs.clock import Clock, Pace
from resources.aws.jobs.limits import find_problems
from resources.aws.jobs.sending import Sender, ask_patiently
from resources.aws.session import AwsSession, aws_errors, code_of
from resources.errors import EndpointError
from resources.ports.endpoint import IN_SERVICE, SHARE_DIGITS, require_unchanged

Description = Mapping[str, Any]
MOVING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
_PATIENCE = 7200.0  # seconds: SageMaker itself gives up earlier
_MOST_TRIES = 3  # of a change that another one is in the way of, such as a policy's
_ABSENT = "Could not find"


class EndpointCalls:
    """Describes, waits for, changes and removes one endpoint. `say` takes a line about its progress."""

    def __init__(
        self, session: AwsSession, endpoint: str, clock: Clock, options: JobOptions, say: Callable[[str], None]
    ) -> None:
        self._session, self.endpoint, self._clock, self._say = session, endpoint, clock, say
        self._client = session.client("sagemaker")
        self._shortest, self._longest = options.shortest_pause, options.longest_pause
        self._sender = Sender(self._client, clock, self._shortest, self._longest)

    @property
    def link(self) -> str:
        """The address of the endpoint's page in the console."""
        region = self._client.meta.region_name
        return f"https://{region}.console.aws.amazon.com/sagemaker/home?region={region}#/endpoints/{self.endpoint}"

    def describe(self) -> Description | None:
        """Return the endpoint's description, or None if there is none."""
        with aws_errors(EndpointError, f"to look up the endpoint {self.endpoint}"):
            return self._describe()

    def _describe(self) -> Description | None:
        from botocore.exceptions import ClientError

        try:
            found: Description = self._client.describe_endpoint(EndpointName=self.endpoint)
        except ClientError as error:
            if _ABSENT in str(error) or code_of(error) == "ResourceNotFound":
                return None
            raise
        return found

    def settle(self) -> Description | None:
        """Wait until the endpoint changes no more, whoever is changing it, and return its description."""
        pace, begin, said = Pace(self._clock, self._shortest, self._longest), self._clock.now(), ""
        while True:
            with aws_errors(EndpointError, f"to look up the endpoint {self.endpoint}"):
                found = ask_patiently(self._describe, self._clock, pace, _PATIENCE)
            status = str(found["EndpointStatus"]) if found else ""
            if status not in MOVING:
                return found
            if status != said:
                self._say(f"endpoint {self.endpoint}: {status}: {self.link}")
                said = status
            if self._clock.now() - begin > _PATIENCE:
                raise EndpointError(
                    problem(
                        expected=f"the endpoint {self.endpoint} to be done within {_PATIENCE / 3600:.0f} hours",
                        found=status,
                        todo=f"look at it, then run the job again, which waits for it: {self.link}",
                    )
                )
            pace.wait()

    def is_serverless(self, found: Description) -> bool:
        """Return whether no machine stands ready for the endpoint."""
        return any("CurrentServerlessConfig" in variant for variant in found["ProductionVariants"])

    def instance_type(self, config: str) -> str:
        """Return the type of the champion's machines in a configuration, "" if it has none, or is gone."""
        from botocore.exceptions import ClientError

        with aws_errors(EndpointError, f"to look up what the endpoint {self.endpoint} runs on"):
            try:
                found = self._client.describe_endpoint_config(EndpointConfigName=config)
            except ClientError as error:
                if _ABSENT in str(error):
                    return ""
                raise
        return str(found["ProductionVariants"][0].get("InstanceType", ""))

    def describe_models(self, config: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the description of each variant's model, the shadow's too; none, if the configuration or one of them is gone."""
        from botocore.exceptions import ClientError

        with aws_errors(EndpointError, f"to look up what the endpoint {self.endpoint} serves"):
            try:
                found = self._client.describe_endpoint_config(EndpointConfigName=config)
                return {
                    variant["VariantName"]: self._client.describe_model(ModelName=variant["ModelName"])
                    for variant in (*found["ProductionVariants"], *found.get("ShadowProductionVariants", ()))
                }
            except ClientError as error:
                if _ABSENT in str(error):
                    return {}
                raise

    def list_made(self) -> Sequence[str]:
        """Return the names of the configurations and of the models that have the endpoint's name in theirs, each once."""
        with aws_errors(EndpointError, f"to list what was made for the endpoint {self.endpoint}"):
            configs = self._list("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName")
            models = self._list("list_models", "Models", "ModelName")
            return list(dict.fromkeys([*configs, *models]))

    def _list(self, method: str, field: str, name: str) -> Iterator[str]:
        for page in self._client.get_paginator(method).paginate(NameContains=f"{self.endpoint}-"):
            yield from (each[name] for each in page[field])

    # Changes

    def create_config(self, request: Mapping[str, Any]) -> None:
        """Make a configuration that nothing uses yet, or leave the one of that name, which says the same.

        Its name does not tell what variants begin with: one that a deployment has left that broke off, with other machines, is made anew.
        """
        if self._send("create_endpoint_config", request, "already exist"):
            return
        name = request["EndpointConfigName"]
        with aws_errors(EndpointError, f"to look up the configuration {name}"):
            found = self._client.describe_endpoint_config(EndpointConfigName=name)
        if _beginnings(found) != _beginnings(request):
            self.delete_config(name)
            self._send("create_endpoint_config", request, "already exist")

    def create(self, request: Mapping[str, Any]) -> None:
        """Make the endpoint, or leave the one that is there already."""
        self._send("create_endpoint", request, "already exist")

    def update(self, request: Mapping[str, Any]) -> None:
        """Begin to update the endpoint, unless that has begun already. Another change is waited for first."""
        name = request["EndpointConfigName"]
        self._begin("update_endpoint", request, lambda found: found["EndpointConfigName"] == name)

    def set_weights(self, request: Mapping[str, Any]) -> None:
        """Begin to set weights and counts, unless that has begun already. Another change is waited for first."""
        problems = find_problems(self._client.meta.service_model, "UpdateEndpointWeightsAndCapacities", request)
        if problems:
            raise EndpointError("; ".join(problems))
        wanted = request["DesiredWeightsAndCapacities"]
        self._begin("update_endpoint_weights_and_capacities", request, lambda found: weighs(found, wanted))

    def settle_unchanged(self, since: float | None) -> Description | None:
        """Wait as `settle` does. Raise EndpointError if the endpoint was changed at another time; None for any time."""
        found = self.settle()
        if found is not None:
            require_unchanged(self.endpoint, found["LastModifiedTime"].timestamp(), since)
        return found

    def delete(self, unchanged_since: float | None = None) -> bool:
        """Delete the endpoint, and return whether there was one once it is gone. What is changing it has to end first."""
        if self.settle_unchanged(unchanged_since) is None:
            return False
        self._send("delete_endpoint", {"EndpointName": self.endpoint}, _ABSENT, "in-progress")
        if self.settle() is not None:
            raise EndpointError(
                problem(expected=f"the endpoint {self.endpoint} to be gone", found="that it is there", todo=self.link)
            )
        return True

    def delete_config(self, name: str) -> None:
        """Remove a configuration that is there or not."""
        self._send("delete_endpoint_config", {"EndpointConfigName": name}, _ABSENT)

    def _begin(self, method: str, request: Mapping[str, Any], has_come: Callable[[Description], bool]) -> None:
        """Send a change. What is in progress is this one, if an answer was lost, or another: only how it ends says which."""
        for _ in range(_MOST_TRIES):
            if self._send(method, request, "in-progress"):
                return
            found = self.settle()
            if found is None or has_come(found):
                return

    def _send(self, method: str, request: Mapping[str, Any], *done: str) -> bool:
        with aws_errors(EndpointError, f"{self.endpoint}: {method.replace('_', ' ')}"):
            return self._sender.send(method, request, done)

    def explain(self, ended: Description | None, model: str, since: float) -> EndpointError:
        """Return why a model did not come to answer: SageMaker's words, the end of its server's log, and what answers instead."""
        status = str(ended["EndpointStatus"]) if ended else "that it is gone"
        reason = str(ended.get("FailureReason", "no reason given")) if ended else "somebody has deleted it"
        kept = "the one before goes on answering" if status == IN_SERVICE else "nothing answers"
        text = problem(
            expected=f"model {model} to answer on the endpoint {self.endpoint}",
            found=f"{status}: {reason.rstrip('.')}; {kept}",
            todo="see the end of its log below, correct what it says, and deploy again",
        )
        tail = read_tail(self._session.client("logs"), self.endpoint, since)
        return EndpointError("\n".join([text, *tail, self.link]))


def _beginnings(config: Mapping[str, Any]) -> Mapping[str, Sequence[float]]:
    """Return the weights and the machines that the variants of a configuration begin with."""
    variants = [*config["ProductionVariants"], *config.get("ShadowProductionVariants", ())]
    parts = ("InitialVariantWeight", "InitialInstanceCount")
    return {
        each["VariantName"]: [part in each and round(each[part], SHARE_DIGITS) for part in parts] for each in variants
    }


def weighs(found: Description, wanted: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether variants of an endpoint have the weights, and the machines, that were asked for. SageMaker keeps weights in 32 bits."""
    variants = {variant["VariantName"]: variant for variant in found.get("ProductionVariants", ())}
    return all(
        isclose(variants.get(each["VariantName"], {}).get(field.replace("Desired", part), -1), value, rel_tol=1e-6)
        for each in wanted
        for field, value in each.items()
        if field != "VariantName"
        for part in ("Desired", "Current")
    )


def share_of(found: Description, name: str) -> float:
    """Return the share of the requests that a variant answers, 0 for one in the shadow."""
    weights = {
        variant["VariantName"]: float(variant.get("CurrentWeight", 0.0)) for variant in found["ProductionVariants"]
    }
    return round(weights.get(name, 0.0) / (sum(weights.values()) or 1.0), SHARE_DIGITS)
