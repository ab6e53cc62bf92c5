"""Nobody is listed twice within the cooldown, whatever is scored when, and by how many at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_model.reports.step_report import PublishedFile, StepReport
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList
from resources.catalog.ledger import Entry, History, Ledger, enter_list
from resources.catalog.names import RETENTION_LIST, current_key, ledger_key
from resources.catalog.pointers import Current, point_to
from resources.catalog.publish import Publication
from resources.local.lake import LocalLake
from resources.ports.lake import MANIFEST, Lake, Manifest

SHOP = Dataset(
    name="shop", id="id", label=Label(column="left", positive=("yes",)), list=RetentionList(cooldown="30d", capacity=2)
)
START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
_REPORT = (
    b'{"schema": 1, "step": "retention_list", "counts": {}, "metrics": {}, "checks": [], "detail": {}, "files": {}}'
)


@dataclass
class Shop:
    """A lake with lists, and who is on each of them. A batch's content names the customers who would be worth contacting."""

    lake: Lake
    lists: dict[str, list[str]] = field(default_factory=dict)
    made: int = 0

    def score(
        self, batch: str, content: str, now: datetime, meanwhile: Callable[[], object] = lambda: None
    ) -> Publication:
        """Score a batch; `meanwhile` happens after its list is made and before it enters the ledger, once."""
        others = iter([meanwhile])

        def make(history: History) -> Publication:
            self.made += 1
            contacted = {name for entry in history.recent for name in self.lists[entry.prefix]}
            version = f"{content}-{abs(hash(tuple(history.upstream.items())))}"
            prefix = f"shop/retention_list/{batch}/{version}/"
            self.lists[prefix] = [name for name in content if name not in contacted][: SHOP.list.capacity]
            self.lake.put(prefix + "report.json", _REPORT)
            self.lake.publish(prefix, Manifest(version, {}, {"inputs": content}))
            next(others, lambda: None)()
            return Publication(version, prefix, StepReport.from_json(_REPORT), reused=False)

        return enter_list(self.lake, SHOP, batch, content, now, make)

    def entries(self) -> tuple[Entry, ...]:
        return Ledger.from_json(self.lake.read(ledger_key("shop"))).entries


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(LocalLake(root=str(tmp_path / "lake")))


def test_a_second_batch_lists_nobody_of_the_first_within_the_cooldown(shop: Shop) -> None:
    first = shop.score("monday", "abc", START)
    assert shop.lists[first.prefix] == ["a", "b"]
    assert shop.lists[shop.score("tuesday", "abc", START + 30 * DAY).prefix] == ["c"]
    assert shop.lists[shop.score("later", "abc", START + 31 * DAY).prefix] == ["a", "b"]


def test_a_repeat_finds_its_list_and_does_not_see_itself(shop: Shop) -> None:
    first = shop.score("monday", "abc", START)
    again = shop.score("monday", "abc", START + DAY)
    assert (again.prefix, again.reused, shop.made) == (first.prefix, True, 1)
    assert len(shop.entries()) == 1


def test_the_contacts_of_a_list_count_when_its_batch_is_replaced_and_when_the_first_file_comes_back(shop: Shop) -> None:
    shop.score("monday", "abc", START)
    assert shop.lists[shop.score("monday", "abcd", START + DAY).prefix] == ["c", "d"]
    assert shop.lists[shop.score("monday", "abc", START + 2 * DAY).prefix] == []


def test_a_clock_that_was_set_back_forgets_nobody(shop: Shop) -> None:
    shop.score("monday", "abc", START + 40 * DAY)
    assert shop.lists[shop.score("tuesday", "abc", START).prefix] == ["c"]
    assert [entry.time for entry in shop.entries()] == [START + 40 * DAY] * 2


def test_a_scorer_that_lost_makes_its_list_again(shop: Shop) -> None:
    entered = shop.score("monday", "abc", START, lambda: shop.score("tuesday", "ab", START))
    assert shop.lists[entered.prefix] == ["c"]
    assert [entry.batch for entry in shop.entries()] == ["tuesday", "monday"]
    assert shop.made == 3


