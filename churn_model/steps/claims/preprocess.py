"""What `preprocess` claims of the splits."""

from churn_model.checks import Claim

DISJOINT = Claim(
    "no_customer_in_two_splits",
    description="A customer's rows are all in one of train, validation and test, and no row is lost.",
)
NO_LEAK = Claim(
    "no_column_gives_the_label_away",
    description="No column predicts the label almost perfectly, repeats it, or is dated after the snapshot.",
)
CLAIMS = (DISJOINT, NO_LEAK)
