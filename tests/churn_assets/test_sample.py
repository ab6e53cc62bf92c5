import hashlib
import re
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from churn_assets.sample.files import write_sample
from churn_assets.sample.generator import Contacted, Generator, Piece, as_of, batch_name
from churn_assets.sample.population import NUMBERS, Switches
from churn_assets.sample.truth import Truth
from churn_model.errors import ChurnError

Values = np.ndarray[Any, np.dtype[Any]]
PLAIN = Switches()
CHARGES = ("day_charge", "evening_charge", "night_charge", "international_charge")


@cache
def training(rows: int = 60_000, switches: Switches = PLAIN, seed: int = 1729) -> Piece:
    return joined(list(Generator(seed=seed, switches=switches).training(rows)))


@cache
def batch(number: int = 1, rows: int = 20_000, switches: Switches = PLAIN) -> Piece:
    return joined(list(Generator(switches=switches).batch(number, rows)))


def joined(pieces: list[Piece]) -> Piece:
    return Piece(
        *(
            pa.concat_tables(getattr(piece, name) for piece in pieces).unify_dictionaries()
            for name in ("landed", "truth", "outcomes")
        )
    )


def numbers(table: pa.Table, name: str) -> Values:
    return np.asarray(table[name].to_numpy(), dtype=np.float64)


def left(piece: Piece) -> Values:
    return np.asarray(pc.equal(piece.outcomes["churned"], "yes")).astype(np.int64)


