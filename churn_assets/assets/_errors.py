"""Errors that are meant for the user, as Dagster shows them."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from churn_model.errors import ChurnError
from resources.os_errors import explain_os_error


@contextmanager
def user_errors_as_failures() -> Iterator[None]:
    """Turn an expected error, and an explainable one of the operating system, into a failure that shows its message alone."""
    try:
        yield
    except ChurnError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except OSError as error:
        explanation = explain_os_error(error)
        if explanation is None:
            raise
        raise dg.Failure(description=explanation, allow_retries=False) from error