def test_of_two_scorers_of_one_batch_the_second_takes_the_list_of_the_first(shop: Shop) -> None:
    entered = shop.score("monday", "abc", START, lambda: shop.score("monday", "abc", START))
    assert entered.reused
    assert [entry.prefix for entry in shop.entries()] == [entered.prefix]


def test_entries_that_no_list_has_to_respect_leave_and_their_batch_still_finds_its_list(shop: Shop) -> None:
    first = shop.score("monday", "abc", START)
    point_to(shop.lake, current_key("shop", RETENTION_LIST, "monday"), Current(first.version, first.prefix))
    shop.score("later", "z", START + 91 * DAY)
    assert [entry.batch for entry in shop.entries()] == ["later"]
    again = shop.score("monday", "abc", START + 92 * DAY)
    assert (again.prefix, again.reused) == (first.prefix, True)


def test_a_hold_out_is_settled_longer_than_a_cooldown(shop: Shop) -> None:
    shop.score("monday", "abc", START)
    ledger = Ledger(shop.entries())
    history = ledger.history(START + 60 * DAY, timedelta(days=30))
    assert (list(history.recent), [entry.batch for entry in history.settled]) == ([], ["monday"])
    assert list(ledger.history(START + 91 * DAY, timedelta(days=30)).settled) == []
    assert list(ledger.history(START, timedelta(0)).recent) == []


def test_a_damaged_list_is_made_again_against_the_lists_before_it_also_at_one_time(lake: LocalLake) -> None:
    shop = Shop(lake)
    shop.score("monday", "ab", START)
    tuesday = shop.score("tuesday", "abcd", START)
    manifest = Path(lake.uri(tuesday.prefix + MANIFEST))
    manifest.write_bytes(b"")
    again = shop.score("tuesday", "abcd", START + DAY)
    assert (again.version, shop.lists[again.prefix]) == (tuesday.version, ["c", "d"])
    assert len(shop.entries()) == 2


def test_a_damaged_list_that_has_left_the_ledger_is_followed_by_a_new_one(lake: LocalLake) -> None:
    shop = Shop(lake)
    prefix = "shop/retention_list/monday/old/"
    lake.put(prefix + "list/list.csv", b"id\na\n")
    files = {"list/list.csv": PublishedFile(99, "00" * 16)}
    lake.publish(prefix, Manifest("old", {}, {"inputs": "ab"}))
    lake.put(prefix + MANIFEST, Manifest("old", files, {"inputs": "ab"}).to_json())
    lake.swap(ledger_key("shop"), None, Ledger().to_json())
    point_to(lake, current_key("shop", RETENTION_LIST, "monday"), Current("old", prefix))
    made = shop.score("monday", "ab", START)
    assert made.prefix != prefix
    assert [entry.version for entry in shop.entries()] == [made.version]


scorings = st.lists(
    st.tuples(
        st.sampled_from(["monday", "tuesday", "wednesday"]),
        st.text("abcdef", min_size=1, max_size=4).map(lambda text: "".join(dict.fromkeys(text))),
        st.integers(-50, 50),  # days since the one before: the clock may be set back
        st.booleans(),  # in between the making and the entering of the next
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(steps=scorings)
def test_in_any_order_with_any_repeat_and_any_clock_nobody_is_listed_twice_within_the_cooldown(
    steps: list[tuple[str, str, int, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    shop = Shop(LocalLake(root=str(tmp_path_factory.mktemp("lake"))))
    seen: dict[str, Entry] = {}
    now, waiting = START + 365 * DAY, None
    for batch, content, days, inside in steps:
        now += days * DAY
        if inside:
            waiting = (batch, content, now)
            continue
        meanwhile = waiting or (batch, content, now)
        shop.score(batch, content, now, lambda meanwhile=meanwhile: shop.score(*meanwhile))  # type: ignore[misc]
        waiting = None
        seen |= {entry.prefix: entry for entry in shop.entries()}
    entries = list(seen.values())
    assert all(before.time <= after.time for before, after in pairwise(entries))
    for number, entry in enumerate(entries):
        for other in entries[number + 1 :]:
            if other.time - entry.time <= 30 * DAY:
                assert not set(shop.lists[entry.prefix]) & set(shop.lists[other.prefix])
