"""A user's Glue crawler, run and awaited: the catalog then shows what is in the table's storage."""

from collections.abc import Callable, Mapping
from typing import Any

from churn_model.errors import problem
from resources.aws.jobs.clock import Clock, Pace, SystemClock
from resources.aws.session import AwsSession, aws_errors, code_of
from resources.errors import TablesError

_SHORTEST, _LONGEST = 0.5, 30.0  # seconds between two calls
_PATIENCE = 7_200.0  # seconds for a crawl, and for the one before it
_READY, _SUCCEEDED = "READY", "SUCCEEDED"


def run_crawler(
    session: AwsSession, name: str, *, say: Callable[[str], None] = lambda _line: None, clock: Clock | None = None
) -> None:
    """Start a crawler and wait until that crawl has succeeded. Raise TablesError.

    A crawl that runs already may have passed by what is new: it is waited for, and another one is started.
    """
    from botocore.exceptions import ClientError

    glue, clock = session.client("glue"), clock or SystemClock()
    with aws_errors(TablesError, f"to run the crawler {name}"):
        try:
            while True:
                before = _wait(glue, name, clock, None)
                if _start(glue, name):
                    break
        except ClientError as error:
            if code_of(error) != "EntityNotFoundException":
                raise
            raise TablesError(
                problem(
                    expected=f"a crawler {name}",
                    found="none of that name in this region",
                    todo="correct `source.crawler` in the spec, or remove it",
                )
            ) from error
        say(f"The crawler {name} runs; it takes a few minutes.")
        last = _wait(glue, name, clock, _identity(before)).get("LastCrawl", {})
    status = str(last.get("Status", "no status"))
    if status != _SUCCEEDED:
        reason = str(last.get("ErrorMessage", "no reason")).strip().rstrip(".")
        where = f"{last.get('LogGroup', '/aws-glue/crawlers')}, stream {last.get('LogStream', name)}"
        raise TablesError(
            problem(
                expected=f"the crawler {name} to succeed",
                found=f"{status}: {reason}",
                todo=f"see its log in CloudWatch ({where}), then run the job again",
            )
        )


def require_resting(session: AwsSession, name: str, table: str, *, warn: Callable[[str], None]) -> None:
    """Raise TablesError if the crawler that last wrote a user's table runs: it may be rewriting columns and partitions at this moment.

    It is not waited for, since nobody asked for that crawl: two schedules meet, and would meet again. A crawler that is gone rewrites nothing. One
    that may not be looked at is passed over with a warning: a table that changes while it is copied is found all the same.
    """
    from botocore.exceptions import ClientError

    with aws_errors(TablesError, f"to look at the crawler {name}, which wrote the table {table}"):
        try:
            state = session.client("glue").get_crawler(Name=name)["Crawler"]["State"]
        except ClientError as error:
            if code_of(error) == "EntityNotFoundException":
                return
            if code_of(error) != "AccessDeniedException":
                raise
            warn(f"Whether the crawler {name} is rewriting {table} cannot be seen: grant glue:GetCrawler on it.")
            return
    if state != _READY:
        raise TablesError(
            problem(
                expected=f"that nobody rewrites the table {table} while it is read",
                found=f"its crawler {name}, which is {state}",
                todo=f"run the job again once it has ended, or write `crawler: {name}` beside `table` in the spec, so that it is waited for",
            )
        )


def _start(glue: Any, name: str) -> bool:
    """Start a crawler. Return False if it runs already."""
    from botocore.exceptions import ClientError

    try:
        glue.start_crawler(Name=name)
    except ClientError as error:
        if code_of(error) != "CrawlerRunningException":
            raise
        return False
    return True


def _wait(glue: Any, name: str, clock: Clock, before: object) -> Mapping[str, Any]:
    """Wait until a crawler rests and, unless `before` is None, its last crawl is another than that. Return its description."""
    pace, begin = Pace(clock, _SHORTEST, _LONGEST), clock.now()
    while True:
        crawler: Mapping[str, Any] = glue.get_crawler(Name=name)["Crawler"]
        if crawler["State"] == _READY and (before is None or _identity(crawler) != before):
            return crawler
        if clock.now() - begin > _PATIENCE:
            raise TablesError(
                problem(
                    expected=f"the crawler {name} to end within {_PATIENCE / 3600:.0f} hours",
                    found=f"that it is {crawler['State']}",
                    todo="look at it in Glue, then run the job again",
                )
            )
        pace.wait()


def _identity(crawler: Mapping[str, Any]) -> tuple[str, str]:
    """Return what tells a crawler's last crawl from the one before it."""
    last = crawler.get("LastCrawl", {})
    return str(last.get("StartTime", "")), str(last.get("MessagePrefix", ""))
