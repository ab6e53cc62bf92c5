"""The section `source`: where training rows come from."""

import re
from dataclasses import dataclass, field
from typing import ClassVar

from churn_model.spec.sections.base import FORBID_UNKNOWN, about, require

_CRAWLER_NAME = 255


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where training rows come from."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    landing: bool = field(default=True, metadata=about("Files dropped into landing/<dataset>/train."))
    table: str | None = field(default=None, metadata=about("Instead: a table you already have, `database.table`."))
    crawler: str | None = field(
        default=None,
        metadata=about("On AWS, beside `table`: the Glue crawler that is run and waited for before the table is read."),
    )
    sheet: str | None = field(
        default=None,
        metadata=about("The sheet of landed Excel workbooks that holds the customers. None: the first visible one."),
    )

    def __post_init__(self) -> None:
        named = self.table is None or re.fullmatch(r"[^.`\"]+\.[^.`\"]+", self.table) is not None
        todo = "write table: database.table, or remove the section"
        require(
            (named, "table", "database.table", repr(self.table), todo),
            (self.landing or self.table is not None, "", "landing: true or table: database.table", "neither", todo),
            (
                self.crawler is None or (self.table is not None and 1 <= len(self.crawler) <= _CRAWLER_NAME),
                "crawler",
                f"a crawler's name of at most {_CRAWLER_NAME} characters, beside a table",
                repr(self.crawler)[:60] if self.table else "no table",
                "write table: database.table beside it, or remove it",
            ),
        )
