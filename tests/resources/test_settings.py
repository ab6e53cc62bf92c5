from pathlib import Path

import pytest

from resources.errors import SettingsError
from resources.settings import read_settings
from resources.wiring import examine, wire


def test_dagster_s_folder_is_in_the_working_folder_unless_another_is_named(tmp_path: Path) -> None:
    own = read_settings({"CHURN_HOME": str(tmp_path)})
    assert (own.dagster_home, own.owns_dagster_home) == (tmp_path / "dagster", True)
    joined = read_settings({"CHURN_HOME": str(tmp_path / "home"), "DAGSTER_HOME": str(tmp_path)})
    assert (joined.dagster_home, joined.owns_dagster_home) == (tmp_path, False)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "DAGSTER_HOME",
            "relative",
            "DAGSTER_HOME: expected the absolute path of an existing Dagster's folder, found relative",
        ),
        (
            "DAGSTER_HOME",
            "/no/such/folder",
            "found /no/such/folder; unset it to keep Dagster's files in the working folder",
        ),
        ("CHURN_ALLOWED_HOSTS", "ui.example, *", "host names without port or wildcard, separated by commas, found '*'"),
        ("CHURN_ALLOWED_HOSTS", "ui.example:3000", "found 'ui.example:3000'"),
        ("CHURN_SHOW_ALL", "perhaps", "CHURN_SHOW_ALL: expected yes or no, found 'perhaps'"),
        ("CHURN_EXECUTOR", "celery", "CHURN_EXECUTOR: expected in_process or multiprocess, found 'celery'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_with_what_to_do(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({variable: value})
    assert message in str(refused.value)


def test_the_hosts_of_our_servers_are_names_separated_by_commas() -> None:
    assert read_settings({}).allowed_hosts == ()
    assert read_settings({"CHURN_ALLOWED_HOSTS": "ui.example, 10.1.2.3,"}).allowed_hosts == ("ui.example", "10.1.2.3")


ON_AWS = {
    "CHURN_TARGET": "aws",
    "CHURN_LAKE": "s3://b-1/some/prefix",
    "CHURN_ROLE": "arn:aws:iam::123456789012:role/jobs",
}


def test_a_bucket_and_a_role_are_all_that_aws_needs() -> None:
    found = read_settings(ON_AWS | {"AWS_DEFAULT_REGION": "eu-west-1"}).aws
    assert found is not None
    assert (found.bucket, found.prefix, found.region, found.stack) == ("b-1", "some/prefix/", "eu-west-1", "churn")
    assert read_settings({}).aws is None


def test_settings_of_aws_are_refused_all_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({"CHURN_TARGET": "aws", "CHURN_LAKE": "b", "CHURN_STACK": "much-too-long", "CHURN_KMS_KEY": "x"})
    for name, found in (
        ("CHURN_LAKE", "'b'"),
        ("CHURN_STACK", "'much-too-long'"),
        ("CHURN_ROLE", "''"),
        ("CHURN_KMS_KEY", "'x'"),
    ):
        assert f"{name}: expected" in str(refused.value)
        assert f"found {found}" in str(refused.value)


def test_a_directory_bucket_is_refused() -> None:
    with pytest.raises(SettingsError, match="directory bucket"):
        read_settings(ON_AWS | {"CHURN_LAKE": "s3://lake--use1-az4--x-s3"})


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(SettingsError, match="CHURN_TARGET: expected local or aws, found 'azure'"):
        read_settings({"CHURN_TARGET": "azure"})


@pytest.mark.parametrize("value", ["[1]", "{", "ml.m5.large"])
def test_options_of_jobs_are_a_json_object(value: str) -> None:
    with pytest.raises(SettingsError, match="CHURN_JOBS: expected a JSON object, found"):
        read_settings(ON_AWS | {"CHURN_JOBS": value})


def test_an_image_is_the_address_of_one() -> None:
    address = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.2-0"
    found = read_settings(ON_AWS | {"CHURN_IMAGE": address, "CHURN_JOBS": '{"hours": 12}'}).aws
    assert found is not None
    assert (found.image, found.job_options) == (address, {"hours": 12})
    with pytest.raises(SettingsError, match="CHURN_IMAGE: expected"):
        read_settings(ON_AWS | {"CHURN_IMAGE": "xgboost:latest"})


def test_options_of_jobs_are_refused_all_at_once() -> None:
    settings = read_settings(ON_AWS | {"CHURN_JOBS": '{"cluster": true, "hours": "long"}'})
    with pytest.raises(SettingsError, match=r"(?s)CHURN_JOBS \(instances, .*found cluster: no option; hours: "):
        wire(settings)
    with pytest.raises(SettingsError, match="found cluster: no option"):
        examine(settings)
