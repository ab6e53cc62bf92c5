"""Models of small made-up tables that hold every type of column, made once."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from churn_model.features.encoding import encode
from churn_model.features.schema import fit_schema
from churn_model.ingest.canonical_rows import ingest
from churn_model.ingest.formats.base import LandedFile
from churn_model.models.bundle import Bundle, make_bundle
from churn_model.models.calibration import Calibration
from churn_model.models.families import Hyperparameters, fit_model
from churn_model.models.reasons import REASONS
from churn_model.scoring import score
from churn_model.serving.plan import Answer, Plan, Reason
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.search import Family

VALUES: Mapping[Family, Mapping[str, float]] = {
    "boosted_trees": {"eta": 0.3, "max_depth": 3},
    "random_forest": {"num_parallel_tree": 20, "max_depth": 9},
    "linear": {"eta": 0.5},
}
SHOP = Dataset(
    name="shop",
    id="customer",
    as_of="day",
    label=Label(column="left", positive=("yes",)),
    derived={"per call": "if(is_missing(calls), 0, minutes / calls)", "spent": "log1p(bill) + minutes"},
    words={"calls": "{value} calls"},
    groups={"use": ("minutes", "calls")},
    costs=Costs(contact=Contact(cost=40, success=0.5, value=ValueColumn(column="worth"))),
)
"""A spec with everything: an id, a date, derived columns, groups, and a worth that is no feature but decides."""
PLAIN = replace(SHOP, id="none", as_of=None, costs=Costs(), ignore=("customer", "day"))
"""The same without an id and a date, at costs that are the same for everybody."""


def landed(count: int, seed: int) -> dict[str, list[str]]:
    """Return made-up customers as text."""
    rng = np.random.default_rng(seed)
    day = np.datetime64("2024-01-01")
    blank = rng.random((8, count)) < 0.06

    def some(column: int, texts: list[str]) -> list[str]:
        return ["" if is_blank else text for text, is_blank in zip(texts, blank[column], strict=True)]

    minutes, calls, plan = (
        rng.normal(100, 30, count),
        rng.poisson(2, count),
        rng.choice(["basic", "Plus", "pro"], count),
    )
    left = rng.random(count) < 1 / (1 + np.exp(-((minutes - 100) / 15 + (plan == "basic") - 1)))
    return {
        "customer": [f"C{n}" for n in range(count)],
        "day": [str(day + n % 30 * 30) for n in range(count)],
        "minutes": some(0, [f"{each:.3f}" for each in minutes]),
        "calls": some(1, [str(each) for each in calls]),
        "plan": some(2, plan.tolist()),
        "bill": some(3, [f"{each:,.2f} €".translate(str.maketrans(",.", ".,")) for each in rng.gamma(3, 500, count)]),
        "roams": some(4, rng.choice(["yes", "no", "TRUE"], count).tolist()),
        "flag": some(5, rng.choice(["0", "1"], count).tolist()),
        "city": some(6, [f"city {each}" for each in rng.integers(0, 30, count)]),
        "since": some(7, [str(day - int(each)) for each in rng.integers(0, 900, count)]),
        "worth": [f"{each:.2f}" for each in rng.uniform(50, 900, count)],
        "left": ["yes" if each else "no" for each in left],
    }


def rows_of(columns: Mapping[str, list[str]], dataset: Dataset, expected: Mapping[str, str] | None) -> pa.Table:
    """Return landed columns as the canonical rows that ingest makes of them."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        with path.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([columns, *zip(*columns.values(), strict=True)])
        ingest([LandedFile(key="a.csv", path=path)], dataset, Path(folder) / "out", expected=expected)
        return pq.read_table(Path(folder) / "out" / "rows")


@cache
def made_bundle(family: Family, dataset_name: str = "shop") -> Bundle:
    """Return a model of 1,500 customers."""
    dataset = DATASETS[dataset_name]
    rows = rows_of(landed(1_500, seed=0), dataset, None)
    return fit_bundle(rows, dataset, family)


def fit_bundle(rows: pa.Table, dataset: Dataset, family: Family) -> Bundle:
    """Return a model of canonical rows, without a search."""
    features = replace(dataset, ignore=(*dataset.ignore, "worth"))
    schema = fit_schema(rows, features)
    encoded = encode(rows, schema, family)
    rounds = 1 if family == "random_forest" else 25
    hyper = Hyperparameters(family=family, rounds=rounds, values=VALUES[family])
    model = fit_model(encoded, np.asarray(rows["_label"]), hyper, seed=0, threads=1)
    calibration = Calibration(kind="beta", a=1.1, b=0.8, c=0.1)
    return make_bundle(model, schema, calibration, about={"version": f"v-{family}"}, rows=rows)


DATASETS = {"shop": SHOP, "plain": replace(PLAIN, name="plain")}


def records(columns: Mapping[str, list[str]]) -> list[dict[str, str]]:
    """Return landed columns as one mapping a customer."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def batch_answers(plan: Plan, rows: pa.Table) -> list[Answer]:
    """Return what the batch path says of canonical rows, in their order, as answers. Which values are unknown it does not say."""
    found = score(rows, plan.bundle, plan.policy, plan.explainer, threads=1).to_pylist()
    cutoff = plan.policy.decide(np.zeros(len(found)), plan.policy.worth(rows)).cutoff
    ranks = range(1, REASONS + 1)
    return [
        Answer(
            id=row["id"] if plan.dataset.id_column else None,
            as_of=row.get("as_of"),
            churn_probability=row["churn_probability"],
            will_churn=row["will_churn"],
            expected_saving=row["expected_saving"],
            cutoff=float(each),
            reasons=tuple(
                Reason(row[f"reason_{rank}"], row[f"reason_{rank}_contribution"])
                for rank in ranks
                if row[f"reason_{rank}"] is not None
            ),
            unknown=(),
        )
        for row, each in zip(found, np.broadcast_to(cutoff, len(found)), strict=True)
    ]
