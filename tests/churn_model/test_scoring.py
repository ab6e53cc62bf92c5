"""The one function that scores."""

import io
from dataclasses import replace
from datetime import date
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn_model.decisions.policy import Policy
from churn_model.errors import InputError
from churn_model.features.encoding import encode
from churn_model.features.schema import Rows, fit_schema
from churn_model.models.bundle import Bundle, make_bundle
from churn_model.models.calibration import Calibration
from churn_model.models.families import Hyperparameters, fit_model
from churn_model.models.reasons import make_explainer
from churn_model.scoring import prediction_schema, score
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.search import Family

DATASET = Dataset(
    name="sample",
    label=Label(column="Churn", positive=("Yes",)),
    id="id",
    as_of="snapshot",
    derived={"per call": "`minutes` / `calls`"},
)
POLICY = Policy(Costs())
BY_WORTH = Policy(Costs(contact=Contact(cost=100, value=ValueColumn(column="worth"))))


def rows(n: int = 400, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    minutes, calls = rng.normal(100, 30, n), rng.poisson(2, n).astype(np.float64)
    plan = rng.choice(["basic", "plus", "pro"], n)
    y = rng.random(n) < 1 / (1 + np.exp(-((minutes - 100) / 20 + 0.5 * (plan == "basic") - 1)))
    columns = {
        "_id": pa.array([f"C{number}" for number in range(n)]),
        "_as_of": pa.array([date(2026, 1, 1)] * n),
        "_label": pa.array(y.astype(np.int8)),
        "minutes": pa.array(minutes, mask=rng.random(n) < 0.1),
        "calls": pa.array(calls),
        "plan": pa.array(plan, mask=rng.random(n) < 0.1).dictionary_encode(),
        "worth": pa.array(rng.uniform(150, 900, n)),
    }
    return pa.table(columns)


@cache
def bundle(family: Family = "boosted_trees") -> Bundle:
    table = rows()
    schema = fit_schema(table, replace(DATASET, ignore=("worth",)))
    values = {"eta": 0.3, "max_depth": 3} if family == "boosted_trees" else {"eta": 0.5}
    hyper = Hyperparameters(family=family, rounds=20, values=values)
    model = fit_model(encode(table, schema, family), np.asarray(table["_label"]), hyper, seed=0, threads=1)
    return make_bundle(
        model, schema, Calibration(kind="beta", a=1.2, b=0.8, c=0.1), about={"version": "v1"}, rows=table
    )


def predict(table: Rows, made: Bundle, policy: Policy = POLICY, threads: int = 1) -> pa.Table:
    explainer = make_explainer(made.schema, made.model.family, words={}, groups={})
    return score(table, made, policy, explainer, threads=threads)


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def test_every_row_gets_a_probability_a_decision_and_the_version() -> None:
    table, made = rows(seed=1), bundle()
    found = predict(table, made)
    assert found.schema == prediction_schema(table.schema)
    assert found["id"].to_pylist() == table["_id"].to_pylist()
    assert found["as_of"].to_pylist() == table["_as_of"].to_pylist()
    p = made.calibration.apply(made.model.probabilities(encode(table, made.schema, "boosted_trees")))
    assert found["churn_probability"].to_numpy() == pytest.approx(p, abs=0)
    assert found["will_churn"].to_pylist() == (p >= 0.2).tolist()
    assert found["expected_saving"].to_numpy() == pytest.approx(p * 400 - (1 - p) * 100)
    assert set(found["model_version"].to_pylist()) == {"v1"}


def test_reasons_are_given_to_those_who_will_be_contacted_and_to_nobody_else() -> None:
    found = predict(rows(seed=1), bundle())
    chosen = found["will_churn"].to_numpy(zero_copy_only=False)
    assert 0 < chosen.sum() < len(chosen)
    for rank in (1, 2, 3):
        told = found[f"reason_{rank}"].is_valid().to_numpy(zero_copy_only=False)
        sized = found[f"reason_{rank}_contribution"].is_valid().to_numpy(zero_copy_only=False)
        assert (told == sized).all()
        assert not (told & ~chosen).any()
    assert found["reason_1"].is_valid().to_numpy(zero_copy_only=False)[chosen].mean() > 0.7


@pytest.mark.parametrize("family", ["boosted_trees", "linear"])
def test_the_same_rows_are_the_same_bytes_in_one_piece_in_blocks_and_on_any_threads(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, made = rows(seed=1), bundle(family)
    whole = parquet(predict(table, made))
    assert parquet(predict(table, made, POLICY, threads=2)) == whole
    assert parquet(predict(table.combine_chunks().to_batches()[0], made)) == whole
    parts = [predict(table.slice(start, 57), made) for start in range(0, 400, 57)]
    assert parquet(pa.concat_tables(parts).combine_chunks()) == whole
    chunked = pa.concat_tables([table.slice(0, 3), table.slice(3, 300), table.slice(303)])
    monkeypatch.setattr("churn_model.scoring.BLOCK_ROWS", 100)
    assert parquet(predict(chunked, made)) == whole


def test_a_level_never_seen_is_scored_as_one_that_is_unknown() -> None:
    table = rows(seed=1)
    place = table.column_names.index("plan")
    strange = table.set_column(place, "plan", pa.array(["<b>never</b>"] * 400).dictionary_encode())
    assert np.isfinite(predict(strange, bundle())["churn_probability"].to_numpy()).all()


def test_columns_in_another_order_and_another_case_are_the_same() -> None:
    table = rows(seed=1)
    turned = table.select(table.column_names[::-1]).rename_columns(
        [name.upper() if name[0] != "_" else name for name in table.column_names[::-1]]
    )
    assert predict(turned, bundle())["churn_probability"].equals(predict(table, bundle())["churn_probability"])


@pytest.mark.parametrize("empty", [rows().slice(0, 0), rows().schema.empty_table(), rows().to_batches()[0].slice(0, 0)])
def test_an_empty_batch_gives_no_predictions(empty: pa.Table) -> None:
    found = predict(empty, bundle())
    assert found.num_rows == 0
    assert found.schema == prediction_schema(rows().schema)


def test_without_a_snapshot_there_is_no_as_of() -> None:
    assert "as_of" not in predict(rows().drop_columns(["_as_of"]), bundle()).column_names


def test_a_row_has_a_cutoff_of_its_own_where_worth_is_a_column() -> None:
    table = rows(seed=1)
    found = predict(table, bundle(), BY_WORTH)
    p, worth = found["churn_probability"].to_numpy(), np.asarray(table["worth"])
    assert found["will_churn"].to_pylist() == (p >= 100 / worth).tolist()
    assert found["expected_saving"].to_numpy() == pytest.approx(p * worth - 100)


def test_a_missing_worth_is_an_error_with_the_count() -> None:
    table = rows(seed=1)
    place = table.column_names.index("worth")
    with pytest.raises(InputError, match="found a missing, negative or infinite worth in 2 of 400 rows"):
        predict(table.set_column(place, "worth", pa.array([None, None] + [500.0] * 398)), bundle(), BY_WORTH)
    with pytest.raises(InputError, match="column worth; found no such column"):
        predict(table.drop_columns(["worth"]), bundle(), BY_WORTH)


def test_absent_columns_and_other_kinds_are_all_named() -> None:
    table = rows().drop_columns(["minutes"])
    place = table.column_names.index("plan")
    wrong = table.set_column(place, "plan", pa.array(np.ones(400)))
    with pytest.raises(
        InputError, match=r"(?s)Expected column minutes \(number\); found no such column.*Expected a category in plan"
    ):
        predict(wrong, bundle())
    with pytest.raises(InputError, match="Expected canonical rows with _id; found none"):
        predict(rows().drop_columns(["_id"]), bundle())
