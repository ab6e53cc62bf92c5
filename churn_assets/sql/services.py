"""SQL for the databases on AWS that can ask a SageMaker endpoint: a function that takes a model's columns, and the policy it needs.

They send CSV without a header, in the order of the arguments, NULL as an empty field, and take one probability a row, without a header, as
`churn_model.steps.endpoint` answers `text/csv`. Only the text for Aurora PostgreSQL has been run, on PostgreSQL; the others say in their first
line that they have not.
"""

import json
import re
from collections.abc import Callable, Mapping

from churn_assets.sql.functions import quote_name, sql_type
from churn_model.errors import ChurnError, problem
from churn_model.serving.plan import Plan

POSTGRES_ARGUMENTS = 100
"""Arguments of one function in PostgreSQL; `invoke_endpoint` takes two before the model's."""
_POSTGRES_NAME_BYTES = 63
_MYSQL_NAME_LENGTH = 64
_ENDPOINT = re.compile(r"[a-z0-9](-*[a-z0-9]){0,62}")
_UNPROVED = "-- UNPROVED: written from the documentation of {}, and never run there."
_ANSWER = "-- The endpoint answers text/csv without a header, the probability alone in each row, as `churn endpoint` makes it."


def write_service(plan: Plan, service: str, endpoint: str) -> str:
    """Return the SQL and the policy for one of `SERVICES`. Raise ChurnError if the endpoint's name or the columns cannot be used there."""
    if not _ENDPOINT.fullmatch(endpoint):
        expected = "an endpoint's name of lower-case letters, digits and single inner hyphens, at most 63"
        raise ChurnError(problem(expected=expected, found=repr(endpoint[:80]), todo="correct --endpoint"))
    return f"{SERVICES[service](plan, endpoint)}\n\n{_policy(endpoint)}"


def write_aurora_postgresql(plan: Plan, endpoint: str) -> str:
    """Return a function for Aurora PostgreSQL. Raise ChurnError for more columns than a function can take."""
    fields, most = plan.inputs, POSTGRES_ARGUMENTS - 2
    if len(fields) > most:
        todo = "choose fewer columns in the spec, or read batch_predictions"
        raise ChurnError(problem(expected=f"at most {most} columns in PostgreSQL", found=str(len(fields)), todo=todo))
    arguments = [f"{_postgres_name(field.name)}{_POSTGRES[sql_type(field)]}" for field in fields]
    places = ", ".join(f"${place}" for place in range(1, len(fields) + 1))
    return "\n".join(
        [
            _ANSWER,
            "CREATE EXTENSION IF NOT EXISTS aws_ml CASCADE;",
            f"CREATE OR REPLACE FUNCTION {quote_name(_function(plan))} (",
            ",\n".join(f"    {argument}" for argument in arguments),
            ") RETURNS double precision AS $function$",
            f"    SELECT aws_sagemaker.invoke_endpoint('{endpoint}', NULL, {places})::double precision",
            "$function$ LANGUAGE SQL PARALLEL SAFE COST 5000;",
        ]
    )


def _postgres_name(name: str) -> str:
    """Return an argument's name, or nothing for one that PostgreSQL would cut: the order is what counts."""
    return f"{quote_name(name)} " if len(name.encode()) <= _POSTGRES_NAME_BYTES else ""


def _write_aurora_mysql(plan: Plan, endpoint: str) -> str:
    arguments = [
        f"{quote_name(field.name[:_MYSQL_NAME_LENGTH].rstrip(), '`')} {_MYSQL[sql_type(field)]}"
        for field in plan.inputs
    ]
    return "\n".join(
        [
            _UNPROVED.format("Aurora MySQL"),
            _ANSWER,
            f"CREATE FUNCTION {quote_name(_function(plan), '`')} (",
            ",\n".join(f"    {argument}" for argument in arguments),
            ") RETURNS DOUBLE",
            "ALIAS AWS_SAGEMAKER_INVOKE_ENDPOINT",
            f"ENDPOINT NAME '{endpoint}';",
        ]
    )


def _write_athena(plan: Plan, endpoint: str) -> str:
    arguments = ", ".join(f"a{place} {sql_type(field)}" for place, field in enumerate(plan.inputs, 1))
    columns = ", ".join(quote_name(field.name) for field in plan.inputs)
    return "\n".join(
        [
            _UNPROVED.format("Athena"),
            _ANSWER,
            "-- The first clause of each query; put your table's name at the end.",
            f"USING EXTERNAL FUNCTION {_function(plan)}({arguments})",
            "RETURNS DOUBLE",
            f"SAGEMAKER '{endpoint}'",
            f"SELECT {_function(plan)}({columns}) AS churn_probability",
            "FROM your_table;",
        ]
    )


def _write_redshift(plan: Plan, endpoint: str) -> str:
    types = ", ".join(_POSTGRES[sql_type(field)] for field in plan.inputs)
    return "\n".join(
        [
            _UNPROVED.format("Amazon Redshift"),
            _ANSWER,
            f"CREATE MODEL {quote_name(f'{plan.dataset.name}_churn')}",
            f"FUNCTION {quote_name(_function(plan))} ({types})",
            "RETURNS double precision",
            f"SAGEMAKER '{endpoint}'",
            "IAM_ROLE default;",
        ]
    )


def _function(plan: Plan) -> str:
    return f"{plan.dataset.name}_churn_probability"


def _policy(endpoint: str) -> str:
    statement = {
        "Effect": "Allow",
        "Action": "sagemaker:InvokeEndpoint",
        "Resource": f"arn:aws:sagemaker:REGION:ACCOUNT:endpoint/{endpoint}",
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)
    return f"/* The policy of the role that asks; put your region and account in.\n{text}\n*/"


_POSTGRES = {"DOUBLE": "double precision", "DATE": "date", "VARCHAR": "varchar"}
_MYSQL = {"DOUBLE": "DOUBLE", "DATE": "VARCHAR(10)", "VARCHAR": "VARCHAR(2048)"}
SERVICES: Mapping[str, Callable[[Plan, str], str]] = {
    "aurora-postgresql": write_aurora_postgresql,
    "aurora-mysql": _write_aurora_mysql,
    "athena": _write_athena,
    "redshift": _write_redshift,
}
"""What writes the SQL of each service."""
