"""Lists as the asset makes them, by the real steps and ledger: nobody is listed twice within the cooldown, whatever is scored when, and with
whichever columns."""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_assets.assets.retention_list import enter, lay_out
from churn_model.reports.step_report import PublishedFile
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList
from churn_model.steps.contract import Layout, digest_file
from churn_model.tables import write_table
from resources.catalog.ledger import Entry, Ledger, describe_standing, find_standing
from resources.catalog.names import LIST, ledger_key
from resources.catalog.pointers import BatchRecord, Current
from resources.catalog.publish import Publication
from resources.catalog.published_tables import open_published_table
from resources.local.lake import LocalLake
from resources.local.runner import LocalRunner
from resources.ports.lake import Manifest
from resources.ports.runner import StepRequest

SHOP = Dataset(
    name="shop",
    id="id",
    label=Label(column="left", positive=("yes",)),
    costs=Costs(contact=Contact(cost=10.0, value=500.0)),
    list=RetentionList(cooldown="30d", capacity=4, holdout=0.3),
)
START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CUSTOMERS = {"monday": range(8), "tuesday": range(4, 12)}


class InThisProcess(LocalRunner):
    """The local runner, but for the process that it would start."""

    def _run_process(self, request: StepRequest, root: Path, lock: IO[str]) -> None:
        layout = Layout(root)
        layout.write_report(request.step, importlib.import_module(f"churn_model.steps.{request.step}").step(layout))


class Shop:
    """Two scored batches that share customers."""

    def __init__(self, folder: Path) -> None:
        self.lake = LocalLake(root=str(folder / "lake"))
        self.runner = InThisProcess(lake=self.lake, runs=str(folder / "runs"), python="", threads=1)
        self.records, self.predictions = {}, {}
        for batch, customers in CUSTOMERS.items():
            landed = f"landing/shop/score/{batch}/a.csv"
            self.lake.put(landed, b"ID,Phone\n" + b"".join(b"C%d,+%d\n" % (n, n) for n in customers))
            path = Path(self.lake.uri(landed))
            contents = {landed: f"{path.stat().st_size}:{digest_file(path)}"}
            rows = self.publish(f"shop/raw_batch/{batch}/r/", "rows/", pa.table({"_id": []}), contents)
            self.records[batch] = BatchRecord(batch, "f", "l", START.isoformat(), rows, Current("m", "m/"))
            scored = pa.table(
                {
                    "id": [f"C{n}" for n in customers],
                    "churn_probability": [0.9 - n / 100 for n in customers],
                    "will_churn": [True] * len(customers),
                    "expected_saving": [300.0 - n for n in customers],
                    "reason_1": ["tenure: 3: raises the risk"] * len(customers),
                }
            )
            self.predictions[batch] = self.publish(f"shop/batch_predictions/{batch}/p/", "predictions/", scored, {})

    def publish(self, prefix: str, table: str, rows: pa.Table, upstream: dict[str, str]) -> Current:
        write_table(Path(self.lake.uri(prefix + table)), rows)
        (path,) = Path(self.lake.uri(prefix + table)).iterdir()
        file = PublishedFile(path.stat().st_size, digest_file(path), rows.num_rows)
        self.lake.publish(prefix, Manifest(prefix.split("/")[-2], {table + path.name: file}, upstream))
        return Current(prefix.split("/")[-2], prefix)

    def score(self, batch: str, now: datetime, columns: Sequence[str] = (), capacity: int = 4) -> Publication:
        limits = replace(SHOP.list, columns=tuple(columns), capacity=capacity)
        dataset = replace(SHOP, list=limits)
        entered = enter(self.lake, self.runner, dataset, self.records[batch], self.predictions[batch], now)
        self.layout = lay_out(self.lake, self.runner, dataset, self.records[batch], entered)
        return entered

    def entries(self) -> tuple[Entry, ...]:
        return Ledger.from_json(self.lake.read(ledger_key("shop"))).entries

    def listed(self, prefix: str) -> set[str]:
        rows = open_published_table(self.lake, f"{prefix}assignments/").read()
        return set(rows.filter(rows["listed"])["id"].to_pylist())

    def people(self) -> list[str]:
        return self.lake.read(self.layout.prefix + LIST).decode().splitlines()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_another_column_lays_out_the_same_list(shop: Shop) -> None:
    first = shop.score("monday", START)
    plain = shop.people()
    again = shop.score("monday", START + DAY, columns=("phone", "name"))
    assert (again.prefix, again.reused, len(shop.entries())) == (first.prefix, True, 1)
    with_columns = shop.people()
    assert with_columns[0].startswith('"rank","id","phone","name","churn_probability","value_at_stake"')
    assert len(plain) == len(with_columns) > 1
    for line in with_columns[1:]:
        _, name, phone, *_ = line.split(",")
        assert phone == name.replace('"C', "\"'+")
    assert [check.passed for check in shop.layout.report.checks] == [False]


def test_a_batch_that_is_scored_again_says_when_its_customers_were_contacted(shop: Shop) -> None:
    shop.score("monday", START)
    now = START + 3 * DAY
    again = shop.score("monday", now, capacity=8)
    standing = find_standing(shop.lake, SHOP, "monday", again.current, now)
    assert describe_standing(standing, "30d") == (
        "This batch had a list on 2026-01-01. Whoever was on it counts as contacted and is on no list again, this one included, for 30d.",
    )
    shop.score("tuesday", now)
    assert find_standing(shop.lake, SHOP, "tuesday", shop.entries()[-1].current, now).earlier == ()


def test_a_list_that_is_dated_in_the_future_says_so(shop: Shop) -> None:
    shop.score("monday", START + 400 * DAY)
    entered = shop.score("tuesday", START)
    standing = find_standing(shop.lake, SHOP, "tuesday", entered.current, START)
    assert standing.is_ahead
    (note,) = describe_standing(standing, "30d")
    assert note.startswith("This list is dated 2027-02-05, which is in the future: an earlier list was made by a clock")
    assert not find_standing(shop.lake, SHOP, "tuesday", entered.current, START + 400 * DAY).is_ahead


class Scored(NamedTuple):
    """A batch scored, so many days after the one before, which may be a clock set back, with these columns and this capacity."""

    batch: str
    days: int
    columns: tuple[str, ...]
    capacity: int


SCORED = st.builds(
    Scored,
    batch=st.sampled_from(sorted(CUSTOMERS)),
    days=st.sampled_from([-40, -1, 0, 1, 15, 31]),
    columns=st.sampled_from([(), ("phone",), ("phone", "name")]),
    capacity=st.sampled_from([2, 4, 20]),
)


@settings(max_examples=15, deadline=None)
@given(runs=st.lists(SCORED, min_size=2, max_size=5))
def test_in_any_order_nobody_is_listed_twice_within_the_cooldown(runs: list[Scored]) -> None:
    with TemporaryDirectory() as folder:
        shop, now = Shop(Path(folder)), START
        for run in runs:
            now += run.days * DAY
            entered = shop.score(run.batch, now, run.columns, run.capacity)
            on_paper = {line.split(",")[1].strip('"') for line in shop.people()[1:]}
            assert on_paper <= shop.listed(entered.prefix)
        for one, other in combinations(shop.entries(), 2):
            if abs(other.time - one.time) <= 30 * DAY:
                assert not shop.listed(one.prefix) & shop.listed(other.prefix)
