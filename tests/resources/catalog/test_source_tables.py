from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from churn_model.errors import InputError
from resources.catalog.source_tables import copy_table
from resources.local.lake import LocalLake
from resources.local.tables import LocalTables


class Shop(LocalTables):
    """The user's database, with a table of two customers. `during_copy` is run in it while the table is being copied."""

    during_copy: str = ""

    def change(self, sql: str) -> None:
        with duckdb.connect(self.database) as connection:
            connection.execute(sql)

    def unload(self, table: str, prefix: str) -> list[str]:
        keys = list(super().unload(table, prefix))
        if self.during_copy:
            self.change(self.during_copy)
        return keys


@pytest.fixture
def shop(lake: LocalLake, tmp_path: Path) -> Shop:
    shop = Shop(lake=lake, database=str(tmp_path / "shop.duckdb"))
    shop.change("create schema crm; create table crm.customers as select unnest([1, 2]) as id, 'x' as plan")
    return shop


def test_a_table_that_has_not_changed_is_not_copied_again(lake: LocalLake, shop: Shop) -> None:
    first = copy_table(lake, shop, "telco", "crm.customers")
    written = list(lake.entries(""))
    assert copy_table(lake, shop, "telco", "crm.customers") == first
    assert list(lake.entries("")) == written
    (key,) = first.keys
    with lake.open(key) as stream:
        assert pq.read_table(stream).to_pydict() == {"id": [1, 2], "plan": ["x", "x"]}


def test_a_table_that_has_changed_gets_a_copy_of_its_own_and_its_old_one_back_if_it_changes_back(
    lake: LocalLake, shop: Shop
) -> None:
    first = copy_table(lake, shop, "telco", "crm.customers")
    shop.change("update crm.customers set plan = 'y' where id = 2")
    second = copy_table(lake, shop, "telco", "crm.customers")
    assert second.version != first.version
    assert set(second.keys).isdisjoint(first.keys)
    shop.change("update crm.customers set plan = 'x'")
    assert copy_table(lake, shop, "telco", "crm.customers") == first


def test_a_copy_that_was_cut_is_made_again_without_what_was_left_of_it(lake: LocalLake, shop: Shop) -> None:
    (key,) = shop.unload("crm.customers", f"telco/unloaded/{shop.version('crm.customers')}/")
    lake.put(key, b"half a file")
    lake.put(key.replace("part-0", "left-over"), b"half a file")
    copy = copy_table(lake, shop, "telco", "crm.customers")
    assert copy.keys == [key]
    with lake.open(key) as stream:
        assert pq.read_table(stream).num_rows == 2


def test_a_table_that_changes_while_it_is_copied_is_refused_and_copied_the_next_time(
    lake: LocalLake, shop: Shop
) -> None:
    changing = Shop(lake=lake, database=shop.database, during_copy="insert into crm.customers values (3, 'z')")
    with pytest.raises(InputError, match=r"table crm\.customers to stay as it is.*Run the job again"):
        copy_table(lake, changing, "telco", "crm.customers")
    assert not [entry for entry in lake.entries("") if entry.key.endswith("_manifest.json")]
    (key,) = copy_table(lake, shop, "telco", "crm.customers").keys
    with lake.open(key) as stream:
        assert pq.read_table(stream)["id"].to_pylist() == [1, 2, 3]
