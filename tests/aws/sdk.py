"""A second opinion on our requests: what the SageMaker SDK's own classes make of them, and would send."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

from tests.aws.sagemaker.service import service_model


class _Sent(Exception):
    """A request that would have been sent."""


class _Client:
    """Takes any call of the SDK for a request, and sends nothing."""

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def send(**request: Any) -> Any:
            raise _Sent(request)

        return send


def request_of_sdk(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the SDK sends for a request of a Create or Update operation of SageMaker, without what it does not know. Raise pydantic's error for
    what it refuses.
    """
    verb = "update" if operation.startswith("Update") else "create"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own source code, when it is compiled
        from sagemaker.core import resources
        from sagemaker.core.utils.code_injection.codec import transform

    resource = getattr(resources, operation.removeprefix(verb.title()))
    arguments = transform(request, service_model().operation_model(operation).input_shape.name)
    if verb == "update":  # what is there already, by its name
        taken = inspect.signature(resource.update).parameters
        resource = resource(**{name: arguments.pop(name) for name in [*arguments] if name not in taken})
    with patch.object(resources.Base, "get_sagemaker_client", return_value=_Client()):
        try:
            getattr(resource, verb)(**arguments)
        except _Sent as sent:
            found: dict[str, Any] = sent.args[0]
            return found
    raise AssertionError(f"Expected the SDK to send {operation}; found that it sent nothing.")


def fold_names(value: Any) -> Any:
    """Return a request with all names in lower case: the SDK writes MemorySizeInMB as MemorySizeInMb, which is its own fault."""
    if isinstance(value, Mapping):
        return {name.lower(): fold_names(each) for name, each in value.items()}
    return [fold_names(each) for each in value] if isinstance(value, list) else value
