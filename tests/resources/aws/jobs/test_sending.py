"""Asking a service that does not answer each time."""

from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from resources.aws.jobs.clock import Pace
from resources.aws.jobs.sending import ask_patiently
from tests.resources.aws.jobs.conftest import FakeClock

UNREACHABLE = EndpointConnectionError(endpoint_url="https://api.sagemaker.eu-west-1.amazonaws.com")
BROKEN_OFF = ReadTimeoutError(endpoint_url="https://api.sagemaker.eu-west-1.amazonaws.com")


def answers(*found: Exception | str) -> Callable[[], str]:
    left: Iterator[Exception | str] = iter(found)

    def ask() -> str:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


def test_a_network_that_fails_after_an_answer_is_waited_for() -> None:
    clock = FakeClock()
    pace = Pace(clock, 5, 60)
    ask = answers("InProgress", UNREACHABLE, UNREACHABLE, BROKEN_OFF, "Completed")
    assert [ask_patiently(ask, clock, pace, 1800) for _ in range(2)] == ["InProgress", "Completed"]


def test_a_service_that_was_never_reached_is_an_error_at_once() -> None:
    clock = FakeClock()
    with pytest.raises(EndpointConnectionError):
        ask_patiently(answers(UNREACHABLE, "InProgress"), clock, Pace(clock, 5, 60), 1800)
    assert ask_patiently(answers(BROKEN_OFF, "InProgress"), clock, Pace(clock, 5, 60), 1800) == "InProgress"
