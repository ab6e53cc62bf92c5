"""A model on judged rows: its probabilities there, and which of them cannot have trained it.

Belongs here: what every judgement of a bundle begins with. Does not belong here: what the probabilities are worth (`evaluation`), two models
against each other (`comparison`).
"""

import pyarrow as pa

from churn_model.decisions.costs import BoolArray
from churn_model.evaluation.comparison import unseen_by_champion
from churn_model.evaluation.metrics import Scores
from churn_model.features.encoding import encode
from churn_model.features.schema import as_numbers, column_named
from churn_model.models.bundle import Bundle
from churn_model.spec.dataset import Dataset, FloatArray, Split


def score_rows(rows: pa.Table, bundle: Bundle, dataset: Dataset) -> Scores:
    """Canonical rows (n) with the bundle's own schema, model and calibration, and with today's worth of each.

    Raises InputError where the rows lack a column that the model or the costs need.
    """
    p = bundle.calibration.apply(bundle.model.probabilities(encode(rows, bundle.schema, bundle.model.family)))
    return Scores(ids=rows["_hash"].to_numpy(), y=rows["_label"].to_numpy(), p=p, worth=_worth(rows, dataset))


def rows_unseen_by(rows: pa.Table, bundle: Bundle, today: Split) -> BoolArray:
    """Which rows cannot have trained the bundle: (n,). See `comparison.unseen_by_champion`."""
    return unseen_by_champion(rows["_id"].to_pylist(), champion=Split(**bundle.about["split"]), today=today)


def _worth(rows: pa.Table, dataset: Dataset) -> FloatArray | None:
    name = dataset.costs.value_column
    return as_numbers(column_named(rows, name), name) if name else None
