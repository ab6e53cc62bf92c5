"""A table that a crawler keeps: the crawl is the one that was asked for, and how it ended is known."""

import io
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.aws.crawlers import run_crawler
from resources.aws.lake import S3Lake
from resources.aws.tables import AthenaTables
from resources.catalog.source_tables import copy_table
from resources.errors import TablesError
from tests.aws.tables import make_aws_tables
from tests.resources.aws.jobs.conftest import FakeClock


@pytest.fixture
def tables(aws_lake: S3Lake) -> AthenaTables:
    return make_aws_tables(aws_lake)


def put(lake: S3Lake, columns: dict[str, Any]) -> None:
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written)
    lake.put("own/customers/a.parquet", written.getvalue())


def make_crawler(tables: AthenaTables, name: str) -> str:
    targets = {"S3Targets": [{"Path": tables.lake.uri("own/customers/")}]}
    name = f"{name}-{tables.lake.bucket}"
    tables.session.client("glue").create_crawler(
        Name=name, Role="crawls", DatabaseName=tables.database, Targets=targets
    )
    return name


def test_a_table_is_read_as_its_crawler_leaves_it(tables: AthenaTables) -> None:
    crawler, table = make_crawler(tables, "nightly"), f"{tables.database}.customers"
    put(tables.lake, {"id": ["a"], "minutes": [1.5]})
    first = copy_table(tables.lake, tables, "telco", table, crawler=crawler)
    put(tables.lake, {"id": ["a", "b"], "minutes": [1.5, 2.5], "plan": ["x", "y"]})
    second = copy_table(tables.lake, tables, "telco", table, crawler=crawler)
    assert first.version != second.version
    rows = pa.concat_tables(pq.read_table(tables.lake.open(key)) for key in second.keys).sort_by("id")
    assert rows.to_pydict() == {"id": ["a", "b"], "minutes": [1.5, 2.5], "plan": ["x", "y"]}
    assert copy_table(tables.lake, tables, "telco", table, crawler=crawler) == second  # nothing has changed


def test_a_crawl_that_fails_is_told_in_its_own_words(tables: AthenaTables) -> None:
    crawler = make_crawler(tables, "empty")
    with pytest.raises(TablesError, match=r"to succeed; found FAILED: nothing in s3://.*See its log in CloudWatch"):
        tables.crawl(crawler)
    with pytest.raises(TablesError, match=r"Expected a crawler nobody; found none of that name in this region\. Corr"):
        tables.crawl("nobody")


class Glue:
    """A crawler whose states are given, one for each look. `starts` says how each start ends: False if it runs already."""

    def __init__(self, looks: list[tuple[str, int, str]], starts: list[bool]) -> None:
        self.looks, self.starts = looks, starts

    def get_crawler(self, Name: str) -> dict[str, Any]:  # noqa: N803
        state, crawl, status = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        last = {"StartTime": datetime(2026, 1, crawl, tzinfo=UTC), "Status": status} if crawl else {}
        return {"Crawler": {"Name": Name, "State": state, **({"LastCrawl": last} if last else {})}}

    def start_crawler(self, Name: str) -> None:  # noqa: N803
        from botocore.exceptions import ClientError

        if not self.starts.pop(0):
            raise ClientError({"Error": {"Code": "CrawlerRunningException", "Message": Name}}, "StartCrawler")


class Session:
    def __init__(self, glue: Glue) -> None:
        self.glue = glue

    def client(self, _service: str) -> Glue:
        return self.glue


def run(looks: list[tuple[str, int, str]], starts: list[bool]) -> Glue:
    glue = Glue(looks, starts)
    run_crawler(Session(glue), "c", clock=FakeClock())  # type: ignore[arg-type]
    return glue


@pytest.mark.parametrize("id_", ["airflow 62016, aws-ddk 206"])
def test_a_crawl_that_was_running_is_waited_for_and_not_taken_for_ours(id_: str) -> None:
    busy = [("RUNNING", 1, "SUCCEEDED"), ("STOPPING", 1, "SUCCEEDED"), ("READY", 2, "SUCCEEDED")]
    ours = [("READY", 2, "SUCCEEDED"), ("RUNNING", 2, "SUCCEEDED"), ("READY", 3, "SUCCEEDED")]
    assert run([*busy, *ours], [True]).looks == [("READY", 3, "SUCCEEDED")]
    # Somebody else starts it between our look and our start.
    raced = [
        ("READY", 1, "SUCCEEDED"),
        ("RUNNING", 1, "SUCCEEDED"),
        ("READY", 2, "SUCCEEDED"),
        ("READY", 3, "SUCCEEDED"),
    ]
    glue = run(raced, [False, True])
    assert (glue.starts, glue.looks) == ([], [("READY", 3, "SUCCEEDED")])


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "a new one"])
def test_every_other_ending_is_a_failure(status: str) -> None:
    with pytest.raises(TablesError, match=f"to succeed; found {status}: no reason"):
        run([("READY", 1, "SUCCEEDED"), ("READY", 2, status)], [True])


def test_a_crawler_that_never_ends_is_not_waited_for_forever() -> None:
    with pytest.raises(TablesError, match="to end within 2 hours; found that it is RUNNING"):
        run([("READY", 1, "SUCCEEDED"), ("RUNNING", 1, "SUCCEEDED")], [True])
