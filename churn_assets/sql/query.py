"""A query over the published tables of one machine, with the functions of one dataset's champion."""

import csv
from typing import TextIO

import duckdb

from churn_assets.model_server.champion import read_model
from churn_assets.sql.functions import FUNCTIONS, call, register_functions
from churn_model.errors import ChurnError, problem
from churn_model.serving.answers import to_cell
from churn_model.serving.plan import Plan
from churn_model.spec.dataset import Dataset
from resources.catalog.names import RAW_CUSTOMERS
from resources.catalog.pointers import require_champion
from resources.errors import CommandError
from resources.settings import Settings
from resources.wiring import wire

_ROWS = 10_000


def load_plan(settings: Settings, dataset: Dataset) -> Plan:
    """Return the champion and today's costs of a dataset as a plan. Raise ChurnError."""
    lake = wire(settings).lake
    champion = require_champion(lake, dataset.name)
    return Plan(read_model(lake, champion.prefix, threads=settings.threads), dataset)


def written_out(plan: Plan) -> str:
    """Return the functions written out with their columns, and a query that uses them."""
    calls = [call(plan, function) for function in FUNCTIONS]
    example = f"SELECT churn_probability(t), will_churn(t) FROM {plan.dataset.name}.{RAW_CUSTOMERS} t LIMIT 3"
    return "\n".join([*calls, "", "For the rows of a table t that has these columns:", example])


def run_query(settings: Settings, plan: Plan, query: str, out: TextIO) -> None:
    """Write the rows of one query as CSV. Raise ChurnError for what DuckDB or the model refuses."""
    if not settings.tables.exists():
        todo = f"run `churn retrain {plan.dataset.name}` first"
        raise ChurnError(problem(expected=f"published tables in {settings.tables}", found="none", todo=todo))
    try:
        with duckdb.connect() as connection:
            file = str(settings.tables).replace("'", "''")
            connection.execute(f"ATTACH '{file}' AS published (READ_ONLY); USE published")
            register_functions(connection, plan)
            if not connection.extract_statements(query):
                todo = "write a SELECT, or leave it out to see the functions"
                raise CommandError(problem(expected="a query", found="no statement", todo=todo))
            found = connection.execute(query)
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow([to_cell(name) for name, *_ in found.description or ()])
            while rows := found.fetchmany(_ROWS):
                writer.writerows([to_cell(value) for value in row] for row in rows)
    except duckdb.Error as error:
        found_text = str(error).strip().rstrip(".")
        todo = "correct the query; `churn sql` with the dataset alone shows the functions"
        raise CommandError(
            problem(expected="a query that DuckDB can run", found=f"its error ({found_text})", todo=todo)
        ) from error
