"""100,000 rows of each table that we have, answered one by one: bit for bit what the batch says of them."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from churn_assets.sample.files import write_sample
from churn_model.serving.fields import RefusedRow
from churn_model.serving.plan import Answer, Plan
from churn_model.spec.dataset import Dataset
from resources.settings import PROJECT
from resources.specs.loader import load_spec
from tests.churn_model.serving.shop import batch_answers, fit_bundle, records, rows_of
from tests.prove.shared_tables import TABLES, read_rows

pytestmark = pytest.mark.prove

ROWS = 100_000


def read_columns(path: Path) -> dict[str, list[str]]:
    with closing(read_rows(path)) as found:
        header, *rows = found
    text = [["" if value is None else str(value) for value in row] for row in rows]
    return dict(zip(map(str, header), map(list, zip(*text, strict=True)), strict=True))


def resampled(columns: dict[str, list[str]], id_column: str | None) -> dict[str, list[str]]:
    """Return `ROWS` of these rows, drawn again and again, each a customer of its own."""
    rng = np.random.default_rng(0)
    some = rng.integers(0, len(next(iter(columns.values()))), ROWS)
    drawn = {name: [values[n] for n in some] for name, values in columns.items()}
    return drawn | ({id_column: [f"R{n}" for n in range(ROWS)]} if id_column else {})


def answer(plan: Plan, record: dict[str, str]) -> Answer | None:
    """Return what the plan says of a record, or none if it refuses it."""
    try:
        return plan.answer(record)._replace(unknown=())
    except RefusedRow:
        return None


def require_equal(dataset: Dataset, columns: dict[str, list[str]]) -> None:
    plan = Plan(fit_bundle(rows_of(columns, dataset, None), dataset, "boosted_trees"), dataset)
    many = resampled(columns, dataset.id_column)
    rows = rows_of(many, dataset, plan.bundle.schema.required)
    assert rows.num_rows > 0.99 * ROWS
    alone = [found for record in records(many) if (found := answer(plan, record)) is not None]
    assert sorted(map(repr, alone)) == sorted(map(repr, batch_answers(plan, rows)))
    assert {answer.will_churn for answer in alone} == {True, False}


@pytest.mark.parametrize("name", TABLES)
def test_every_row_of_a_real_table_is_answered_as_in_a_batch(name: str, shared_data: Path, tmp_path: Path) -> None:
    spec = tmp_path / f"{name}.yaml"
    spec.write_text(TABLES[name].spec, "utf-8")
    require_equal(load_spec(spec), read_columns(shared_data / TABLES[name].file))


def test_every_row_of_the_sample_is_answered_as_in_a_batch(tmp_path: Path) -> None:
    files = write_sample(tmp_path / "landing", tmp_path / "truth", rows=10_000)
    training = next(path for path in sorted((tmp_path / "landing").rglob("*.csv")) if "train" in path.parts)
    assert files
    require_equal(load_spec(PROJECT / "datasets" / "sample.yaml"), read_columns(training))
