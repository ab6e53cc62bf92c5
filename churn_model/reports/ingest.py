"""What step `ingest` reports."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class IngestCounts:
    """Records that landed, what became of them, and the rows of customers who left (None for a batch to score)."""

    records: int
    rows: int
    quarantined: int
    files: int
    positives: int | None = None


@dataclass(frozen=True, kw_only=True)
class IngestReport:
    """A landed table. None: not evaluated by the version that wrote it.

    kinds            what each landed column holds
    columns          the table's columns with their Arrow types
    ignored_columns  landed columns that the model does not read
    reasons          why records are in quarantine, and how many for each reason
    missing_words    by column, the words that were read as missing, and how many records hold each
    remarks          by file, what it does not declare and how it was read all the same: its encoding, lines above its header
    """

    counts: IngestCounts
    columns: Mapping[str, str]
    kinds: Mapping[str, str] | None = None
    ignored_columns: tuple[str, ...] | None = None
    reasons: Mapping[str, int] | None = None
    missing_words: Mapping[str, Mapping[str, int]] | None = None
    remarks: Mapping[str, tuple[str, ...]] | None = None
