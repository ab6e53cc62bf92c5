"""The graphs that are swept: what lands, the spec, and the commands, each with the assets of which it is swept."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.aws_faults import SPEC
from resources.aws.lake import S3Lake
from resources.aws.session import AwsSession
from tests.aws.services import REGION
from tests.harness.homes import customers_of_month, training_rows

_ROWS = 2000
_BLIND = "ignore: [contract, tenure_months]\n"
"""What makes a first champion that a retrain without it beats."""
_MANUAL = f"{SPEC}gate: {{promotion: manual}}\n"
_RETRAIN, _SCORE = ("retrain", "shop"), ("score", "shop", "monday")
_DATABASE, _TABLE, _CRAWLER = "theirs", "customers", "nightly"


@dataclass(frozen=True)
class Command:
    """A command of `churn`.

    assets   of which calls fail; none for all, and what is outside of assets
    spec     the table's spec from here on; "" for the one before
    alone    the only asset that is run; "" for the whole command
    """

    arguments: tuple[str, ...]
    assets: tuple[str, ...] = ()
    spec: str = ""
    alone: str = ""


@dataclass(frozen=True)
class Graph:
    """A table with a spec, and what is done with it, one command after the other.

    has_table     whether the training rows are a user's own table
    job_options   of CHURN_JOBS
    """

    name: str
    about: str
    spec: str
    commands: tuple[Command, ...]
    has_table: bool = False
    job_options: Mapping[str, object] = field(default_factory=dict)

    def land(self) -> Mapping[str, pa.Table]:
        """Return what has landed, by key."""
        landed = {"landing/shop/score/monday/customers.csv": customers_of_month()}
        if not self.has_table:
            landed["landing/shop/train/customers.csv"] = training_rows(_ROWS)
        return landed


GRAPHS = (
    Graph("plain", "retrain and score", SPEC, (Command(_RETRAIN), Command(_SCORE))),
    Graph(
        "engines",
        "`search: {engine: tuner}`, `scoring: {engine: transform}`",
        SPEC.replace("search: {trials: 1,", "search: {engine: tuner, trials: 1,") + "scoring: {engine: transform}\n",
        (Command(_RETRAIN, ("tuned_model",)), Command(_SCORE, ("batch_predictions",))),
    ),
    Graph(
        "approval",
        "`gate: {promotion: manual}`, a second champion, and the way back",
        _MANUAL + _BLIND,
        (
            Command(_RETRAIN, ("champion_model",)),
            Command(("promote", "shop")),
            Command(_RETRAIN, ("champion_model",), _MANUAL),
            Command(("promote", "shop"), ("champion_model",)),
            Command(("rollback", "shop")),
        ),
    ),
    Graph(
        "table",
        "`source: {table: ...}`, a user's own table",
        f"{SPEC}source: {{table: {_DATABASE}.{_TABLE}}}\n",
        (Command(_RETRAIN, alone="raw_customers"),),
        has_table=True,
    ),
    Graph(
        "crawler",
        "`source: {table: ..., crawler: ...}`, and a table that its crawler makes",
        f"{SPEC}source: {{table: {_DATABASE}.{_TABLE}, crawler: {_CRAWLER}}}\n",
        (Command(_RETRAIN, alone="raw_customers"),),
        has_table=True,
    ),
    Graph(
        "small",
        "`small_megabytes: 200`, steps in the process of the run",
        SPEC,
        (Command(_RETRAIN, alone="raw_customers"),),
        job_options={"small_megabytes": 200},
    ),
)


def make_users_table(session: AwsSession) -> None:
    """Make a table of customers in the Glue catalog, as a user has it, in a bucket of its own, and its crawler."""
    lake = S3Lake(session=session, bucket=_DATABASE)
    session.client("s3").create_bucket(Bucket=_DATABASE, CreateBucketConfiguration={"LocationConstraint": REGION})
    sink = pa.BufferOutputStream()
    rows = training_rows(_ROWS)
    pq.write_table(rows, sink)
    lake.put("customers/part.parquet", sink.getvalue().to_pybytes())
    kinds = {
        pa.int64(): "bigint",
        pa.float64(): "double",
        pa.string(): "string",
        pa.bool_(): "boolean",
        pa.date32(): "date",
    }
    columns = [{"Name": field.name, "Type": kinds.get(field.type, "string")} for field in rows.schema]
    glue = session.client("glue")
    glue.create_database(DatabaseInput={"Name": _DATABASE})
    targets = {"S3Targets": [{"Path": lake.uri("customers/")}]}
    glue.create_crawler(Name=_CRAWLER, Role="crawls", DatabaseName=_DATABASE, Targets=targets)
    storage = {"Columns": columns, "Location": lake.uri("customers/")}
    glue.create_table(
        DatabaseName=_DATABASE, TableInput={"Name": _TABLE, "TableType": "EXTERNAL_TABLE", "StorageDescriptor": storage}
    )
