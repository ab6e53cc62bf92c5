"""What `score` claims of a batch's predictions."""

from churn_model.checks import Claim

SCORED_ONCE = Claim(
    "every_row_is_scored_once",
    description="There is one prediction for each row of the batch, under the same ids in the same order.",
)
KNOWN_VALUES = Claim(
    "categories_hold_known_values",
    description="In each category, hardly more rows than in training hold a value that it did not know; the model takes such values for missing.",
    blocking=False,
)
LIKE_TRAINING = Claim(
    "the_batch_looks_like_training",
    description="No column that matters to the model is blank or unknown in nearly all rows, or a hundred times larger, unless it was so in training.",
)
CLAIMS = (SCORED_ONCE, KNOWN_VALUES, LIKE_TRAINING)
