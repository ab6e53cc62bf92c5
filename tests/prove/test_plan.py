"""100,000 rows of each table that we have, answered one by one: bit for bit what the batch says of them."""

import csv
from pathlib import Path

import numpy as np
import pytest

from churn_assets.sample.files import write_sample
from churn_model.serving.plan import Plan
from resources.settings import PROJECT
from resources.specs.loader import load_specs
from tests.churn_model.serving.shop import batch_answers, fit_bundle, records, rows_of

pytestmark = pytest.mark.prove

ROWS = 100_000
FILES = {
    "telco": "telco_churn.csv",
    "larose": "larose_churn.csv",
    "leads": "leads.csv",
    "synthetic": "synthetic_churn.csv",
}


def read_columns(path: Path) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def resampled(columns: dict[str, list[str]], id_column: str | None) -> dict[str, list[str]]:
    """Return `ROWS` of these rows, drawn again and again, each a customer of its own."""
    rng = np.random.default_rng(0)
    some = rng.integers(0, len(next(iter(columns.values()))), ROWS)
    drawn = {name: [values[n] for n in some] for name, values in columns.items()}
    return drawn | ({id_column: [f"R{n}" for n in range(ROWS)]} if id_column else {})


def require_equal(name: str, columns: dict[str, list[str]]) -> None:
    dataset = load_specs(PROJECT / "datasets").datasets[name]
    plan = Plan(fit_bundle(rows_of(columns, dataset, None), dataset, "boosted_trees"), dataset)
    many = resampled(columns, dataset.id_column)
    rows = rows_of(many, dataset, plan.bundle.schema.required)
    assert rows.num_rows == ROWS
    alone = [plan.answer(record)._replace(unknown=()) for record in records(many)]
    assert sorted(map(repr, alone)) == sorted(map(repr, batch_answers(plan, rows)))
    assert {answer.will_churn for answer in alone} == {True, False}


@pytest.mark.parametrize("name", FILES)
def test_every_row_of_a_real_table_is_answered_as_in_a_batch(name: str, shared_data: Path) -> None:
    require_equal(name, read_columns(shared_data / FILES[name]))


def test_every_row_of_the_sample_is_answered_as_in_a_batch(tmp_path: Path) -> None:
    files = write_sample(tmp_path / "landing", tmp_path / "truth", rows=10_000)
    training = next(path for path in sorted((tmp_path / "landing").rglob("*.csv")) if "train" in path.parts)
    assert files
    require_equal("sample", read_columns(training))
