"""Which errors of an asset are tried again, and what is said of the others."""

from collections.abc import Iterator

import dagster as dg
import pytest

from churn_assets.assets._errors import MOST_RETRIES, user_errors_as_failures
from churn_model.errors import InputError
from resources.errors import SwapConflict, TablesBusy, TablesError


def materialize(errors: Iterator[Exception], instance: dg.DagsterInstance) -> tuple[int, str | None]:
    """Return how often the asset was tried, and the message of its failure, None if it succeeded."""
    tries = []

    @dg.asset
    def attempt() -> None:
        with user_errors_as_failures(retry_after=0):
            tries.append(1)
            if (error := next(errors, None)) is not None:
                raise error

    result = dg.materialize([attempt], instance=instance, raise_on_error=False)
    failures = [event.step_failure_data.user_failure_data for event in result.get_step_failure_events()]
    return len(tries), failures[0].description if failures and failures[0] else None


@pytest.mark.parametrize("error", [SwapConflict("moved"), TablesBusy("held")])
def test_what_passes_by_itself_is_tried_again(error: Exception, instance: dg.DagsterInstance) -> None:
    assert materialize(iter([error, error]), instance) == (3, None)
    assert materialize(iter([error] * 9), instance) == (MOST_RETRIES + 1, str(error))


@pytest.mark.parametrize(
    "error", [TablesError("broken"), InputError("wrong"), PermissionError(13, "Permission denied", "/x")]
)
def test_nothing_else_is(error: Exception, instance: dg.DagsterInstance) -> None:
    tries, said = materialize(iter([error]), instance)
    assert tries == 1
    assert said is not None
