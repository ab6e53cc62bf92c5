"""The function for Aurora PostgreSQL on a real PostgreSQL, where only `aws_sagemaker.invoke_endpoint` is stood in for."""

import csv
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from churn_assets.sql.services import write_aurora_postgresql
from churn_model.serving.plan import Plan
from churn_model.serving.protocol import Request, respond
from churn_model.serving.requests import Limits
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from tests.churn_model.serving.shop import DATASETS, fit_bundle, landed, made_bundle, records, rows_of

pytestmark = pytest.mark.prove
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
TYPES = {
    "day": "date",
    "minutes": "double precision",
    "calls": "double precision",
    "plan": "varchar",
    "bill": "varchar",  # numbers with a sign of money
    "roams": "varchar",
    "flag": "varchar",
    "city": "varchar",
    "since": "date",
    "worth": "double precision",
}
HOSTILE = (
    'a"; DROP TABLE kept; --',
    "it's",
    "$function$; DROP TABLE kept; --",
    "order",
    "$1",
    "x" * 63 + "1",
    "x" * 63 + "2",
    "ä" * 32,
)
"""Two are the same when cut at PostgreSQL's 63 bytes, and one has more bytes than characters."""
DATASET = Dataset(name="hostile", id="none", label=Label(column="left", positive=("yes",)))


class Server:
    """A throw-away PostgreSQL that listens on a socket in its own folder alone, run by a user without rights."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder, PROGRAMS[-1].parent
        self.run("initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "asker", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        self.run("pg_ctl", "-D", f"{folder}/data", "-w", "-l", f"{folder}/log", "-o", options, "start")

    def run(self, program: str, *arguments: str, text: str = "") -> str:
        user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            input=text,
            stdout=subprocess.PIPE,
            stderr=None if program == "pg_ctl" else subprocess.STDOUT,
            text=True,
            check=False,
            cwd=self.folder,
            timeout=60,
            **user,  # type: ignore[call-overload]
        )
        assert done.returncode == 0, done.stdout
        return str(done.stdout)

    def ask(self, sql: str) -> str:
        """Return what psql prints of statements, as CSV without a header. Fail at the first that is refused."""
        options = ("-X", "-q", "--csv", "-t", "-v", "ON_ERROR_STOP=1")
        return self.run("psql", "-h", str(self.folder), "-U", "asker", "-d", "postgres", *options, text=sql)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if not PROGRAMS:
        pytest.skip("PostgreSQL is not installed; install Debian's package postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a socket's path has at most 107 bytes
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    started = Server(folder)
    try:
        yield started
    finally:
        started.run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


def stand_in(server: Server, types: list[str]) -> None:
    """Make an `invoke_endpoint` that takes these types and no others, and keeps what it is given. VARIADIC "any" needs C."""
    places = [f"${place}" for place in range(3, len(types) + 3)]
    kept = ", ".join(f"{place}::text" for place in places)
    server.ask(
        f"""DROP SCHEMA IF EXISTS aws_sagemaker CASCADE; CREATE SCHEMA aws_sagemaker;
        CREATE TABLE aws_sagemaker.asked (number serial, endpoint text, batch int, given text[]);
        CREATE FUNCTION aws_sagemaker.invoke_endpoint(varchar, int, {", ".join(types)}) RETURNS varchar AS $$
        BEGIN
            INSERT INTO aws_sagemaker.asked(endpoint, batch, given) VALUES ($1, $2, ARRAY[{kept}]);
            RETURN (SELECT count(*) / 100.0 FROM aws_sagemaker.asked);
        END $$ LANGUAGE plpgsql"""
    )


def create_function(server: Server, plan: Plan) -> None:
    """Run the text as it is printed, but for the extension, which only Aurora has."""
    text = write_aurora_postgresql(plan, "shop-churn")
    server.ask(text.replace("CREATE EXTENSION IF NOT EXISTS aws_ml CASCADE;", ""))


def literal(value: str) -> str:
    return "NULL" if value == "" else "'" + value.replace("'", "''") + "'"


def test_what_the_endpoint_is_sent_is_what_the_model_server_answers(server: Server) -> None:
    plan = Plan(made_bundle("boosted_trees"), DATASETS["shop"])
    types = [TYPES[field.name] for field in plan.inputs]
    stand_in(server, types)
    create_function(server, plan)
    customers = records(landed(40, seed=5))
    rows = [
        ", ".join(f"{literal(one[field.name])}::{kind}" for field, kind in zip(plan.inputs, types, strict=True))
        for one in customers
    ]
    found = server.ask("".join(f"SELECT shop_churn_probability({row});\n" for row in rows))
    assert [float(line) for line in found.split()] == [n / 100 for n in range(1, 41)]
    assert server.ask("SELECT DISTINCT endpoint, batch FROM aws_sagemaker.asked").strip() == "shop-churn,"
    # As Aurora's documentation has it, NULL is sent as an empty field.
    columns = ", ".join(f"coalesce(given[{n}], '')" for n in range(1, len(types) + 1))
    body = server.ask(f"SELECT {columns} FROM aws_sagemaker.asked ORDER BY number").encode()
    answer = respond(plan, Request(body=body, content_type="text/csv"), Limits())
    assert answer.status == 200, answer.body
    got = [row["churn_probability"] for row in csv.DictReader(io.StringIO(answer.body.decode()))]
    assert got == [repr(plan.answer(one).churn_probability) for one in customers]


def test_hostile_names_are_arguments_and_nothing_else(server: Server) -> None:
    rng = np.random.default_rng(0)
    columns = {name: [f"{each:.3f}" for each in rng.normal(size=200)] for name in HOSTILE}
    rows = rows_of({**columns, "left": ["yes", "no"] * 100}, DATASET, None)
    plan = Plan(fit_bundle(rows, DATASET, "linear"), DATASET)
    names = [field.name for field in plan.inputs]
    assert sorted(names) == sorted(HOSTILE)
    stand_in(server, ["double precision"] * len(names))
    server.ask("CREATE TABLE kept (n int)")
    create_function(server, plan)
    server.ask(f"SELECT hostile_churn_probability({', '.join(map(str, range(len(names))))})")
    given = server.ask("SELECT array_to_string(given, ' ') FROM aws_sagemaker.asked; SELECT count(*) FROM kept")
    assert given.splitlines() == [" ".join(map(str, range(len(names)))), "0"]
    named = server.ask("SELECT unnest(proargnames) FROM pg_proc WHERE proname = 'hostile_churn_probability'")
    kept = [row[0] if row else "" for row in csv.reader(io.StringIO(named))]
    assert kept == [name if len(name.encode()) <= 63 else "" for name in names]
