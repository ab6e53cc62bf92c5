"""The machine's clock is set back between two batches: nobody is listed twice, nothing waits for the old time, and it is said."""

from collections.abc import Callable

import duckdb
import pytest

from tests.harness.home import Home
from tests.harness.homes import Homes, customers_of_month

pytestmark = pytest.mark.prove
DAY = 86_400


def listed(home: Home) -> dict[str, int]:
    """Return how often each customer is on a list that is shown."""
    with duckdb.connect(str(home.path / "tables.duckdb"), read_only=True) as connection:
        return dict(
            connection.execute("select id, count(*) from shop.retention_list where listed group by id").fetchall()
        )


@pytest.mark.parametrize("days", [-1, -400], ids=["by a day", "by more than a year"])
def test_of_two_lists_the_second_by_a_clock_set_back_nobody_is_on_both(
    homes: Homes, copied: Callable[[Home], Home], days: int
) -> None:
    home = copied(homes.scored)
    first = listed(home)
    home.land(customers_of_month(), "again.csv", batch="tuesday")
    ended = home.churn("score", "shop", "tuesday", plan={"clock": days * DAY})
    assert ended.code == 0
    both = listed(home)
    assert len(both) > len(first) > 0
    assert set(both.values()) == {1}
    assert "which is in the future: an earlier list was made by a clock that was ahead" in ended.said
