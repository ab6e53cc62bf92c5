"""Whether a batch looks like training."""

from collections.abc import Mapping

import pyarrow as pa
import pytest

from churn_model.column_types.interface import Feature
from churn_model.features.batch_columns import BatchColumn, describe_batch, find_differences
from churn_model.features.schema import FeatureSchema

FEE = Feature(name="fee", kind="number", median=50.0, low=10.0, high=90.0)
GAIN = Feature(name="gain", kind="number", median=0.0, low=-4.0, high=9.0)
PLAN = Feature(name="plan", kind="category", levels=("a", "b"), shares=(0.5, 0.5))
CITY = Feature(name="city", kind="category", levels=("a", "b"), shares=(0.2, 0.2), rare=0.6)
NOTE = Feature(name="note", kind="number", median=1.0, high=2.0, missing=0.4)
MONTH = Feature(name="day (month)", kind="date", column="day", part="month", median=6.0, high=12.0)
FINE = BatchColumn(missing=0)
SCHEMA = FeatureSchema(features=(FEE, GAIN, PLAN, CITY, NOTE, MONTH))
WEIGHTS = dict.fromkeys(SCHEMA.names, 0.05)


@pytest.mark.parametrize(
    ("differs", "rows", "weights", "found"),
    [
        ({}, 100, WEIGHTS, {}),
        ({"fee": BatchColumn(missing=100)}, 100, WEIGHTS, {"fee": "100 of 100 rows are blank (0% in training)"}),
        ({"fee": BatchColumn(missing=89)}, 100, WEIGHTS, {}),
        ({"fee": BatchColumn(missing=19)}, 19, WEIGHTS, {}),
        ({"note": BatchColumn(missing=100)}, 100, WEIGHTS, {}),
        (
            {"plan": BatchColumn(missing=5, unknown=90)},
            100,
            WEIGHTS,
            {
                "plan": "90 of 100 rows hold a value that training did not know and 5 of 100 rows are blank (0% in training)"
            },
        ),
        ({"city": BatchColumn(missing=0, unknown=99)}, 100, WEIGHTS, {}),
        (
            {"fee": BatchColumn(missing=0, typical=(5000, 9000))},
            100,
            WEIGHTS,
            {"fee": "values are about 100 times as large: 5000, and 50 in training"},
        ),
        ({"fee": BatchColumn(missing=0, typical=(300, 9000))}, 100, WEIGHTS, {}),
        ({"fee": BatchColumn(missing=0, typical=(5000, 900))}, 100, WEIGHTS, {}),
        ({"fee": BatchColumn(missing=0, typical=(0.5, 0.9))}, 100, WEIGHTS, {}),
        (
            {"gain": BatchColumn(missing=0, typical=(0, 900))},
            100,
            WEIGHTS,
            {"gain": "values are about 100 times as large: 900, and 9 in training"},
        ),
        (
            {"day (month)": BatchColumn(missing=100)},
            100,
            WEIGHTS,
            {"day": "100 of 100 rows are blank (0% in training)"},
        ),
        ({"fee": BatchColumn(missing=100)}, 100, WEIGHTS | {"fee": 0.01}, {}),
        (
            {"fee": BatchColumn(missing=100), "gain": BatchColumn(missing=100)},
            100,
            WEIGHTS | {"fee": 0.01, "gain": 0.01},
            {
                "fee": "100 of 100 rows are blank (0% in training)",
                "gain": "100 of 100 rows are blank (0% in training)",
            },
        ),
    ],
)
def test_columns_that_matter_differ_from_training(
    differs: Mapping[str, BatchColumn], rows: int, weights: Mapping[str, float], found: Mapping[str, str]
) -> None:
    columns = {**dict.fromkeys(SCHEMA.names, FINE), **differs}
    assert find_differences(columns, rows, SCHEMA, weights) == found


def test_a_batch_is_described_by_its_missing_unknown_and_typical_values() -> None:
    double = Feature(name="double", kind="number", expression="fee + fee")
    rows = pa.RecordBatch.from_pydict(
        {
            "fee": pa.array([-1.0, None, 3.0, 2.0]),
            "plan": pa.array(["a", "c", None, "A"]).dictionary_encode(),
        }
    )
    assert describe_batch(rows, FeatureSchema(features=(FEE, PLAN, double))) == {
        "fee": BatchColumn(missing=1, typical=(2.0, 2.9)),
        "plan": BatchColumn(missing=1, unknown=2),
        "double": BatchColumn(missing=1, typical=(4.0, 5.8)),
    }
