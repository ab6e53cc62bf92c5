"""Errors that are meant for the user, as Dagster shows them; what passes by itself is tried again."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from churn_model.errors import ChurnError
from resources.errors import PASSING
from resources.os_errors import explain_os_error

MOST_RETRIES = 2


@contextmanager
def user_errors_as_failures(retry_after: float = 5) -> Iterator[None]:
    """Turn an expected error, and an explainable one of the operating system, into a failure that shows its message alone.

    An error that passes by itself asks for a retry first, `retry_after` seconds later; nothing else is ever tried again.
    """
    try:
        yield
    except PASSING as error:
        if dg.AssetExecutionContext.get().retry_number < MOST_RETRIES:
            raise dg.RetryRequested(MOST_RETRIES, retry_after) from error
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except ChurnError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except OSError as error:
        explanation = explain_os_error(error)
        if explanation is None:
            raise
        raise dg.Failure(description=explanation, allow_retries=False) from error