def digest(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(table, sink, pyarrow.csv.WriteOptions(quoting_style="none", include_header=False))
    return hashlib.blake2b(sink.getvalue(), digest_size=8).hexdigest()


# The golden figures. A change here changes every figure that is quoted from the sample.


def test_the_sample_is_the_one_that_the_figures_were_measured_on() -> None:
    piece = training()
    truth, y = piece.truth, left(piece)
    effect = numbers(truth, "p0") - numbers(truth, "p1")
    assert digest(piece.landed.slice(0, 1000)) == "1ef3fe886dab628d"
    assert digest(batch().landed.slice(0, 1000)) == "8c963c6022a37a0e"
    assert y.mean() == pytest.approx(0.13842, abs=1e-5)
    assert roc_auc_score(y, numbers(truth, "p_columns")) == pytest.approx(0.81256, abs=1e-5)
    assert roc_auc_score(y, numbers(truth, "p0")) == pytest.approx(0.83957, abs=1e-5)
    assert effect.mean() == pytest.approx(0.043036, abs=1e-6)
    assert (effect < 0).mean() == pytest.approx(0.05393, abs=1e-5)


@pytest.mark.parametrize("seed", [1, 2])
def test_other_seeds_keep_what_statistics_asks_of_the_generator(seed: int) -> None:
    piece = training(seed=seed)
    y = left(piece)
    assert 0.12 < y.mean() < 0.16
    assert 0.80 < roc_auc_score(y, numbers(piece.truth, "p_columns")) < 0.84
    assert 0.80 < roc_auc_score(y, numbers(piece.truth, "p0")) < 0.845
    assert 0.04 < (numbers(piece.truth, "p1") > numbers(piece.truth, "p0")).mean() < 0.07


def test_the_specs_assumption_about_money_is_true_of_those_whom_it_contacts() -> None:
    truth = training().truth
    p0, p1, worth, known = (numbers(truth, name) for name in ("p0", "p1", "worth", "p_columns"))
    contacted = known * 0.3 * worth > 40
    assert 0.10 < contacted.mean() < 0.20
    assert ((p0 - p1) * worth)[contacted].sum() / (p0 * worth)[contacted].sum() == pytest.approx(0.3, abs=0.02)
    assert ((p0 - p1) * worth)[contacted].mean() > 40
    assert ((p0 - p1) * worth).mean() < 40, "contacting everybody must not pay"


def test_the_effect_of_a_contact_is_largest_neither_for_the_safest_nor_for_the_riskiest() -> None:
    truth = training().truth
    p0, p1 = numbers(truth, "p0"), numbers(truth, "p1")
    riskiest, middle, safest = p0 > np.quantile(p0, 0.98), np.abs(p0 - 0.45) < 0.1, p0 < np.quantile(p0, 0.5)
    saved = [float((p0 - p1)[group].mean()) for group in (safest, middle, riskiest)]
    assert saved[1] > 1.2 * saved[2] > saved[0]


# The truth.


def test_truth_and_landing_are_the_same_rows_with_unique_keys() -> None:
    for piece in (training(), batch()):
        for name in ("customer_id", "as_of"):
            assert piece.landed[name].equals(piece.truth[name])
            assert piece.landed[name].equals(piece.outcomes[name])
        keys = piece.landed.group_by(["customer_id", "as_of"]).aggregate([])
        assert keys.num_rows == piece.landed.num_rows
        assert numbers(piece.landed, "annual_value").tolist() == numbers(piece.truth, "worth").tolist()


@pytest.mark.parametrize("probability", ["p0", "p_columns"])
@pytest.mark.parametrize(
    "switches",
    [Switches(), Switches(odds=2.0), Switches(charge_effect=-1.0), Switches(signal=0.0), Switches(signal=0.5)],
)
def test_what_happened_has_the_probability_that_the_truth_says(probability: str, switches: Switches) -> None:
    piece = training(switches=switches)
    p, y = numbers(piece.truth, probability), left(piece)
    order = np.argsort(p, kind="stable")
    for rows in np.array_split(order, 10):
        assert abs(y[rows].mean() - p[rows].mean()) < 4 * np.sqrt((p[rows] * (1 - p[rows])).sum()) / len(rows)


@pytest.mark.parametrize(
    "column",
    ["contract", "tenure_months", "service_calls", "international_plan", "satisfaction", "payment_method", "as_of"],
)
def test_the_oracle_is_right_within_every_group_that_a_column_makes(column: str) -> None:
    piece = training()
    p, y = numbers(piece.truth, "p_columns"), left(piece)
    codes = np.asarray(
        pc.fill_null(pc.dictionary_encode(piece.landed[column].cast(pa.string()).combine_chunks()).indices, -1)
    )
    for code in np.unique(codes):
        rows = codes == code
        assert abs(y[rows].sum() - p[rows].sum()) < 4.5 * np.sqrt((p[rows] * (1 - p[rows])).sum()) + 1


@pytest.mark.parametrize("sd", [0.65, 1.65])
def test_the_latent_is_integrated_out_as_exactly_as_brute_force_would(sd: float) -> None:
    known = np.linspace(-7, 7, 29)
    truth = Truth(known, np.zeros(29), np.full(29, -0.5), sd)
    z = np.linspace(-9, 9, 20_001)
    weight = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    for contacted, shift in ((False, 0.0), (True, -0.5)):
        brute = (weight / (1 + np.exp(-(known[:, None] + shift + sd * z)))).sum(axis=1)
        assert np.abs(truth.probability_given_columns(np.ones(29, np.bool_), contacted=contacted) - brute).max() < 1e-6


def test_boosted_trees_on_20000_rows_come_within_three_percent_of_the_oracle() -> None:
    piece = training(120_000, seed=5)
    landed, y, known = piece.landed, left(piece), numbers(piece.truth, "p_columns")
    columns = [
        np.sum([numbers(landed, name) for name in CHARGES], axis=0),
        *(numbers(landed, name) for name in NUMBERS),
    ]
    for name in ("contract", "payment_method", "international_plan"):
        text = landed[name].cast(pa.string())
        columns += [
            np.asarray(pc.fill_null(pc.equal(text, level), False)) for level in pc.unique(text).drop_null().to_pylist()
        ]
    encoded, fresh = np.column_stack(columns).astype(np.float32), slice(40_000, None)
    options = {
        "objective": "binary:logistic",
        "max_depth": 2,
        "eta": 0.08,
        "subsample": 0.8,
        "base_score": 0.5,
        "nthread": 1,
        "seed": 0,
    }
    model = xgboost.train(options, xgboost.DMatrix(encoded[:20_000], y[:20_000]), 160)
    loss, oracle = (float(log_loss(y[fresh], p)) for p in (model.inplace_predict(encoded[fresh]), known[fresh]))
    assert 1.0 < loss / oracle < 1.03


# Months, customers, outcomes.


def test_a_customer_is_seen_on_the_first_of_each_month_until_they_leave() -> None:
    piece = training()
    number = np.array([int(name[1:]) for name in piece.landed["customer_id"].to_pylist()])
    month = np.array([(day.year - 2025) * 12 + day.month - 3 for day in piece.landed["as_of"].to_pylist()])
    again = np.diff(number) == 0
    assert again.mean() > 0.5
    assert (np.diff(month)[again] == 1).all()
    assert (left(piece)[:-1][again] == 0).all()
    stayed = (left(piece)[:-1] == 0) & (month[:-1] < 5)
    assert again[stayed].all()
    assert {as_of(m).day for m in range(18)} == {1}
    assert min((as_of(m + 1) - as_of(m)).days for m in range(6)) == 30


def test_a_batch_holds_known_customers_who_stayed_and_some_never_seen() -> None:
    trained = {*training().landed["customer_id"].to_pylist()}
    gone = {*training().landed.filter(pc.equal(training().landed["churned"], "yes"))["customer_id"].to_pylist()}
    seen = batch(rows=5000).landed["customer_id"].to_pylist()
    assert 0.05 < np.mean([name not in trained for name in seen]) < 0.25
    assert not gone & {*seen}
    assert batch().landed["as_of"].unique().to_pylist() == [date(2025, 9, 1)]
    assert [batch_name(n) for n in (1, 5)] == ["2025-09", "2026-01"]


def test_a_batch_has_the_columns_of_training_but_the_label() -> None:
    assert training().landed.schema.names == [*batch().landed.schema.names, "churned"]
    assert batch().landed.schema.equals(
        training().landed.schema.remove(training().landed.schema.get_field_index("churned"))
    )


def test_outcome_dates_lie_within_the_horizon() -> None:
    outcomes = batch().outcomes
    days = np.asarray(pc.days_between(outcomes["as_of"], outcomes["outcome_date"]))
    churned = left(batch()) == 1
    assert outcomes.schema.names == ["customer_id", "as_of", "churned", "outcome_date"]
    assert set(days[~churned].tolist()) == {30}
    assert set(days[churned].tolist()) == set(range(1, 31))


def test_contacting_changes_the_outcome_of_the_contacted_only_and_as_the_truth_says() -> None:
    truth = batch().truth
    customers = truth["customer_id"].to_pylist()
    contacted = np.arange(len(customers)) % 3 == 0
    past = (Contacted(batch=1, customers={name for name, chosen in zip(customers, contacted, strict=True) if chosen}),)
    after = joined(list(Generator(past=past).batch(1, len(customers))))
    alone, with_contact = (
        np.asarray(truth[name]).astype(int) for name in ("leaves_if_not_contacted", "leaves_if_contacted")
    )
    assert after.landed.equals(batch().landed)
    assert after.truth.equals(truth)
    assert (left(batch()) == alone).all()
    assert (left(after) == np.where(contacted, with_contact, alone)).all()
    saved, woken = (alone > with_contact).mean(), (with_contact > alone).mean()
    p0, p1 = numbers(truth, "p0"), numbers(truth, "p1")
    assert saved == pytest.approx(np.maximum(p0 - p1, 0).mean(), abs=0.005)
    assert woken == pytest.approx(np.maximum(p1 - p0, 0).mean(), abs=0.002)


def test_who_was_saved_by_a_contact_is_in_the_next_batch() -> None:
    truth = batch().truth
    everyone = Contacted(batch=1, customers=truth["customer_id"].to_pylist())
    saved = truth.filter(pc.and_(truth["leaves_if_not_contacted"], pc.invert(truth["leaves_if_contacted"])))[
        "customer_id"
    ].to_pylist()
    later = joined(list(Generator(past=(everyone,)).batch(2, 30_000)))
    seen = {*later.landed["customer_id"].to_pylist()}
    assert {*saved[:200]} <= seen
    assert not {*saved} & {*batch(2, 30_000).landed["customer_id"].to_pylist()}
    assert (left(later) == np.asarray(later.truth["leaves_if_not_contacted"])).all(), "a contact works in its own month"


# Streaming.


@settings(max_examples=8, deadline=None)
@given(rows=st.integers(1, 60_000))
def test_fewer_rows_are_a_prefix_of_more(rows: int) -> None:
    fewer = joined(list(Generator().training(rows)))
    assert fewer.landed.num_rows == rows
    assert fewer.landed.equals(training().landed.slice(0, rows))
    assert fewer.truth["p0"].equals(training().truth["p0"].slice(0, rows))


def test_another_seed_is_another_sample_and_the_same_seed_the_same() -> None:
    first, same, other = (next(Generator(seed=seed).training(500)).landed for seed in (1, 1, 2))
    assert first.equals(same)
    assert not first.equals(other)


# Switches.


@pytest.mark.parametrize("column", sorted(NUMBERS))
def test_a_drifted_column_moves_by_so_many_standard_deviations(column: str) -> None:
    piece, plain = (
        training(30_000, switches) for switches in (Switches(drift_column=column, drift_sd=0.5), Switches())
    )
    spread = np.nanstd(numbers(plain.landed, column))
    moved = np.nanmean(numbers(piece.landed, column)) - np.nanmean(numbers(plain.landed, column))
    # What is held to a range (a score of 5, no messages without the plan) or changes who stays moves a little less or more.
    assert moved / spread == pytest.approx(0.5, abs=0.15)
    assert NUMBERS[column].sd == pytest.approx(spread, rel=0.05)


def test_charges_follow_drifted_minutes_and_nothing_else_moves() -> None:
    drifted = batch(switches=Switches(drift_column="day_minutes", drift_sd=1.0, since=0)).landed
    assert numbers(drifted, "day_charge").mean() > numbers(batch().landed, "day_charge").mean() + 5
    assert abs(numbers(drifted, "night_charge").mean() - numbers(batch().landed, "night_charge").mean()) < 0.2


@pytest.mark.parametrize(
    "switches",
    [
        Switches(drift_column="day_minutes", drift_sd=1.0, since=6),
        Switches(odds=2.0, since=6),
        Switches(charge_effect=-1, since=6),
    ],
)
def test_switches_can_begin_with_the_first_batch(switches: Switches) -> None:
    assert training(20_000, switches).landed.equals(training().landed.slice(0, 20_000))
    assert not batch(1, 20_000, switches).outcomes.equals(batch().outcomes)


def test_odds_multiply_everyones_odds_and_move_no_column() -> None:
    plain, shifted = batch(), batch(switches=Switches(odds=2.0, since=6))
    odds, twice = (p / (1 - p) for p in (numbers(plain.truth, "p0"), numbers(shifted.truth, "p0")))
    assert np.allclose(twice, 2 * odds)
    assert shifted.landed.equals(plain.landed)
    assert left(shifted).mean() > 1.4 * left(plain).mean()


@pytest.mark.parametrize(("factor", "least", "most"), [(1.0, 0.1, 0.5), (0.0, -0.03, 0.03), (-1.0, -0.5, -0.1)])
def test_the_effect_of_the_charges_can_be_changed_and_turned_round(factor: float, least: float, most: float) -> None:
    piece = training(switches=Switches(charge_effect=factor))
    bill = np.sum([numbers(piece.landed, name) for name in CHARGES], axis=0)
    assert least < np.corrcoef(bill, left(piece))[0, 1] < most


@pytest.mark.parametrize(("share", "auc"), [(0.6, 0.795), (1.0, 0.995)])
def test_a_leaking_column_knows_the_label_in_training_and_nothing_in_a_batch(share: float, auc: float) -> None:
    piece = training(switches=Switches(leak=share))
    assert roc_auc_score(left(piece), numbers(piece.landed, "retention_call_minutes") > 0) == pytest.approx(
        auc, abs=0.01
    )
    assert numbers(piece.landed, "retention_call_minutes").max() < 40
    assert piece.landed.drop_columns("retention_call_minutes").equals(training().landed)
    landed = batch(switches=Switches(leak=share)).landed
    assert landed["retention_call_minutes"].null_count == landed.num_rows
    assert "retention_call_minutes" not in training().landed.schema.names


def test_without_signal_the_label_is_noise_to_every_column_at_about_the_same_rate() -> None:
    piece = training(switches=Switches(signal=0.0))
    assert np.ptp(numbers(piece.truth, "p_columns")) < 1e-12
    assert left(piece).mean() == pytest.approx(left(training()).mean(), abs=0.02)
    assert abs(roc_auc_score(left(piece), np.nan_to_num(numbers(training().truth, "p_columns"))) - 0.5) < 0.02


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: Switches(drift_column="minutes", drift_sd=1),
            "Expected drift_column: one of tenure_months, .*; found minutes. ",
        ),
        (lambda: Switches(drift_sd=1), "Expected a drift_column beside drift_sd; found None. "),
        (
            lambda: Switches(odds=0, leak=2),
            r"(?s)1\. Expected odds: a factor above 0; found 0. .*2\. Expected leak: a share from 0 to 1; found 2",
        ),
        (lambda: Switches(signal=-1), "Expected signal: a factor from 0 to 1; found -1"),
        (lambda: Switches(since=18), "Expected since: a month from 0 to 17; found 18"),
        (lambda: Generator(seed=-1), "Expected seed: a whole number from 0 to .*; found -1"),
        (lambda: next(Generator().training(0)), "Expected rows: at least 1; found 0"),
        (lambda: next(Generator().batch(13, 1)), "Expected a batch from 1 to 12; found 13"),
        (
            lambda: next(Generator(past=(Contacted(batch=1, customers=["C1", "C000000002"]),)).batch(1, 1)),
            "Expected ids of the sample.*; found 1 that",
        ),
    ],
)
def test_what_cannot_be_made_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ChurnError, match=message):
        wrong()


