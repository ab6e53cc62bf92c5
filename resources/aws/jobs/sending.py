"""Requests that are sent until they are answered, or known to have been done."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

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
_Answer = TypeVar("_Answer")


def ask_patiently(ask: Callable[[], _Answer], clock: Clock, pace: Pace, patience: float) -> _Answer:
    """Return what `ask` returns. While the service throttles, fails or breaks off, ask again, more and more rarely, for `patience` seconds.

    Raise the last error of botocore, and at once that no connection can be made to a service that has not answered at this pace yet: a network
    without a way to it will not get one by waiting.
    """
    from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004  # botocore's word

    begin = clock.now()
    while True:
        try:
            answer = ask()
        except (ClientError, ConnectionError, HTTPClientError) as error:
            passes = isinstance(error, ClientError) and code_of(error) in TRANSIENT
            breaks_off = isinstance(error, HTTPClientError) or (
                isinstance(error, ConnectionError) and pace.has_answered
            )
            if not (passes or breaks_off) or clock.now() - begin > patience:
                raise
            pace.throttled()
            pace.wait()
        else:
            pace.answered()
            return answer


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
        from botocore.exceptions import ClientError

        def send() -> bool:
            try:
                getattr(self._client, method)(**request)
            except ClientError as error:
                if any(words in str(error) for words in done):
                    return False
                raise
            return True

        return ask_patiently(send, self._clock, Pace(self._clock, self._shortest, self._longest), _PATIENCE)
