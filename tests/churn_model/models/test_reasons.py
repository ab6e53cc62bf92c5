"""Reasons in words."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from churn_model.features.encoding import encode
from churn_model.features.schema import FeatureSchema, fit_schema
from churn_model.models.contributions import contributions
from churn_model.models.families import Hyperparameters, Model, fit_model
from churn_model.models.reasons import LEAST, Explainer, make_explainer, reasons, summarise, value_describer
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label

TREES = Hyperparameters(family="boosted_trees", rounds=40, values={"eta": 0.3, "max_depth": 3})
LINEAR = Hyperparameters(family="linear", rounds=60, values={"eta": 0.5, "lambda": 0.01, "alpha": 0.0})
DATASET = Dataset(
    name="sample",
    label=Label(column="Churn", positive=("Yes",)),
    id="id",
    derived={"total charge": "`day charge` + `night charge`"},
    words={"Calls": "{value} calls to customer service"},
)


def rows(n: int = 600, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    calls, day, night = rng.poisson(1.2, n), rng.normal(30, 8, n), rng.normal(20, 5, n)
    plan = rng.choice(["no", "yes"], n, p=[0.8, 0.2])
    city = rng.choice([f"town {number}" for number in range(30)], n)
    z = 1.2 * (calls >= 4) * 2 + 0.15 * (day + night - 60) + 1.8 * (plan == "yes") - 1
    columns = {
        "_id": pa.array([f"C{number}" for number in range(n)]),
        "_label": pa.array((rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.int8)),
        "calls": pa.array(calls.astype(np.float64)),
        "day charge": pa.array(day, mask=rng.random(n) < 0.05),
        "night charge": pa.array(night),
        "plan": pa.array(plan, mask=rng.random(n) < 0.1).dictionary_encode(),
        "city": pa.array(city).dictionary_encode(),
    }
    return pa.table(columns)


def fitted(hyper: Hyperparameters = TREES, **more: Any) -> tuple[pa.Table, Any, Model, Explainer, FeatureSchema]:
    table = rows()
    schema = fit_schema(table, DATASET)
    encoded = encode(table, schema, hyper.family)
    model = fit_model(encoded, np.asarray(table["_label"]), hyper, seed=0, threads=1)
    return (
        table,
        encoded,
        model,
        make_explainer(schema, hyper.family, **{"words": DATASET.words, "groups": {}, **more}),
        schema,
    )


@pytest.mark.parametrize("hyper", [TREES, LINEAR], ids=["trees", "linear"])
def test_contributions_add_up_to_the_margin_whatever_counts_as_one_reason(hyper: Hyperparameters) -> None:
    table, encoded, model, explainer, _ = fitted(hyper, groups={"where and what": ("city", "plan")})
    found = summarise(table, encoded, model, explainer)
    assert set(found.names) == {"calls", "total charge", "where and what"}
    bias = contributions(model, encoded)[:, -1]
    assert found.contributions.sum(axis=1) + bias == pytest.approx(model.margins(encoded), abs=1e-4)
    assert found.mean_size == pytest.approx(np.abs(found.contributions).mean(axis=0))
    assert (np.diff(found.mean_size) <= 0).all()


def test_only_what_raises_the_risk_is_a_reason_and_the_strongest_comes_first() -> None:
    table, encoded, model, explainer, _ = fitted()
    found = reasons(table, encoded, model, explainer)
    by_reason = {
        name: summarise(table, encoded, model, explainer).contributions[:, number]
        for number, name in enumerate(summarise(table, encoded, model, explainer).names)
    }
    expected = np.sort(np.column_stack(list(by_reason.values())), axis=1)[:, ::-1][:, :3]
    assert found.contributions == pytest.approx(np.where(expected >= LEAST, expected, np.nan), nan_ok=True)
    for rank in range(3):
        told = found.words[rank].is_valid().to_numpy(zero_copy_only=False)
        assert (told == np.isfinite(found.contributions[:, rank])).all()


def test_a_derived_column_and_its_sources_are_one_reason() -> None:
    table, encoded, model, explainer, _ = fitted()
    found = reasons(table, encoded, model, explainer)
    said = [
        [str(part).split(":")[0].split(" (")[0] for part in row if part is not None]
        for row in zip(*(w.to_pylist() for w in found.words), strict=True)
    ]
    flat = [name for row in said for name in row]
    assert "total charge" in flat
    assert not any("day charge" in name or "night charge" in name for name in flat)
    assert all(len(set(row)) == len(row) for row in said)


def test_the_words_of_the_spec_are_used_and_tell_what_most_have() -> None:
    table, encoded, model, explainer, _ = fitted()
    found = reasons(table, encoded, model, explainer)
    calls = np.asarray(table["calls"])
    told = [
        text
        for row, text in zip(calls, found.words[0].to_pylist(), strict=True)
        if row == 5 and text and "service" in text
    ]
    assert told
    assert told[0] in ("5 calls to customer service (most have 1): raises the risk strongly",)
    everything = [text for words in found.words for text in words.to_pylist() if text]
    assert any(text.startswith("plan: yes (most have no): raises the risk") for text in everything)
    assert not any("because" in text.lower() for text in everything)


def test_a_missing_value_is_said_to_be_unknown() -> None:
    table, _, model, explainer, _ = fitted()
    index = table.column_names.index("day charge")
    absent = table.set_column(index, "day charge", pa.nulls(table.num_rows, pa.float64()))
    found = reasons(absent, encode(absent, explainer.schema, "boosted_trees"), model, explainer)
    everything = {text for words in found.words for text in words.to_pylist() if text and "charge" in text}
    assert everything
    assert all(text.startswith("no total charge known: raises the risk") for text in everything)


def test_the_strongest_column_of_a_group_speaks_for_it() -> None:
    table, encoded, model, explainer, _ = fitted(groups={"where and what": ("City", "Plan", "not there")})
    found = reasons(table, encoded, model, explainer)
    everything = [text for words in found.words for text in words.to_pylist() if text]
    assert any(text.startswith("plan: yes") for text in everything)
    assert any(text.startswith("city: town") for text in everything)


def test_blocks_and_single_rows_get_the_same_reasons() -> None:
    table, encoded, model, explainer, _ = fitted()
    whole = reasons(table, encoded, model, explainer)
    for start in (0, 17, 599):
        one = reasons(table.slice(start, 1), encoded[start : start + 1], model, explainer)
        assert [words[0].as_py() for words in one.words] == [words[start].as_py() for words in whole.words]


def test_no_rows_have_no_reasons() -> None:
    table, encoded, model, explainer, _ = fitted()
    found = reasons(table.slice(0, 0), encoded[:0], model, explainer)
    assert [len(words) for words in found.words] == [0, 0, 0]
    assert found.contributions.shape == (0, 3)


def test_the_summary_of_many_rows_is_a_bounded_sample_with_places_from_zero_to_one() -> None:
    table, encoded, model, explainer, _ = fitted()
    found = summarise(table, encoded, model, explainer, most_rows=100)
    assert found.contributions.shape == found.values.shape == (100, 4)
    assert np.nanmin(found.values) == 0
    assert np.nanmax(found.values) == 1
    assert np.isnan(found.values[:, found.names.index("plan")]).all()


def test_both_zeros_read_alike_alone_and_among_others() -> None:
    """-0 and 0 are equal: whichever comes first must not name the other."""
    *_, schema = fitted()
    calls = next(feature for feature in schema.features if feature.name == "calls")
    for first, second in ((0.0, -0.0), (-0.0, 0.0)):
        describe = value_describer(calls, DATASET.words)
        assert describe(first, None) == describe(second, None)
        assert describe(second, None).startswith("0 calls to customer service")