# Files.


def test_the_files_hold_the_sample_and_the_truth_lies_beside_them(tmp_path: Path) -> None:
    files = write_sample(
        tmp_path / "landing", tmp_path / "truth", rows=25_000, batches=2, batch_rows=300, rows_per_file=10_000
    )
    told = [(file.path.relative_to(tmp_path).as_posix(), file.kind, file.rows, file.batch) for file in files]
    assert told == [
        ("landing/train/customers-001.csv", "train", 10_000, ""),
        ("landing/train/customers-002.csv", "train", 10_000, ""),
        ("landing/train/customers-003.csv", "train", 5_000, ""),
        ("truth/train.parquet", "truth", 25_000, ""),
        ("landing/score/2025-09/customers-001.csv", "score", 300, "2025-09"),
        ("truth/2025-09.parquet", "truth", 300, "2025-09"),
        ("landing/score/2025-10/customers-001.csv", "score", 300, "2025-10"),
        ("truth/2025-10.parquet", "truth", 300, "2025-10"),
    ]
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {file.path for file in files}
    landed = pa.concat_tables([pyarrow.csv.read_csv(file.path) for file in files if file.kind == "train"])
    assert numbers(landed, "day_charge").tolist() == numbers(training().landed.slice(0, 25_000), "day_charge").tolist()
    assert pyarrow.parquet.read_table(files[3].path)["p0"].equals(training().truth["p0"].slice(0, 25_000))
    secret = re.compile(rb"p0|p1|worth|latent|leaves")
    assert not any(secret.search(file.path.read_bytes()) for file in files if file.kind != "truth")


def test_parquet_holds_the_same_rows_as_csv(tmp_path: Path) -> None:
    files = write_sample(tmp_path / "landing", tmp_path / "truth", rows=500, batches=0, form="parquet")
    read = pyarrow.parquet.read_table(files[0].path)
    assert read.schema.names == training().landed.schema.names
    assert read.to_pylist() == training().landed.slice(0, 500).to_pylist()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"truth": "landing/truth"}, "Expected truth: a folder outside of the landing; found one in it"),
        ({"batches": 13}, "Expected batches: from 0 to 12; found 13"),
        ({"rows_per_file": 0}, "Expected rows_per_file: at least 1; found 0"),
    ],
)
def test_files_that_cannot_be_written_are_refused(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    options = {"truth": "truth"} | more
    with pytest.raises(ChurnError, match=message):
        write_sample(tmp_path / "landing", tmp_path / options.pop("truth"), **options)
