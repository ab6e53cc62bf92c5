"""Who is contacted: one rule for batches, evaluations, comparisons and lists.

A policy turns probabilities and each customer's worth into decisions at today's costs. It is no part of a model: a new price changes
decisions and refits nothing.
"""

from dataclasses import dataclass

import numpy as np

from churn_model.arrays import BoolArray, FloatArray
from churn_model.column_types.number import as_numbers
from churn_model.decisions.costs import OutcomeCosts, outcome_costs
from churn_model.features.schema import Rows, column_named
from churn_model.spec.sections.costs import Costs

PROVISIONAL = "provisional-"
"""What `model_version` begins with if the gate refused the model."""


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What to do with n customers.

    contact          (n,) whether contacting is expected to pay
    expected_saving  (n,) money that contacting a customer is expected to save, compared with not contacting; negative below the cutoff
    cutoff           the probability from which a customer is contacted; a scalar, or (n,) if each customer has a worth
    """

    contact: BoolArray
    expected_saving: FloatArray
    cutoff: FloatArray


@dataclass(frozen=True)
class Policy:
    """Whom to contact at these costs."""

    costs: Costs

    @property
    def assumed_success(self) -> float:
        """The share of contacted leavers assumed to stay. Name it wherever money is shown."""
        return self.costs.contact.success if self.costs.contact else 1.0

    @property
    def contact_cost(self) -> float:
        """The money that one contact costs."""
        contact = self.costs.contact
        return contact.cost if contact else self.costs.false_positive - self.costs.true_negative

    def worth(self, rows: Rows) -> FloatArray | None:
        """Return the worth of each row (n,), or None if every customer is worth the same.

        Raise InputError if the rows lack the column of customers' worth or hold text there.
        """
        name = self.costs.value_column
        if not name:
            return None
        column = column_named(rows, name)
        # Without the column, `outcome_costs` reports it.
        return None if column is None else as_numbers(column, name)

    def outcome_costs(self, worth: FloatArray | None = None, *, success: float | None = None) -> OutcomeCosts:
        """Return the costs of the four outcomes, one value per row if `worth` (n,) is read. See `costs.outcome_costs`."""
        return outcome_costs(self.costs, worth, success=success)

    def decide(self, p: FloatArray, worth: FloatArray | None = None) -> Decisions:
        """Decide for calibrated probabilities p (n,) and the worth (n,) of each customer, if the costs read a column.

        Raise InputError if a worth is missing, negative or infinite.
        """
        return decide(p, self.outcome_costs(worth))


def decide(p: FloatArray, costs: OutcomeCosts) -> Decisions:
    """Decide for calibrated probabilities p (n,) at the costs of each outcome."""
    cutoff = bayes_cutoff(costs)
    saving = p * costs.leaver_gain - (1.0 - p) * costs.contact_cost
    return Decisions(contact=np.asarray(p >= cutoff), expected_saving=np.asarray(saving), cutoff=cutoff)


def bayes_cutoff(costs: OutcomeCosts) -> FloatArray:
    """Return the probability from which contacting is the cheaper choice: (FP - TN) / ((FP - TN) + (FN - TP)), scalar or (n,).

    It is infinite if contacting never pays. Elkan, The Foundations of Cost-Sensitive Learning (2001), equation 2.
    """
    contact, gain = np.broadcast_arrays(costs.contact_cost, costs.leaver_gain)
    pays = gain > 0
    return np.where(pays, contact / np.where(pays, contact + gain, 1.0), np.inf)
