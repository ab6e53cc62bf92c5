"""The SQL with which a database on AWS asks an endpoint, as text. `tests/prove/test_aurora_postgresql.py` runs one of them."""

import argparse
import json
from pathlib import Path

import pytest
from rich.console import Console

from churn_assets.cli.commands.sql import COMMAND
from churn_assets.sql.services import SERVICES, write_service
from churn_model.errors import ChurnError
from churn_model.serving.plan import Plan
from resources.errors import CommandError
from resources.settings import read_settings
from tests.churn_model.serving.shop import DATASETS, made_bundle


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(made_bundle("boosted_trees"), DATASETS["shop"])


@pytest.mark.parametrize("service", SERVICES)
def test_each_text_allows_one_action_on_one_endpoint(plan: Plan, service: str) -> None:
    text = write_service(plan, service, "shop-churn")
    policy = json.loads(text[text.index("{\n") : text.rindex("*/")])
    assert policy["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "sagemaker:InvokeEndpoint",
            "Resource": "arn:aws:sagemaker:REGION:ACCOUNT:endpoint/shop-churn",
        }
    ]
    assert text.startswith("-- UNPROVED") == (service != "aurora-postgresql")


def test_arguments_come_in_the_order_of_the_model_with_their_types(plan: Plan) -> None:
    text = write_service(plan, "aurora-postgresql", "shop-churn")
    places = [text.index(f'"{field.name}" ') for field in plan.inputs]
    assert places == sorted(places)
    for argument in ('"minutes" double precision', '"since" date', '"city" varchar'):
        assert argument in text
    assert "RETURNS DOUBLE\nALIAS AWS_SAGEMAKER_INVOKE_ENDPOINT\nENDPOINT NAME 'x';" in write_service(
        plan, "aurora-mysql", "x"
    )
    assert "RETURNS DOUBLE\nSAGEMAKER 'x'\nSELECT shop_churn_probability(" in write_service(plan, "athena", "x")
    assert "RETURNS double precision\nSAGEMAKER 'x'\nIAM_ROLE default;" in write_service(plan, "redshift", "x")


@pytest.mark.parametrize("endpoint", ["", "a_b", "a'; DROP TABLE t; --", "x" * 64, "-a", "Shop", "a\n"])
def test_a_name_that_no_endpoint_has_is_refused(plan: Plan, endpoint: str) -> None:
    with pytest.raises(ChurnError, match="Expected an endpoint's name"):
        write_service(plan, "aurora-postgresql", endpoint)


def test_the_command_knows_every_service_and_wants_an_endpoint(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    COMMAND.add_arguments(parser)
    settings = read_settings({"CHURN_HOME": str(tmp_path)})
    for service in SERVICES:
        for more in (["shop"], ["shop", "SELECT 1", "--endpoint", "x"]):
            arguments = parser.parse_args([*more, "--for", service])
            with pytest.raises(CommandError, match="Expected a query, or --for with --endpoint; found"):
                COMMAND.run(arguments, settings, Console())
