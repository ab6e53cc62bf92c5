"""`churn sql`, over a folder with a champion."""

import csv
import io
from pathlib import Path

import duckdb
import pytest

from churn_assets.sql.query import load_plan, run_query, written_out
from churn_model.errors import ChurnError
from churn_model.serving.plan import Plan
from resources.errors import CommandError
from resources.settings import Settings, read_settings
from tests.churn_model.serving.shop import DATASETS, landed, made_bundle

RECORD = {name: values[0] for name, values in landed(1, seed=5).items()}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = read_settings({"CHURN_HOME": str(tmp_path)})
    with duckdb.connect(str(found.tables)) as connection:
        columns = ", ".join(f"nullif('{value}', '') as {name}" for name, value in RECORD.items())
        connection.execute(f"create schema shop; create table shop.raw_batch as select '=1+1' as _id, {columns}")
    return found


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(made_bundle("boosted_trees"), DATASETS["shop"])


def test_rows_are_written_as_csv(settings: Settings, plan: Plan) -> None:
    out = io.StringIO()
    run_query(settings, plan, "SELECT _id, churn_probability(t) AS p, will_churn(t) AS w FROM shop.raw_batch t", out)
    answer = plan.answer(RECORD)
    assert list(csv.reader(io.StringIO(out.getvalue()))) == [
        ["_id", "p", "w"],
        ["'=1+1", repr(answer.churn_probability), str(answer.will_churn).lower()],
    ]


def test_a_query_reads_and_changes_nothing(settings: Settings, plan: Plan) -> None:
    with pytest.raises(CommandError, match="read-only"):
        run_query(settings, plan, "DELETE FROM shop.raw_batch", io.StringIO())


def test_what_duckdb_refuses_and_what_is_not_there_is_said(settings: Settings, plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"(?s)Expected a query that DuckDB can run; found its error .*nothing"):
        run_query(settings, plan, "SELECT nothing", io.StringIO())
    for empty in ("", " ", ";", "-- nothing"):
        with pytest.raises(CommandError, match="Expected a query; found no statement"):
            run_query(settings, plan, empty, io.StringIO())
    with pytest.raises(ChurnError, match="Expected a champion of shop to answer with; found none"):
        load_plan(settings, DATASETS["shop"])
    settings.tables.unlink()
    with pytest.raises(ChurnError, match=r"Expected published tables in .*; found none"):
        run_query(settings, plan, "SELECT 1", io.StringIO())


def test_the_functions_are_written_out(plan: Plan) -> None:
    text = written_out(plan)
    assert text.startswith('churn_probability("day", "minutes"')
    assert "FROM shop.raw_customers t" in text
