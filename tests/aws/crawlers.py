"""Crawlers that crawl: moto keeps them, and a crawl reads the schema of what is in the bucket and writes it into the catalog."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import boto3
import pyarrow.parquet as pq
from botocore.config import Config
from moto.glue.exceptions import CrawlerRunningException
from moto.glue.models import FakeCrawler

CRAWLER = "UPDATED_BY_CRAWLER"
"""The parameter of a table that names the crawler that last wrote it."""
CRAWLS = "crawls"
"""What the agents of a crawler's own clients say of themselves: a crawler has a role of the user's."""
_TYPES = {"int64": "bigint", "double": "double", "bool": "boolean", "date32[day]": "date"}


class Crawl(threading.Thread):
    """One crawl."""

    def __init__(self, crawler: FakeCrawler) -> None:
        super().__init__(daemon=True)
        self.crawler = crawler
        self.status, self.error, self.prefix, self.begun = "RUNNING", "", str(uuid4()), datetime.now(UTC)

    def run(self) -> None:
        _may_write.wait()
        try:
            for target in self.crawler.targets["S3Targets"]:
                _crawl(self.crawler, target["Path"])
            self.status = "SUCCEEDED"
        except Exception as error:
            self.error, self.status = str(error), "FAILED"

    def describe(self) -> dict[str, Any]:
        error = {"ErrorMessage": self.error} if self.error else {}
        log = {"LogGroup": "/aws-glue/crawlers", "LogStream": self.crawler.name, "MessagePrefix": self.prefix}
        return {**log, "StartTime": self.begun.timestamp(), "Status": self.status, **error}


_may_write = threading.Event()
_may_write.set()


@contextmanager
def held_crawls() -> Iterator[None]:
    """Let crawls that begin meanwhile write nothing before the end: until then they run."""
    _may_write.clear()
    try:
        yield
    finally:
        _may_write.set()


def _crawl(crawler: FakeCrawler, path: str) -> None:
    """Let the table named after a folder have the columns of its first file."""
    database = crawler.database_name
    bucket, _, prefix = path.removeprefix("s3://").partition("/")
    s3, glue = (boto3.client(each, config=Config(user_agent_extra=CRAWLS)) for each in ("s3", "glue"))
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    if not found:
        raise ValueError(f"nothing in {path}")
    body = s3.get_object(Bucket=bucket, Key=found[0]["Key"])["Body"].read()
    columns = [
        {"Name": each.name, "Type": _TYPES.get(str(each.type), "string")} for each in pq.read_schema(io.BytesIO(body))
    ]
    table = {"Name": prefix.rstrip("/").rpartition("/")[2], "TableType": "EXTERNAL_TABLE"}
    table["Parameters"] = {CRAWLER: crawler.name}  # type: ignore[assignment]
    table["StorageDescriptor"] = {"Columns": columns, "Location": path}  # type: ignore[assignment]
    names = {each["Name"] for each in glue.get_tables(DatabaseName=database)["TableList"]}
    write = glue.update_table if table["Name"] in names else glue.create_table
    write(DatabaseName=database, TableInput=table)


def install() -> None:
    """Let moto's crawlers crawl. Their state is RUNNING until a crawl has ended; `LastCrawl` is the last that has."""
    describe = FakeCrawler.as_dict

    def crawls_of(crawler: FakeCrawler) -> list[Crawl]:
        crawls: list[Crawl] = crawler.__dict__.setdefault("real_crawls", [])
        return crawls

    def start(self: FakeCrawler) -> None:
        if any(crawl.status == "RUNNING" for crawl in crawls_of(self)):
            raise CrawlerRunningException(f"Crawler with name {self.name} has already started")
        crawls_of(self).append(Crawl(self))
        crawls_of(self)[-1].start()

    def as_dict(self: FakeCrawler) -> dict[str, Any]:
        crawls = crawls_of(self)
        ended = [crawl for crawl in crawls if crawl.status != "RUNNING"]
        state = "READY" if len(ended) == len(crawls) else "RUNNING"
        return {**describe(self), "State": state, **({"LastCrawl": ended[-1].describe()} if ended else {})}

    FakeCrawler.start_crawler = start  # type: ignore[method-assign]
    FakeCrawler.as_dict = as_dict  # type: ignore[method-assign]
