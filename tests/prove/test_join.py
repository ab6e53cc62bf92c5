"""The project as a second code location of a Dagster that somebody has: Postgres, a process per asset, runs that wait in the queue."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
import pytest

from resources.catalog.names import SCORE_ASSETS
from resources.catalog.pointers import read_batch, read_current
from resources.catalog.published_tables import open_published_table
from tests.harness.joined import JoinedDagster, find_postgres, running_postgres
from tests.harness.machine import waited

if TYPE_CHECKING:
    from tests.harness.home import Home

pytestmark = pytest.mark.prove

PATIENCE_SECONDS = 1200  # eight processes start one after another


@pytest.fixture
def postgres() -> Iterator[str]:
    programs = find_postgres()
    if programs is None:
        pytest.skip(
            "Expected a PostgreSQL server on this machine; found no initdb. Install postgresql to run this proof."
        )
    with running_postgres(programs) as address:
        yield address


def listed(home: "Home", batch: str) -> set[str]:
    current = read_current(home.lake, "shop", f"retention_list/{batch}")
    assert current is not None
    rows = open_published_table(home.lake, current.prefix + "assignments/").read()
    return set(rows.filter(rows["listed"])["id"].to_pylist())


def test_the_daemon_of_a_dagster_on_postgres_scores_what_lands_and_a_colleagues_run_is_left_alone(
    postgres: str, retrained_home: "Home", copied: Callable[["Home"], "Home"], customers: Callable[..., pa.Table]
) -> None:
    home = copied(retrained_home)
    for batch in ("monday", "tuesday"):
        home.land(customers(), "b.csv", batch=batch)
    dagster = JoinedDagster(home, postgres)
    dagster.start_daemon()

    def both_lists() -> bool | None:
        records = [read_batch(home.lake, "shop", batch) for batch in ("monday", "tuesday")]
        return all(record and record.list for record in records) or None

    waited("both lists", both_lists, patience=PATIENCE_SECONDS)
    with dagster.instance() as instance:

        def scores() -> list[dg.RunRecord]:
            return list(instance.get_run_records(dg.RunsFilter(job_name="shop_score_batch"), ascending=True))

        waited("the runs to end", lambda: all(each.dagster_run.is_finished for each in scores()) or None)
        first, second = scores()
        assert {each.dagster_run.status for each in (first, second)} == {dg.DagsterRunStatus.SUCCESS}
        # The second waited in the queue, where it holds nothing, and not in a process.
        times = sorted((each.start_time or 0.0, each.end_time or 0.0) for each in (first, second))
        assert times[0][1] <= times[1][0]
        started = instance.get_records_for_run(
            first.dagster_run.run_id, of_type=dg.DagsterEventType.STEP_WORKER_STARTED
        )
        assert len(started.records) == len(SCORE_ASSETS)  # a process per asset
        (theirs,) = instance.get_runs(dg.RunsFilter(job_name="long_job"))
        assert theirs.status is dg.DagsterRunStatus.STARTED
    assert not listed(home, "monday") & listed(home, "tuesday")
    assert home.problems() == []
