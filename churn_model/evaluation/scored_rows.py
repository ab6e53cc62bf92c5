"""A model on judged rows: its probabilities there, and which of them cannot have trained it.

Belongs here: what every judgement of a bundle begins with. Does not belong here: what the probabilities are worth (`evaluation`), two models
against each other (`comparison`).
"""

import pyarrow as pa

from churn_model.arrays import BoolArray
from churn_model.decisions.policy import Policy
from churn_model.evaluation.comparison import unseen_by_champion
from churn_model.evaluation.metrics import Scores
from churn_model.models.bundle import Bundle
from churn_model.spec.dataset import Split


def score_rows(rows: pa.Table, bundle: Bundle, policy: Policy) -> Scores:
    """Canonical rows (n) with the bundle's own schema, model and calibration, and with today's worth of each.

    Raises InputError where the rows lack a column that the model or the costs need.
    """
    return Scores(
        ids=rows["_hash"].to_numpy(),
        y=rows["_label"].to_numpy(),
        p=bundle.probabilities(rows),
        worth=policy.worth(rows),
    )


def rows_unseen_by(rows: pa.Table, bundle: Bundle, today: Split) -> BoolArray:
    """Which rows cannot have trained the bundle: (n,). See `comparison.unseen_by_champion`."""
    return unseen_by_champion(rows["_id"].to_pylist(), champion=Split(**bundle.about["split"]), today=today)
