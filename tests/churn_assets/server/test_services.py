"""What the processes of `churn ui` are given."""

from pathlib import Path

import pytest

from churn_assets.server.services import Services


@pytest.mark.parametrize(
    ("own", "given"), [pytest.param({}, "300", id="busy machines"), ({"DAGSTER_GRPC_TIMEOUT_SECONDS": "90"}, "90")]
)
def test_a_run_has_five_minutes_to_start_or_as_long_as_the_user_says(
    own: dict[str, str], given: str, tmp_path: Path
) -> None:
    services = Services(0, {**own, "HOME": str(tmp_path)})
    services.stop()
    assert services.environment["DAGSTER_GRPC_TIMEOUT_SECONDS"] == given
    assert services.environment["HOME"] == str(tmp_path)
