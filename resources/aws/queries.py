"""SQL on Athena: a query is awaited, stopped with the run that asked for it, and its failure explained."""

import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dagster as dg

from churn_model.errors import problem
from resources.aws.session import AwsSession, aws_errors, open_session
from resources.errors import TablesError

if TYPE_CHECKING:
    import pandas as pd

_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 10.0
_UNFINISHED = ("QUEUED", "RUNNING")


class Athena(dg.ConfigurableResource):
    """Queries in one workgroup, which names where results go and how much a query may scan."""

    session: AwsSession
    workgroup: str

    def run(self, sql: str, database: str, token: str = "") -> str:
        """Run a statement and return its id once it has succeeded. Raise TablesError with Athena's reason.

        token: of 32 characters or more: a statement that was started with it before is awaited, whatever has become of it.

        If this process is interrupted, the statement is stopped: it would go on and be paid for.
        """
        import awswrangler as wr
        from botocore.exceptions import BotoCoreError, ClientError

        with aws_errors(TablesError, "Athena to run a statement"):
            query = str(
                wr.athena.start_query_execution(  # type: ignore[call-overload]  # its stubs do not know the token
                    sql,
                    database=database,
                    workgroup=self.workgroup,
                    boto3_session=self._boto3,
                    client_request_token=token or None,
                    wait=False,
                )
            )
            try:
                return self._wait_for(query)
            except BaseException:
                # Refused for a statement that has ended, which is as good; what went wrong first is what is said.
                with suppress(BotoCoreError, ClientError):
                    self.session.client("athena").stop_query_execution(QueryExecutionId=query)
                raise

    def result(self, sql: str, database: str) -> "pd.DataFrame":
        """Return the rows of a query."""
        import awswrangler as wr

        query = self.run(sql, database)
        with aws_errors(TablesError, "the result of an Athena query"):
            return wr.athena.get_query_results(query, boto3_session=self._boto3)

    def _wait_for(self, query: str) -> str:
        wait = _FIRST_WAIT_SECONDS
        client = self.session.client("athena")
        while True:
            status = client.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
            if status["State"] not in _UNFINISHED:
                break
            time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 -- spreads requests, keeps no secret
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
        if status["State"] != "SUCCEEDED":
            reason = str(status.get("StateChangeReason", "no reason")).strip().rstrip(".")
            raise TablesError(
                problem(
                    expected=f"Athena to run the query {query}",
                    found=f"{status['State']}: {reason}",
                    todo=_remedy(reason),
                )
            )
        return query

    @property
    def _boto3(self) -> Any:
        return open_session(self.session.region)


def _remedy(reason: str) -> str:
    lower = reason.lower()
    if "lake formation" in lower or "insufficient permissions" in lower:
        return "grant the role SELECT and DESCRIBE on the table in Lake Formation, then run the job again"
    if "bytes scanned limit" in lower:
        return "raise the workgroup's limit of scanned bytes, then run the job again"
    if "does not exist" in lower or "not found" in lower:
        return "create the table, correct `source` in the spec, or remove `source` and land files: `churn land`"
    if "hive_partition_schema_mismatch" in lower:
        return "drop the table in Glue: it is made anew with the next batch"
    return "see the query in Athena's history, then run the job again"
