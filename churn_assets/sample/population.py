"""Who the customers are, and their columns as they land in each month, with the switches that spoil them.

Belongs here: draws and rounding. Does not belong here: what makes a customer leave (`truth`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import FloatArray, IntArray
from churn_model.errors import ChurnError, listed, problem

TRAINING_MONTHS = 6
BATCHES = 12
BLOCK = 8192
JOIN = 0.14  # new customers a month, as a share of those there in the first: about as many as leave

YES_NO = ("no", "yes")
REGIONS = ("north", "east", "south", "west", "centre", "coast")
CONTRACTS = ("month-to-month", "one year", "two years")
PAYMENTS = ("bank transfer", "credit card", "electronic check", "mailed check")
LEVELS: Mapping[str, tuple[str, ...]] = {
    "region": REGIONS,
    "contract": CONTRACTS,
    "payment_method": PAYMENTS,
    "international_plan": YES_NO,
    "voice_mail_plan": YES_NO,
    "do_not_call": YES_NO,
}
# Poisson's distribution function (means 1.5 and 4), rounded: the same counts on every machine.
SERVICE_CALLS = np.array([0.2231, 0.5578, 0.8088, 0.9344, 0.9814, 0.9955, 0.9991])
INTERNATIONAL_CALLS = np.array([0.0183, 0.0916, 0.2381, 0.4335, 0.6288, 0.7851, 0.8893, 0.9489, 0.9786, 0.9919, 0.9972])


@dataclass(frozen=True)
class Number:
    """How a number lands: its standard deviation in the unspoiled sample, its range, its decimals."""

    sd: float
    low: float
    high: float
    decimals: int


NUMBERS: Mapping[str, Number] = {
    "tenure_months": Number(28.8, 0, 120, 0),
    "voice_mail_messages": Number(13.9, 0, 60, 0),
    "day_minutes": Number(45.0, 0, 1000, 1),
    "evening_minutes": Number(55.0, 0, 1000, 1),
    "night_minutes": Number(60.0, 0, 1000, 1),
    "international_minutes": Number(13.0, 0, 500, 1),
    "day_charge": Number(7.5, 0, 500, 2),
    "evening_charge": Number(5.9, 0, 500, 2),
    "night_charge": Number(4.7, 0, 500, 2),
    "international_charge": Number(3.6, 0, 500, 2),
    "international_calls": Number(2.0, 0, 30, 0),
    "service_calls": Number(1.22, 0, 20, 0),
    "satisfaction": Number(1.04, 1, 5, 0),
    "handset_age_months": Number(10.5, 0, 120, 0),
    "annual_value": Number(309.0, 60, 5000, 2),
}
LANDED = (
    "region", "tenure_months", "contract", "payment_method", "international_plan", "voice_mail_plan", "voice_mail_messages", "day_minutes",
    "evening_minutes", "night_minutes", "international_minutes", "day_charge", "evening_charge", "night_charge", "international_charge",
    "international_calls", "service_calls", "satisfaction", "handset_age_months", "annual_value", "do_not_call",
)  # fmt: skip


def require(*rules: tuple[bool, str, object]) -> None:
    """Raise ChurnError with every broken rule: (holds, what was expected, what was found)."""
    broken = [
        problem(expected=expected, found=str(found)[:40], todo="change it")
        for holds, expected, found in rules
        if not holds
    ]
    if broken:
        raise ChurnError(listed(broken))


@dataclass(frozen=True, kw_only=True)
class Switches:
    """What is done to the sample. The defaults do nothing.

    `drift_column` and `drift_sd`: a number moves by so many of its standard deviations, before it is held to its range; what follows from
    it (a charge from minutes) follows. `odds`: everyone's odds of leaving are multiplied. `charge_effect`: the effect of the sum of charges
    is multiplied (-1 turns it round). `leak`: a column `retention_call_minutes`, above zero for this share of leavers and 1% of stayers,
    empty in batches. `signal`: the columns' effects are multiplied and the latent takes over what they lose; 0 is a label that is noise to
    every column. `since`: the first month (0: of training, 6: the first batch) that drift, odds and charge_effect touch.
    """

    drift_column: str | None = None
    drift_sd: float = 0.0
    odds: float = 1.0
    charge_effect: float = 1.0
    leak: float = 0.0
    signal: float = 1.0
    since: int = 0

    def __post_init__(self) -> None:
        months = TRAINING_MONTHS + BATCHES
        require(
            (
                self.drift_column is None or self.drift_column in NUMBERS,
                f"drift_column: one of {', '.join(NUMBERS)}",
                self.drift_column,
            ),
            (self.drift_sd == 0 or self.drift_column is not None, "a drift_column beside drift_sd", self.drift_column),
            (self.odds > 0, "odds: a factor above 0", self.odds),
            (0 <= self.leak <= 1, "leak: a share from 0 to 1", self.leak),
            (0 <= self.signal <= 1, "signal: a factor from 0 to 1", self.signal),
            (0 <= self.since < months, f"since: a month from 0 to {months - 1}", self.since),
        )


@dataclass(frozen=True)
class Snapshots:
    """Customer-months of one block, a customer's beside each other: (n,) arrays.

    `columns` as they land: numbers with NaN for missing, levels as codes with -1 for missing. `latent`, `outcome` and `leak` are the draws
    that no column holds: standard normal, uniform, uniform.
    """

    customer: IntArray
    month: IntArray
    columns: dict[str, FloatArray]
    latent: FloatArray
    outcome: FloatArray
    leak: FloatArray


def snapshots(seed: int, block: int, months: int, switches: Switches) -> Snapshots:
    """Return the customers of a block from the month in which they appear, for the first `months` months, as if all stayed."""
    fixed, entry = _customers(_stream(seed, block, 0))
    drawn = [_month_draws(_stream(seed, block, 1 + month)) for month in range(months)]
    who, when = np.nonzero(entry[:, None] <= np.arange(months))
    own = {name: values[who] for name, values in fixed.items()}
    now = {name: np.stack([draws[name] for draws in drawn], axis=1)[who, when] for name in drawn[0]}
    touched = when >= switches.since

    def landed(name: str, values: FloatArray) -> FloatArray:
        number = NUMBERS[name]
        if name == switches.drift_column:
            values = values + np.where(touched, switches.drift_sd * number.sd, 0.0)
            if number.decimals == 0:
                # Rounding must neither eat nor double a small shift: whole numbers move by chance, on average by so much.
                values = np.where(touched, np.floor(values + now["dither"]), values)
        return np.asarray(np.round(np.clip(values, number.low, number.high), number.decimals), dtype=np.float64)

    columns = dict.fromkeys(LANDED, np.empty(0)) | {name: own[name] for name in LEVELS}
    columns["tenure_months"] = landed("tenure_months", own["tenure"] + when - entry[who])
    columns["voice_mail_messages"] = landed(
        "voice_mail_messages", own["voice_mail_plan"] * np.floor(8 + 40 * now["messages"])
    )
    for part, mean, sd, tariff in (
        ("day", 180, 45, 0.17),
        ("evening", 200, 55, 0.11),
        ("night", 210, 60, 0.08),
        ("international", 25, 13, 0.3),
    ):
        minutes = landed(f"{part}_minutes", mean + sd * (0.6 * own["usage"] + 0.8 * now[part]))
        columns[f"{part}_minutes"] = minutes
        columns[f"{part}_charge"] = landed(f"{part}_charge", minutes * tariff * own["discount"])
    columns["international_calls"] = landed(
        "international_calls", counts(INTERNATIONAL_CALLS, now["international_calls"])
    )
    columns["service_calls"] = landed("service_calls", counts(SERVICE_CALLS, now["service_calls"]))
    answered = now["answered"] >= 0.35
    columns["satisfaction"] = np.where(
        answered, landed("satisfaction", np.rint(3.4 + 0.7 * own["mood"] + 0.8 * now["mood"])), np.nan
    )
    columns["handset_age_months"] = landed("handset_age_months", own["handset"] + when)
    columns["annual_value"] = landed(
        "annual_value", 380 + 250 * (0.5 * own["usage"] + own["worth"] + 0.4 * own["worth"] ** 2)
    )
    return Snapshots(block * BLOCK + who, when, columns, now["latent"], now["outcome"], now["leak"])


def counts(distribution: FloatArray, uniform: FloatArray) -> FloatArray:
    """Draw counts with this distribution function, by inversion."""
    return np.searchsorted(distribution, uniform, side="right").astype(np.float64)


def customer_ids(customers: IntArray) -> pa.Array:
    """Return ids as they land: C and at least nine digits."""
    return pc.binary_join_element_wise("C", pc.utf8_lpad(pc.cast(pa.array(customers), pa.string()), 9, "0"), "")


def as_landed(columns: Mapping[str, FloatArray]) -> dict[str, pa.Array]:
    """Return the columns in Arrow: whole numbers, doubles, dictionaries of text; null if missing."""
    arrays = {}
    for name, values in columns.items():
        if name in LEVELS:
            codes = pa.array(values.astype(np.int8), mask=values < 0)
            arrays[name] = pa.DictionaryArray.from_arrays(codes, pa.array(LEVELS[name]))
        else:
            kind = pa.int64() if NUMBERS[name].decimals == 0 else pa.float64()
            arrays[name] = pa.array(values, from_pandas=True).cast(kind)
    return arrays


def _stream(seed: int, block: int, stream: int) -> np.random.Generator:
    """Return the random stream of the block's customers (0) or of one of its months (1, 2, ...)."""
    key, counter = np.array([seed, block], dtype=np.uint64), np.array([0, 0, 0, stream], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def _customers(draw: np.random.Generator) -> tuple[dict[str, FloatArray], IntArray]:
    """Draw what does not change from month to month, and the month in which each customer appears. The order of draws defines the sample."""
    names = (
        "entry",
        "region",
        "contract",
        "payment",
        "unpaid",
        "plan",
        "mail",
        "opt_out",
        "discount",
        "tenure",
        "age",
        "no_age",
    )
    uniform = dict(zip(names, draw.random((len(names), BLOCK)), strict=True))
    usage, worth, mood = draw.standard_normal((3, BLOCK))
    joining = 1 + JOIN * np.arange(TRAINING_MONTHS + BATCHES)
    entry = np.searchsorted(joining / joining[-1], uniform["entry"], side="right")
    fixed = {
        "region": np.floor(uniform["region"] * len(REGIONS)),
        "contract": counts(np.array([0.55, 0.80]), uniform["contract"]),
        "payment_method": np.where(
            uniform["unpaid"] < 0.02, -1.0, counts(np.array([0.3, 0.55, 0.82]), uniform["payment"])
        ),
        "international_plan": (uniform["plan"] < 0.15).astype(np.float64),
        "voice_mail_plan": (uniform["mail"] < 0.28).astype(np.float64),
        "do_not_call": (uniform["opt_out"] < 0.07).astype(np.float64),
        "discount": np.array([1.0, 0.9, 0.8])[np.searchsorted([0.6, 0.85], uniform["discount"], side="right")],
        # Who appears later has just joined; who was there at the start had any tenure.
        "tenure": np.where(entry == 0, np.floor(96 * uniform["tenure"] ** 2), 0.0),
        "handset": np.where(uniform["no_age"] < 0.06, np.nan, np.floor(36 * uniform["age"])),
        "usage": usage,
        "worth": worth,
        "mood": mood,
    }
    return fixed, entry


def _month_draws(draw: np.random.Generator) -> dict[str, FloatArray]:
    normal = ("day", "evening", "night", "international", "mood", "latent")
    uniform = ("service_calls", "international_calls", "messages", "answered", "outcome", "leak", "dither")
    return dict(zip(normal + uniform, (*draw.standard_normal((6, BLOCK)), *draw.random((7, BLOCK))), strict=True))
