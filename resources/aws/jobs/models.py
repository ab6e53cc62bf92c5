"""Models of SageMaker: what a transform job or an endpoint loads. Each belongs to one of these, costs nothing, and goes when it is no longer used."""

from collections.abc import Mapping
from typing import Any

from churn_model.errors import problem
from resources.aws.jobs.clock import Clock
from resources.aws.jobs.limits import require_within_limits
from resources.aws.jobs.sending import Sender
from resources.aws.session import aws_errors
from resources.errors import StepFailed

_SAME = ("PrimaryContainer", "ExecutionRoleArn", "EnableNetworkIsolation")


class Models:
    """Creates and removes models.

    sagemaker           client of boto3
    shortest, longest   seconds between two calls while SageMaker throttles or cannot be reached
    """

    def __init__(self, sagemaker: Any, clock: Clock, shortest: float, longest: float) -> None:
        self._sagemaker, self._sender = sagemaker, Sender(sagemaker, clock, shortest, longest)

    def require(self, request: Mapping[str, Any]) -> None:
        """Create a model, or find the one that an earlier call, whose response was lost, has created. Raise StepFailed, also if that is another."""
        name = str(request["ModelName"])
        require_within_limits(self._sagemaker.meta.service_model, "CreateModel", request)
        with aws_errors(StepFailed, f"model {name} to be created"):
            if self._sender.send("create_model", request, ("already exist",)):
                return
            found = self._sagemaker.describe_model(ModelName=name)
        differs = [key for key in _SAME if key in request and not holds(found.get(key), request[key])]
        if differs:
            raise StepFailed(
                problem(
                    expected=f"model {name} to be the one that was asked for",
                    found=f"another {', '.join(differs)}",
                    todo=f"remove it with `aws sagemaker delete-model --model-name {name}`, then run the job again",
                )
            )

    def remove(self, name: str) -> bool:
        """Remove a model. Return whether there is none now: nothing depends on that."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._sagemaker.delete_model(ModelName=name)
        except ClientError as error:
            return "Could not find" in str(error)
        except BotoCoreError:
            return False
        return True


def holds(found: Any, wanted: Any) -> bool:
    """Return whether a description holds what a request asked for. SageMaker adds fields."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(holds(found.get(key), value) for key, value in wanted.items())
    return bool(found == wanted)
