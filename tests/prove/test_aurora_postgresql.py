"""The function for Aurora PostgreSQL on a real PostgreSQL, where only `aws_sagemaker.invoke_endpoint` is stood in for: it asks the endpoint's own server."""

import csv
import io
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import numpy as np
import pytest

from churn_assets.sql.services import write_aurora_postgresql
from churn_model.models.bundle import write_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.serving.plan import Plan
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.steps.endpoint import EndpointServer
from churn_model.steps.transform_variables import MODEL_CHARACTERS, to_variables
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

    def run(self, program: str, *arguments: str, text: str = "", fails: bool = False) -> str:
        user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            input=text,
            stdout=subprocess.PIPE,
            stderr=None if program == "pg_ctl" else subprocess.STDOUT,
            text=True,
            check=False,
            cwd=self.folder,
            timeout=300,
            **user,  # type: ignore[call-overload]
        )
        assert bool(done.returncode) == fails, done.stdout
        return str(done.stdout)

    def ask(self, sql: str, *, fails: bool = False) -> str:
        """Return what psql prints of statements, as CSV without a header. It ends at the first that is refused, which one has to be if `fails`."""
        options = ("-X", "-q", "--csv", "-t", "-v", "ON_ERROR_STOP=1")
        return self.run(
            "psql", "-h", str(self.folder), "-U", "asker", "-d", "postgres", *options, text=sql, fails=fails
        )


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


def stand_in(server: Server, types: list[str], address: str) -> None:
    """Make an `invoke_endpoint` that takes these types and no others, keeps what it is given, and asks an endpoint's server at an address.

    VARIADIC "any" needs C. As Aurora's documentation has it: a row of CSV without a header, NULL as an empty field, `text/csv` back.
    """
    places = [f"${place}" for place in range(3, len(types) + 3)]
    kept = ", ".join(f"{place}::text" for place in places)
    fields = ", ".join(f"""coalesce('"' || replace({place}::text, '"', '""') || '"', '')""" for place in places)
    ask = "base64 -d | curl --silent --show-error --fail-with-body -H 'Content-Type: text/csv' -H 'Accept: text/csv' --data-binary @-"
    server.ask(
        f"""DROP SCHEMA IF EXISTS aws_sagemaker CASCADE; CREATE SCHEMA aws_sagemaker;
        CREATE TABLE aws_sagemaker.asked (number serial, endpoint text, batch int, given text[]);
        CREATE UNLOGGED TABLE aws_sagemaker.answered (line text);
        CREATE FUNCTION aws_sagemaker.invoke_endpoint(varchar, int, {", ".join(types)}) RETURNS varchar AS $$
        DECLARE
            body text := translate(encode(convert_to(concat_ws(',', {fields}) || E'\\n', 'UTF8'), 'base64'), E'\\n', '');
        BEGIN
            INSERT INTO aws_sagemaker.asked(endpoint, batch, given) VALUES ($1, $2, ARRAY[{kept}]);
            DELETE FROM aws_sagemaker.answered;
            EXECUTE format('COPY aws_sagemaker.answered FROM PROGRAM %L', 'echo ' || body || $ask$ | {ask} {address}$ask$);
            RETURN (SELECT string_agg(line, E'\\n') FROM aws_sagemaker.answered);
        END $$ LANGUAGE plpgsql"""
    )


class Quiet(WSGIRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Keep the tests' output clean."""


@contextmanager
def answering(plan: Plan, folder: Path) -> Iterator[str]:
    """Serve a model as its endpoint does, by the same application, and yield the address of its invocations."""
    write_bundle(plan.bundle, folder / BUNDLE)
    variables = to_variables(plan.dataset, {"version": "v1", "xgboost": ""}, MODEL_CHARACTERS)
    application = EndpointServer(variables | {"CHURN_MODEL": str(folder)})
    with make_server("127.0.0.1", 0, application, handler_class=Quiet) as endpoint:
        thread = threading.Thread(target=endpoint.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{endpoint.server_port}/invocations"
        finally:
            endpoint.shutdown()
            thread.join()


def create_function(server: Server, plan: Plan) -> None:
    """Run the text as it is printed, but for the extension, which only Aurora has."""
    text = write_aurora_postgresql(plan, "shop-churn")
    server.ask(text.replace("CREATE EXTENSION IF NOT EXISTS aws_ml CASCADE;", ""))


def literal(value: str) -> str:
    return "NULL" if value == "" else "'" + value.replace("'", "''") + "'"


def test_the_database_gets_what_the_endpoint_s_own_server_answers(server: Server, tmp_path: Path) -> None:
    plan = Plan(made_bundle("boosted_trees"), DATASETS["shop"])
    types = [TYPES[field.name] for field in plan.inputs]
    customers = records(landed(40, seed=5))
    rows = [
        ", ".join(f"{literal(one[field.name])}::{kind}" for field, kind in zip(plan.inputs, types, strict=True))
        for one in customers
    ]
    with answering(plan, tmp_path) as address:
        stand_in(server, types, address)
        create_function(server, plan)
        found = server.ask("".join(f"SELECT shop_churn_probability({row});\n" for row in rows))
    assert [float(line) for line in found.split()] == [plan.answer(one).churn_probability for one in customers]
    assert server.ask("SELECT DISTINCT endpoint, batch FROM aws_sagemaker.asked").strip() == "shop-churn,"


def test_a_customer_that_cannot_be_answered_fails_the_query_and_is_no_number(server: Server, tmp_path: Path) -> None:
    plan = Plan(made_bundle("boosted_trees"), DATASETS["shop"])
    types = [TYPES[field.name] for field in plan.inputs]
    nothing = ", ".join(f"NULL::{kind}" for kind in types)
    with answering(plan, tmp_path) as address:
        stand_in(server, types, address)
        create_function(server, plan)
        refused = server.ask(f"SELECT shop_churn_probability({nothing})", fails=True)
    assert "child process exited with exit code 22" in refused  # of curl, for an answer such as 422


def test_hostile_names_are_arguments_and_nothing_else(server: Server, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {name: [f"{each:.3f}" for each in rng.normal(size=200)] for name in HOSTILE}
    rows = rows_of({**columns, "left": ["yes", "no"] * 100}, DATASET, None)
    plan = Plan(fit_bundle(rows, DATASET, "linear"), DATASET)
    names = [field.name for field in plan.inputs]
    assert sorted(names) == sorted(HOSTILE)
    server.ask("CREATE TABLE kept (n int)")
    with answering(plan, tmp_path) as address:
        stand_in(server, ["double precision"] * len(names), address)
        create_function(server, plan)
        found = server.ask(f"SELECT hostile_churn_probability({', '.join(map(str, range(len(names))))})")
    asked = {name: str(place) for place, name in enumerate(names)}
    assert float(found) == plan.answer(asked).churn_probability
    given = server.ask("SELECT array_to_string(given, ' ') FROM aws_sagemaker.asked; SELECT count(*) FROM kept")
    assert given.splitlines() == [" ".join(map(str, range(len(names)))), "0"]
    named = server.ask("SELECT unnest(proargnames) FROM pg_proc WHERE proname = 'hostile_churn_probability'")
    kept = [row[0] if row else "" for row in csv.reader(io.StringIO(named))]
    assert kept == [name if len(name.encode()) <= 63 else "" for name in names]
