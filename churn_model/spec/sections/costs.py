"""The section `costs`: what each outcome costs."""

from dataclasses import dataclass, field
from typing import ClassVar

from churn_model.spec.sections.base import FORBID_UNKNOWN, about, require


@dataclass(frozen=True, kw_only=True)
class ValueColumn:
    """A customer's worth, read from a column."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    column: str = field(metadata=about("A numeric column: what is lost when this customer leaves."))


@dataclass(frozen=True, kw_only=True)
class Contact:
    """Costs as a business states them: what a contact costs, how often it works, what a customer is worth."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    cost: float = field(metadata=about("Money that one contact costs, offer included."))
    success: float = field(
        default=1.0,
        metadata=about(
            "Share of contacted leavers who stay. 1.0 is an assumption, and is named wherever money is shown."
        ),
    )
    value: float | ValueColumn = field(
        metadata=about("Money lost when a customer leaves: a number, or {column: name}.")
    )

    def __post_init__(self) -> None:
        fixed = self.value if isinstance(self.value, float | int) else None
        worth = "correct the cost of a contact, how often it works, or what a customer is worth"
        require(
            (self.cost > 0, "cost", "more than 0", f"{self.cost:g}", "write what one contact costs, such as 40"),
            (
                0 < self.success <= 1,
                "success",
                "a share above 0, up to 1",
                f"{self.success:g}",
                "write for example 0.3",
            ),
            (
                fixed is None or fixed * self.success > self.cost,
                "",
                "value x success above cost",
                f"{fixed} x {self.success:g} against {self.cost:g}: contacting never pays",
                worth,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What each outcome costs, in money per customer; lower is better. Either the four cells or `contact`.

    In the terms of `contact`: TN = 0, FP = cost, FN = value, TP = cost + (1 - success) x value.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    false_negative: float = field(default=500.0, metadata=about("Left, and was not contacted."))
    false_positive: float = field(default=100.0, metadata=about("Would have stayed, and was contacted."))
    true_positive: float = field(
        default=100.0, metadata=about("Would have left, and was contacted. As low as a contact: every contact works.")
    )
    true_negative: float = field(default=0.0, metadata=about("Stayed, and was not contacted."))
    contact: Contact | None = field(default=None, metadata=about("Instead of the four cells."))

    def __post_init__(self) -> None:
        require(
            (
                self.false_positive > self.true_negative,
                "",
                "false_positive above true_negative",
                f"{self.false_positive:g} and {self.true_negative:g}",
                "correct one of them: a contact must cost something",
            ),
            (
                self.false_negative > self.true_positive,
                "",
                "false_negative above true_positive",
                f"{self.false_negative:g} and {self.true_positive:g}",
                "correct one of them: a customer lost must cost more than one contacted",
            ),
        )

    @property
    def value_column(self) -> str | None:
        """The column of customers' worth, if costs differ by row."""
        value = self.contact.value if self.contact else None
        return value.column if isinstance(value, ValueColumn) else None
