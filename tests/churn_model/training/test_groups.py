"""Columns that name customers without being the id."""

from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from churn_model.ingest.row_order import OccurrenceCounter, value_ids
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.training.groups import find_shared_labels

SHOP = Dataset(name="shop", id="none", label=Label(column="left", positive=("yes",)))


def panel(
    spelling: str, *, customers: int = 200, rows: int = 4, seed: int = 1, by_row: bool = False
) -> tuple[pa.Table, list[str]]:
    """Canonical rows of customers with several rows and a label at random: one for each customer, or one for each row."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(rng.permutation(customers), rows)
    ids = {
        "text": pa.array([f"C{n:05d}" for n in numbers]).dictionary_encode(),
        "number": pa.array(700_000_000 + 37.0 * numbers),
        "date": pa.array(numbers.astype(np.int32)).cast(pa.date32()),
        "partly blank": pa.array([f"x{n}" if n % 5 else None for n in numbers]).dictionary_encode(),
    }[spelling]
    left = rng.random(customers * rows) < 0.3 if by_row else rng.random(customers)[numbers] < 0.3
    columns = {"fee": pa.array(rng.random(len(left))), "customer": ids}
    names = [f"{n}" for n in range(len(left))]
    return pa.table({"_id": names, "_label": left.astype(np.int8), **columns}), names


@pytest.mark.parametrize("spelling", ["text", "number", "date", "partly blank"])
@pytest.mark.parametrize("ignore", [(), ("customer",)])
def test_a_column_that_names_customers_is_found_however_it_is_spelled(spelling: str, ignore: tuple[str, ...]) -> None:
    dataset = Dataset(name="shop", label=SHOP.label, ignore=ignore)
    for seed in range(3):
        (found,) = find_shared_labels(panel(spelling, seed=seed)[0], dataset)
        assert (found.column, found.agreement > 0.7) == ("customer", True)


def test_a_column_is_passed_over_if_it_is_vouched_for_or_tells_nothing_or_its_rows_have_one_id() -> None:
    rows, _ = panel("text")
    assert find_shared_labels(rows, Dataset(name="shop", label=SHOP.label, known=("Customer",))) == ()
    assert find_shared_labels(panel("text", by_row=True)[0], SHOP) == ()
    assert find_shared_labels(rows.set_column(0, "_id", rows["customer"].cast(pa.string())), SHOP) == ()


@pytest.mark.parametrize("strength", [1.0, 3.0])
def test_a_quantity_that_tells_the_label_names_nobody(strength: float) -> None:
    rng = np.random.default_rng(3)
    calls = rng.integers(0, 400, 3000)
    left = rng.random(3000) < 1 / (1 + np.exp(-strength * (calls - 250) / 50))
    rows = pa.table(
        {
            "_id": [str(n) for n in range(3000)],
            "_label": left.astype(np.int8),
            "calls": pa.array(calls, pa.float64()),
        }
    )
    assert find_shared_labels(rows, SHOP) == ()


def test_customers_that_landed_twice_are_found_and_a_coarse_table_is_not_taken_for_them() -> None:
    rng = np.random.default_rng(4)
    fee, plan = rng.random(300).round(6), rng.choice(["a", "b", "c"], 300)
    left = rng.random(300) < 0.4

    def table(columns: list[pa.Array], y: np.ndarray) -> pa.Table:
        ids = value_ids(columns, OccurrenceCounter())
        return pa.table({"_id": ids, "_label": y.astype(np.int8)})

    twice = table([pa.array(np.tile(fee, 2))], np.tile(left, 2))
    assert [one.column for one in find_shared_labels(twice, SHOP)] == [""]
    assert find_shared_labels(table([pa.array(plan)], left), SHOP) == ()


def test_occurrences_are_counted_over_arrays_of_any_size() -> None:
    rng = np.random.default_rng(5)
    counter, seen = OccurrenceCounter(), dict[int, int]()
    for size, _ in product((1, 5, 300, 2), range(6)):
        values = rng.integers(0, 40, size).astype(np.uint64)
        expected = []
        for value in values.tolist():
            expected.append(seen.get(value, 0))
            seen[value] = expected[-1] + 1
        assert counter.count_before(values).tolist() == expected
