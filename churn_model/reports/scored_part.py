"""What is known of the predictions of one part of a batch, or of all of it: the facts of which the report of step `score` is made.

Batch Transform has no folder for a report, so its predictions carry them in their Parquet footer.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from churn_model.records import RecordError, from_plain, to_plain
from churn_model.reports.step_report import ReportError

FOOTER = b"churn.scored_part"
"""The key of the facts in a Parquet file's metadata."""


@dataclass(frozen=True, kw_only=True)
class ScoredPart:
    """The predictions of a part.

    source       digest of the part as it was read, as manifests hold it; "" if it was read from a folder
    rows         that the part holds, and `written`: predictions of it
    same_ids     whether the predictions have the part's ids in its order
    probability  the sum of all probabilities; `saving`: of the expected saving of those to be contacted
    unknown      by category, rows that hold a value that training did not know; `usual`: the share of those that is no surprise
    differences  by column, how the part's first rows differ from those of training
    """

    version: str
    source: str = ""
    rows: int
    written: int
    contacted: int
    same_ids: bool
    probability: float
    saving: float
    unknown: Mapping[str, int]
    usual: Mapping[str, float]
    differences: Mapping[str, str]
    model_version: str
    columns: Mapping[str, str]
    lineage: Mapping[str, tuple[str, ...]]

    def to_footer(self) -> dict[bytes, bytes]:
        """Return the entry of a Parquet file's metadata."""
        return {FOOTER: json.dumps(to_plain(self), sort_keys=True, ensure_ascii=False).encode()}

    @classmethod
    def from_footer(cls, metadata: Mapping[bytes, bytes] | None) -> "ScoredPart":
        """Return the facts in a Parquet file's metadata. Raise ReportError if there are none that this code can read."""
        try:
            return from_plain(cls, json.loads((metadata or {})[FOOTER]))
        except (KeyError, ValueError, RecordError) as error:
            raise ReportError(
                f"Expected the facts of a scored part in a Parquet footer; found {type(error).__name__}. Run the job again"
            ) from error
