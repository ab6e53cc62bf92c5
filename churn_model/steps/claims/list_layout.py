"""What `list_layout` claims of a list as people read it."""

from churn_model.checks import Claim

COLUMNS = Claim(
    "the_list_has_the_columns_that_the_spec_names",
    description="Each file of the batch has the columns of `list.columns`. Where one is missing, the list has it blank.",
    blocking=False,
)
CLAIMS = (COLUMNS,)
