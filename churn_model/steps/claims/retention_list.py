"""What `retention_list` claims of a batch's list."""

from churn_model.checks import Claim

RATIO = Claim(
    "the_hold_out_is_the_draw_that_it_should_be",
    description="The share of customers held out by this list is the one that the spec asks for (sample-ratio check, chi-square, p of 0.001 or more).",
    blocking=False,
)
CLAIMS = (RATIO,)
