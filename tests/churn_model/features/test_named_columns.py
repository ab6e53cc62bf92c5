"""What is said of columns that a spec names and that did not land, before anything is computed."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from churn_model.errors import InputError
from churn_model.features.named_columns import require_described
from churn_model.ingest.canonical_rows import ingest
from churn_model.ingest.formats.base import LandedFile
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.tables import open_table
from resources.specs.loader import load_spec

DATASETS = Path(__file__).resolve().parents[3] / "datasets"
SHOP = Dataset(name="shop", id="Customer", label=Label(column="Left", positive=("yes",)))
ROWS = pa.schema(
    [
        ("_id", pa.string()),
        ("_hash", pa.uint64()),
        ("_label", pa.int8()),
        ("Day Mins", pa.float64()),
        ("Calls", pa.float64()),
        ("plan", pa.dictionary(pa.int32(), pa.string())),
    ]
)


def test_what_is_ignored_vouched_for_and_derived_from_is_a_landed_column_whatever_its_case() -> None:
    derived = {"per call": "`day mins` / CALLS"}
    require_described(ROWS, replace(SHOP, ignore=("PLAN",), known=("calls", "Per Call"), derived=derived))
    message = (
        "Expected the columns that the spec names under ignore, known and derived; found no '_id', 'plans', 'Cals', 'eve mins'. "
        "Land the file with it, or correct the name (close to 'plans': 'plan'; close to 'Cals': 'Calls'; close to 'eve mins': 'Day Mins')"
    )
    with pytest.raises(InputError) as raised:
        require_described(
            ROWS, replace(SHOP, ignore=("_id", "plans"), known=("Cals",), derived={"sum": "calls + `eve mins`"})
        )
    assert str(raised.value) == message


def test_a_derived_column_does_not_replace_a_landed_one() -> None:
    message = "Expected new names under derived; found 'PLAN', which landed too. Rename the derived column; a landed column is not replaced"
    with pytest.raises(InputError) as raised:
        require_described(ROWS, replace(SHOP, ignore=("gone",), derived={"PLAN": "calls * 2", "new": "calls * 2"}))
    assert "found no 'gone'" in str(raised.value)
    assert message in str(raised.value)


def test_an_expression_over_text_names_both_columns() -> None:
    message = (
        "Expected numbers in 'plan', for the derived 'twice'; found text. Take it out of the expression; or, if it holds numbers "
        "but for a few values, fix those, or write `types: {plan: number}` in the spec, which sets their rows aside."
    )
    with pytest.raises(InputError) as raised:
        require_described(ROWS, replace(SHOP, derived={"twice": "calls + plan"}))
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("larose", "larose_churn.csv"),
        ("leads", "leads.csv"),
        ("synthetic", "synthetic_churn_train.csv"),
        ("telco", "telco_churn.csv"),
    ],
)
def test_the_shipped_specs_name_columns_that_their_tables_have(
    name: str, table: str, shared_data: Path, tmp_path: Path
) -> None:
    dataset = load_spec(DATASETS / f"{name}.yaml")
    ingest([LandedFile(table, shared_data / table)], dataset, tmp_path, expected=None)
    require_described(open_table(tmp_path / "rows").schema, dataset)
