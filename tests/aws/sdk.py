"""A second opinion on our requests: the SageMaker SDK's own classes, which refuse what they do not know, and what they would send."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch


class _Sent(Exception):
    """A request that would have been sent."""


class _Client:
    """Takes any call of the SDK for a request, and sends nothing."""

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def send(**request: Any) -> Any:
            raise _Sent(request)

        return send


def request_of_sdk(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the SDK sends for a request of a Create operation of SageMaker. Raise pydantic's error for what it does not know."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own source code, when it is compiled
        from sagemaker.core import resources
        from sagemaker.core.utils.code_injection.codec import transform

    resource = getattr(resources, operation.removeprefix("Create"))
    with patch.object(resources.Base, "get_sagemaker_client", return_value=_Client()):
        try:
            resource.create(**transform(request, f"{operation}Request"))
        except _Sent as sent:
            found: dict[str, Any] = sent.args[0]
            return found
    raise AssertionError(f"Expected the SDK to send {operation}; found that it sent nothing.")
