"""A table that a crawler keeps: the crawl is the one that was asked for, and how it ended is known."""

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.aws.crawlers import require_resting, run_crawler
from resources.aws.lake import S3Lake
from resources.aws.tables import AthenaTables
from resources.catalog.integrity import find_whole
from resources.catalog.source_tables import copy_table
from resources.errors import TablesError
from resources.settings import PROJECT
from tests.aws.crawlers import held_crawls
from tests.aws.faults import KILLED, Death, Killed, failing
from tests.aws.iam import allowing_statement, read_policies, recorded_calls
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


def name_changes(operation: str, _headers: Mapping[str, str]) -> str:
    """Name all calls alike that change anything: a kill after another leaves what one after the change before it leaves."""
    verb = operation.partition(".")[2]
    return verb if verb.startswith(("Get", "List", "Head")) else "a change"


@pytest.mark.prove
def test_a_worker_that_is_killed_after_any_change_leaves_what_the_next_one_makes_a_whole_copy_of(
    tables: AthenaTables,
) -> None:
    crawler, table = make_crawler(tables, "nightly"), f"{tables.database}.customers"
    athena, where = tables.session.client("athena"), {"WorkGroup": tables.athena.workgroup}
    number, queries, paid = 0, 0, list[int]()
    while True:
        number += 1
        put(tables.lake, {"id": ["a", "b"], "minutes": [1.5, float(number)]})
        death = Death("a change", KILLED, number, name=name_changes)
        with failing(death), suppress(Killed):
            copy_table(tables.lake, tables, "telco", table, crawler=crawler)
        copy = copy_table(tables.lake, tables, "telco", table, crawler=crawler)
        rows = pa.concat_tables(pq.read_table(tables.lake.open(key)) for key in copy.keys).sort_by("id")
        assert rows.to_pydict() == {"id": ["a", "b"], "minutes": [1.5, float(number)]}
        assert find_whole(tables.lake, f"telco/unloaded/{copy.version}/") is not None
        if not death.is_gone:
            break
        asked = len(athena.list_query_executions(**where)["QueryExecutionIds"])
        paid.append(asked - queries)
        queries = asked
    # The crawl, the note, the query, two files; the note goes, the rows go; the manifest.
    assert paid == [1, 1, 1, 1, 1, 2, 2, 1]


def test_a_crawl_that_fails_is_told_in_its_own_words(tables: AthenaTables) -> None:
    crawler = make_crawler(tables, "empty")
    with pytest.raises(TablesError, match=r"to succeed; found FAILED: nothing in s3://.*See its log in CloudWatch"):
        tables.crawl(crawler)
    with pytest.raises(TablesError, match=r"Expected a crawler nobody; found none of that name in this region\. Corr"):
        tables.crawl("nobody")


def test_a_table_that_a_crawler_rewrites_at_the_moment_is_refused_before_a_query_is_paid(
    tables: AthenaTables,
) -> None:
    crawler, table = make_crawler(tables, "nightly"), f"{tables.database}.customers"
    put(tables.lake, {"id": ["a"], "minutes": [1.5]})
    tables.crawl(crawler)
    put(tables.lake, {"id": ["a", "b"], "minutes": [1.5, 2.5]})
    with held_crawls():
        tables.session.client("glue").start_crawler(Name=crawler)
        with recorded_calls("any") as recording, pytest.raises(TablesError) as error:
            copy_table(tables.lake, tables, "telco", table)
        assert str(error.value) == (
            f"Expected that nobody rewrites the table {table} while it is read; found its crawler {crawler}, which is RUNNING. Run the job again once it "
            f"has ended, or write `crawler: {crawler}` beside `table` in the spec, so that it is waited for."
        )
        assert [call.action for call in recording.orchestrator if call.action.startswith("athena:")] == []
    copy = copy_table(tables.lake, tables, "telco", table, crawler=crawler)  # which waits for it
    with held_crawls():
        tables.session.client("glue").start_crawler(Name=crawler)
        assert copy_table(tables.lake, tables, "telco", table) == copy  # nothing has changed that was to be read


def test_a_crawler_that_is_gone_or_may_not_be_looked_at_stops_nothing() -> None:
    warnings: list[str] = []
    for code in ("EntityNotFoundException", "AccessDeniedException"):
        require_resting(Refusing(code), "nightly", "crm.customers", warn=warnings.append)  # type: ignore[arg-type]
    assert warnings == [
        "Whether the crawler nightly is rewriting crm.customers cannot be seen: grant glue:GetCrawler on it."
    ]
    with pytest.raises(TablesError, match=r"look at the crawler nightly, which wrote .*found ExpiredTokenException"):
        require_resting(Refusing("ExpiredTokenException"), "nightly", "crm.customers", warn=warnings.append)  # type: ignore[arg-type]


def test_the_rights_that_the_docs_name_are_those_that_a_users_table_takes(tables: AthenaTables) -> None:
    """Beside the stack's own policy: each call is allowed, and each of their statements is used."""
    crawler, table = make_crawler(tables, "nightly"), f"{tables.database}.customers"
    put(tables.lake, {"id": ["a"]})
    with recorded_calls(tables.database) as recording:
        copy_table(tables.lake, tables, "telco", table, crawler=crawler)
    page = (PROJECT / "docs/tasks/run_on_aws.md").read_text("utf-8")
    theirs = "[" + page.partition("```text\n[")[2].partition("```")[0]
    for name, ours in {
        "crm-nightly": crawler,
        "crm-data/customers/": f"{tables.lake.bucket}/{tables.lake.prefix}own/customers/",
        "crm-data": tables.lake.bucket,
        "/crm": f"/{tables.database}",
    }.items():
        theirs = theirs.replace(name, ours)
    own = {"Stack": tables.database, "ExistingBucket": tables.lake.bucket, "ExistingKey": "key", "JobRole.Arn": "jobs"}
    policies = read_policies({**own, "ImageAccount": "141502667606"})
    # The stack's own database is another one than the user's.
    stack = [each for each in policies.orchestrator if each["Sid"] != "MoveTables"]
    used = {call: allowing_statement([*json.loads(theirs), *stack], call) for call in {*recording.orchestrator}}
    assert [call for call, statement in used.items() if not statement] == []
    assert {str(each["Sid"]) for each in json.loads(theirs)} <= set(used.values())


class Refusing:
    """A session whose calls are all refused with a code."""

    def __init__(self, code: str) -> None:
        self.code = code

    def client(self, _service: str) -> "Refusing":
        return self

    def get_crawler(self, Name: str) -> None:  # noqa: N803
        from botocore.exceptions import ClientError

        raise ClientError({"Error": {"Code": self.code, "Message": Name}}, "GetCrawler")


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
