"""What is reported of a retention list."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ListCounts:
    """The scored rows by what was done with them. `listed` are those to contact and those held out; the others are not listed, for one reason each."""

    rows: int
    listed: int
    held_out: int
    to_contact: int
    below_the_cutoff: int
    another_row_of_this_customer: int
    opted_out: int
    listed_not_long_ago: int
    beyond_the_capacity: int
    beyond_the_budget: int

    @property
    def excluded(self) -> dict[str, int]:
        """Return the customers worth contacting who are not contacted, by the reason in words."""
        counts = {
            "opted out": self.opted_out,
            "listed not long ago": self.listed_not_long_ago,
            "beyond the capacity": self.beyond_the_capacity,
            "beyond the budget": self.beyond_the_budget,
            "held out": self.held_out,
        }
        return {reason: count for reason, count in counts.items() if count}


@dataclass(frozen=True, kw_only=True)
class ListMoney:
    """What the contacts on the list cost, and what they are expected to save after that."""

    contact_cost: float
    expected_saving: float


@dataclass(frozen=True, kw_only=True)
class ListReport:
    """A retention list."""

    counts: ListCounts
    metrics: ListMoney
