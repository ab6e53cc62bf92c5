"""Score rows with a bundle for its evaluation, and find those that cannot have trained it."""

import pyarrow as pa

from churn_model.arrays import BoolArray
from churn_model.decisions.policy import Policy
from churn_model.evaluation.comparison import unseen_by_champion
from churn_model.evaluation.metrics import Scores
from churn_model.models.bundle import Bundle
from churn_model.spec.sections.split import Split


def score_rows(rows: pa.Table, bundle: Bundle, policy: Policy) -> Scores:
    """Score canonical rows (n) with the bundle's own schema, model and calibration, at today's worth of each customer.

    Raise InputError if the rows lack a column that the model or the costs need.
    """
    return Scores(
        ids=rows["_hash"].to_numpy(),
        y=rows["_label"].to_numpy(),
        p=bundle.probabilities(rows),
        worth=policy.worth(rows),
    )


def rows_unseen_by(rows: pa.Table, bundle: Bundle, today: Split) -> BoolArray:
    """Return which rows (n,) cannot have trained the bundle. See `comparison.unseen_by_champion`."""
    return unseen_by_champion(rows["_id"].to_pylist(), champion=Split(**bundle.about["split"]), today=today)
