"""Models of SageMaker: what a transform job loads. Each belongs to one job and has its name; it costs nothing, and goes when the job has ended."""

from collections.abc import Mapping
from typing import Any

from churn_model.errors import problem
from resources.aws.jobs.clock import Clock, Pace
from resources.aws.jobs.limits import require_within_limits
from resources.aws.session import aws_errors, code_of
from resources.errors import StepFailed

_PATIENCE = 1800.0  # seconds
_SAME = ("PrimaryContainer", "ExecutionRoleArn", "EnableNetworkIsolation")
_TRANSIENT = frozenset(
    {"Throttling", "ThrottlingException", "InternalFailure", "InternalServerError", "ServiceUnavailable", "500", "503"}
)


class Models:
    """Creates and removes models.

    sagemaker           client of boto3
    shortest, longest   seconds between two calls while SageMaker throttles or cannot be reached
    """

    def __init__(self, sagemaker: Any, clock: Clock, shortest: float, longest: float) -> None:
        self._sagemaker, self._clock, self._shortest, self._longest = sagemaker, clock, shortest, longest

    def require(self, request: Mapping[str, Any]) -> None:
        """Create a model, or find the one that an earlier call, whose response was lost, has created. Raise StepFailed, also if that is another."""
        name = str(request["ModelName"])
        require_within_limits(self._sagemaker.meta.service_model, "CreateModel", request)
        with aws_errors(StepFailed, f"model {name} to be created"):
            if self._create(request):
                return
            found = self._sagemaker.describe_model(ModelName=name)
        differs = [key for key in _SAME if not _holds(found.get(key), request[key])]
        if differs:
            raise StepFailed(
                problem(
                    expected=f"model {name} to be the one of this job",
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

    def _create(self, request: Mapping[str, Any]) -> bool:
        """Create a model, and return whether it was new. Where SageMaker throttles or fails, try again."""
        from botocore.exceptions import ClientError, HTTPClientError

        pace, begin = Pace(self._clock, self._shortest, self._longest), self._clock.now()
        while True:
            try:
                self._sagemaker.create_model(**request)
                return True
            except ClientError as error:
                if "already exist" in str(error):
                    return False
                if code_of(error) not in _TRANSIENT or self._clock.now() - begin > _PATIENCE:
                    raise
            except HTTPClientError:  # no response: it may have been created all the same, which the next call tells
                if self._clock.now() - begin > _PATIENCE:
                    raise
            pace.throttled()
            pace.wait()


def _holds(found: Any, wanted: Any) -> bool:
    """Return whether a description holds what a request asked for. SageMaker adds fields."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(_holds(found.get(key), value) for key, value in wanted.items())
    return bool(found == wanted)
