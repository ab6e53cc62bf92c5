"""The section `split`: train, validation and test."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from churn_model.spec.sections.base import FORBID_UNKNOWN, about, require


@dataclass(frozen=True, kw_only=True)
class Split:
    """How rows are divided into train, validation and test."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    by: Literal["hash", "column", "time"] = field(
        default="hash",
        metadata=about("hash: by hashed id. column: a column says it. time: by as_of, later rows are tested."),
    )
    column: str | None = field(
        default=None, metadata=about("With `by: column`: the column that holds train, validation or test.")
    )
    validation: float | None = field(
        default=None, metadata=about("Share of customers that helps to choose hyperparameters. Left open: 0.2.")
    )
    test: float | None = field(
        default=None,
        metadata=about(
            "Share of customers that decides promotion and nothing else. Left open: 0.1, more on a table with few leavers."
        ),
    )
    seed: int = field(default=1729, metadata=about("Another seed is another split."))

    def __post_init__(self) -> None:
        shares = "write shares such as validation: 0.2 and test: 0.1"
        validation, test = self.validation_share, self.test_share
        total = validation + test
        require(
            (0 < validation < 1, "validation", "a share between 0 and 1", f"{validation:g}", shares),
            (0 < test < 1, "test", "a share between 0 and 1", f"{test:g}", shares),
            (total < 1, "", "validation and test to add up to less than 1", f"{total:g}", shares),
            (
                self.by != "column" or bool(self.column),
                "",
                "a column beside by: column",
                "none",
                "write `column: <name>`, the column that holds train, validation or test",
            ),
            (
                self.by == "column" or not self.column,
                "",
                "a column only beside by: column",
                f"one beside by: {self.by}",
                "write by: column, or remove the column",
            ),
        )

    @property
    def validation_share(self) -> float:
        """The share of customers in validation; 0.2 if it is left open."""
        return 0.2 if self.validation is None else self.validation

    @property
    def test_share(self) -> float:
        """The share of customers in test; 0.1 if it is left open, until `split_shares.choose_shares` has seen the table."""
        return 0.1 if self.test is None else self.test
