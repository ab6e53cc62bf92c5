"""What is reported of a retention list."""

from dataclasses import dataclass

from churn_model.decisions.holdout import FEWEST_HELD_OUT, SMALLEST_RATIO_P, Power


@dataclass(frozen=True, kw_only=True)
class ListCounts:
    """The scored rows by what was done with them. `listed` are those to contact and those held out; the others are not listed, for one reason each.

    `customers`: how many customers the rows are of.
    """

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
    customers: int | None = None

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
    """What the contacts on the list cost, and what they are expected to save after that.

    value_at_stake        what is lost if all those to contact leave
    expected_loss         what they are expected to cost if nobody calls
    expected_loss_of_all  the same of all scored customers
    """

    contact_cost: float
    expected_saving: float
    value_at_stake: float | None = None
    expected_loss: float | None = None
    expected_loss_of_all: float | None = None


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """The hold-out among the listed customers.

    drawn           customers drawn for the first time, by this list; the others on it keep an earlier draw or have none
    drawn_held_out  of them, those held out
    ratio_p         p-value of the sample-ratio check of this draw; None if there are too few to judge
    phases          how many different shares the listed customers were drawn at
    power           what it can show
    """

    drawn: int
    drawn_held_out: int
    ratio_p: float | None
    phases: int
    power: Power


@dataclass(frozen=True, kw_only=True)
class ListReport:
    """A retention list. `holdout` is None if it was made by code that did not evaluate it."""

    counts: ListCounts
    metrics: ListMoney
    holdout: Holdout | None = None


def describe_holdout(holdout: Holdout) -> str:
    """Return in a sentence or two what a hold-out can show, to be read before the list is sent."""
    power = holdout.power
    if holdout.ratio_p is not None and holdout.ratio_p < SMALLEST_RATIO_P:
        return (
            f"No effect can be read from this list: {holdout.drawn_held_out:,} of the {holdout.drawn:,} customers drawn are held out, "
            f"which chance does not explain (p = {holdout.ratio_p:.1g})."
        )
    if not power.held_out:
        return "Nobody is held out: this list cannot show what contacting changes."
    size = f"{power.held_out:,} of {power.compared:,} customers are held out"
    if power.half_width is None or power.expected_churn is None:
        return f"{size}: too few to say what contacting changes (at least {FEWEST_HELD_OUT} are needed)."
    expected = f"{size}; {power.expected_churn:.0%} of them are expected to leave without a contact"
    precision = f"The effect will be known to about plus or minus {100 * power.half_width:.1f} percentage points"
    if power.smallest_effect is None:
        return f"{expected}. {precision}: even if every contacted leaver stayed, this list alone could not show it with 80% power."
    saved = power.smallest_effect / power.expected_churn
    phases = f" The {holdout.phases} shares they were drawn at are compared apart." if holdout.phases > 1 else ""
    return (
        f"{expected}. {precision}; with 80% power it shows if contacting keeps at least {saved:.0%} of the leavers "
        f"({100 * power.smallest_effect:.1f} points).{phases}"
    )
