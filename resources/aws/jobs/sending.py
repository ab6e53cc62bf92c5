"""One request that makes or removes something, sent until it is known to have been done."""

from collections.abc import Mapping, Sequence
from typing import Any

from resources.aws.jobs.clock import Clock, Pace
from resources.aws.session import code_of

TRANSIENT = frozenset(
    {
        *(
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "TooManyRequestsException",
            "RequestLimitExceeded",
        ),
        *("InternalFailure", "InternalServerError", "InternalError", "ServiceUnavailable", "RequestTimeout"),
        *("500", "502", "503", "504"),
    }
)
"""Codes of errors that pass by themselves."""
_PATIENCE = 1800.0  # seconds


class Sender:
    """Sends requests of one client of boto3.

    shortest, longest   seconds between two calls while the service throttles or cannot be reached
    """

    def __init__(self, client: Any, clock: Clock, shortest: float, longest: float) -> None:
        self._client, self._clock, self._shortest, self._longest = client, clock, shortest, longest

    def send(self, method: str, request: Mapping[str, Any], done: Sequence[str]) -> bool:
        """Send a request, and return whether it has done something. An error with one of the words `done` says that it was done before.

        Where the service throttles or fails, or no response comes, it is sent again: so an answer that was lost is one that was done before.
        """
        from botocore.exceptions import ClientError, HTTPClientError

        pace, begin = Pace(self._clock, self._shortest, self._longest), self._clock.now()
        while True:
            try:
                getattr(self._client, method)(**request)
                return True
            except ClientError as error:
                if any(words in str(error) for words in done):
                    return False
                if code_of(error) not in TRANSIENT or self._clock.now() - begin > _PATIENCE:
                    raise
            except HTTPClientError:
                if self._clock.now() - begin > _PATIENCE:
                    raise
            pace.throttled()
            pace.wait()
