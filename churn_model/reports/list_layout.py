"""What is reported of a list as people read it."""

from collections.abc import Mapping
from dataclasses import dataclass

from churn_model.ingest.list_columns import Lacking


@dataclass(frozen=True, kw_only=True)
class LayoutCounts:
    """The customers on the list."""

    contacts: int


@dataclass(frozen=True, kw_only=True)
class ListLayoutReport:
    """A list as people read it: the named columns that files lack, and the commonest first reasons with how many contacts have each."""

    counts: LayoutCounts
    lacking: tuple[Lacking, ...] = ()
    reasons: Mapping[str, int] | None = None
