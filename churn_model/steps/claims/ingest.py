"""What `ingest` claims of a landed table."""

from churn_model.checks import Claim

ACCOUNTED = Claim(
    "every_record_is_accounted_for",
    description="Each physical record that landed is a row or in quarantine with its reason: the counts agree.",
)
CONTRACT = Claim(
    "landed_data_keeps_the_contract",
    description="The columns that the spec names are there, and at most one record in ten is in quarantine.",
)
BOTH_CLASSES = Claim(
    "both_classes_are_present",
    description="Some customers left and some stayed: otherwise there is nothing to learn.",
)
