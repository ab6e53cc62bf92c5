"""Why customers leave, and what a contact does to them.

ln odds of leaving within 30 days of a snapshot, if left alone = LEVEL + effects of the columns + LATENT_SD x latent. The latent is standard
normal, new each month, and in no column. The effects are a function of the columns *as they land* (rounded, a missing value being a value),
so P(left | the columns) is that function with the latent integrated out, exact to 1e-6 by Gauss-Hermite quadrature.

A contact adds to the ln odds: some can be persuaded (a high bill, no long contract), the annoyed (four service calls, low satisfaction) are
lost anyway, and settled customers under contract are woken up: worse off.
"""

from dataclasses import dataclass

import numpy as np

from churn_assets.sample.population import Snapshots, Switches
from churn_model.arrays import BoolArray, FloatArray

LEVEL = -2.27
LATENT_SD = 0.65
# Mean and standard deviation, measured, of what the columns add: what is left of them when a latent takes over.
COLUMNS_MEAN, COLUMNS_SD = -0.28, 1.46
CONTRACT_EFFECTS = np.array([0.85, -0.5, -1.5])
PAYMENT_EFFECTS = np.array([0.0, 0.0, 0.5, 0.0, 0.0])  # the last is: missing
BILL_MEAN, BILL_SD = 72.0, 16.0
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(24)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


@dataclass(frozen=True)
class Truth:
    """Log odds of leaving, (n,) arrays: what the columns say, what the latent (of standard deviation `sd`) adds, what a contact adds."""

    columns: FloatArray
    latent: FloatArray
    contact: FloatArray
    sd: float

    def probability(self, contacted: BoolArray | bool) -> FloatArray:
        """Return the probability of leaving within the horizon, with and without a contact."""
        return _probability(self.columns + self.latent + np.where(contacted, self.contact, 0.0))

    def probability_given_columns(self, rows: BoolArray, *, contacted: bool) -> FloatArray:
        """Return the same for some rows, given their columns alone."""
        known = self.columns[rows] + (self.contact[rows] if contacted else 0.0)
        return np.asarray(_probability(known[:, None] + self.sd * NODES) @ WEIGHTS, dtype=np.float64)


def truth(rows: Snapshots, switches: Switches) -> Truth:
    """Return the truth about each row."""
    touched = rows.month >= switches.since
    added = effects(rows, np.where(touched, switches.charge_effect, 1.0))
    known = switches.signal * added + (1 - switches.signal) * COLUMNS_MEAN
    sd = float(np.sqrt(LATENT_SD**2 + (1 - switches.signal**2) * COLUMNS_SD**2))
    level = LEVEL + np.where(touched, np.log(switches.odds), 0.0)
    return Truth(level + known, sd * rows.latent, contact_effects(rows), sd)


def effects(rows: Snapshots, charge_effect: FloatArray) -> FloatArray:
    """Return what the columns add to the log odds of leaving."""
    columns = rows.columns
    bill = (_bill(rows) - BILL_MEAN) / BILL_SD
    abroad = columns["international_plan"] * np.clip((columns["international_minutes"] - 20) / 13, 0, 3)
    added = (
        CONTRACT_EFFECTS[columns["contract"].astype(int)]
        + PAYMENT_EFFECTS[columns["payment_method"].astype(int)]
        - 0.9 * np.clip(columns["tenure_months"] / 36, 0, 1)
        + 0.8 * charge_effect * np.clip(bill, -2.5, 2.5)
        + 1.9 * (columns["service_calls"] >= 4)
        + 0.8 * abroad
        + 0.35 * np.nan_to_num(3.4 - columns["satisfaction"], nan=0.0)
    )
    return np.asarray(added, dtype=np.float64)


def contact_effects(rows: Snapshots) -> FloatArray:
    """Return what a contact adds to the log odds of leaving: below zero it helps."""
    columns = rows.columns
    annoyed: BoolArray = (columns["service_calls"] >= 4) | (columns["satisfaction"] <= 2)
    settled: BoolArray = (columns["contract"] > 0) & (columns["tenure_months"] >= 68)
    persuaded = -0.5 - 0.5 * np.clip((_bill(rows) - BILL_MEAN) / BILL_SD, 0, 2)
    return np.where(annoyed, -0.1, np.where(settled, 0.6, persuaded))


def _bill(rows: Snapshots) -> FloatArray:
    charges = [rows.columns[f"{part}_charge"] for part in ("day", "evening", "night", "international")]
    return np.asarray(np.sum(charges, axis=0), dtype=np.float64)


def _probability(log_odds: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-log_odds)), dtype=np.float64)
