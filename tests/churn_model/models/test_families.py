"""The boosters behind the families."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from churn_model.errors import BundleError, InputError
from churn_model.models.contributions import contributions
from churn_model.models.families import (
    Hyperparameters,
    Model,
    average_models,
    booster_parameters,
    fit_model,
    fit_model_on_disk,
)
from churn_model.spec.sections.search import Family

HYPER = {
    "boosted_trees": Hyperparameters(
        family="boosted_trees", rounds=20, values={"max_depth": 3, "eta": 0.2, "subsample": 0.8}
    ),
    "random_forest": Hyperparameters(
        family="random_forest", rounds=1, values={"num_parallel_tree": 20, "max_depth": 4, "subsample": 0.6}
    ),
    "linear": Hyperparameters(family="linear", rounds=20, values={"lambda": 1e-3, "eta": 0.5}),
}
FAMILIES: tuple[Family, ...] = ("boosted_trees", "random_forest", "linear")


def data(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    x = random.normal(size=(n, 5)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] + random.normal(size=n) > 0.8).astype(np.int8)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_rows_and_seed_give_the_same_bytes(family: Family) -> None:
    x, y = data()
    first, second = (fit_model(x, y, HYPER[family], seed=3, threads=2).to_json() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("family", FAMILIES)
def test_contributions_add_up_to_the_margin(family: Family) -> None:
    x, y = data()
    model = fit_model(x, y, HYPER[family], seed=3, threads=1)
    found = contributions(model, x)
    assert found.shape == (400, 6)
    np.testing.assert_allclose(found.sum(axis=1), model.margins(x), atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_survives_json_and_says_the_same(family: Family) -> None:
    x, y = data()
    model = fit_model(x, y, HYPER[family], seed=3, threads=1)
    again = Model.from_json(family, model.to_json(), threads=2)
    np.testing.assert_array_equal(again.margins(x), model.margins(x))
    assert again.to_json() == model.to_json()


@pytest.mark.parametrize("family", FAMILIES)
def test_probabilities_learn_the_signal_and_follow_the_margins(family: Family) -> None:
    x, y = data()
    model = fit_model(x, y, HYPER[family], seed=3, threads=1)
    p = model.probabilities(x)
    assert p.dtype == np.float64
    assert p[y == 1].mean() > p[y == 0].mean() + 0.2
    np.testing.assert_allclose(np.log(p / (1 - p)), model.margins(x), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_has_the_same_margin_alone_and_among_others(family: Family) -> None:
    x, y = data()
    model = fit_model(x, y, HYPER[family], seed=3, threads=1)
    np.testing.assert_array_equal(model.margins(x[7:8]), model.margins(x)[7:8])


@pytest.mark.parametrize("family", FAMILIES)
def test_several_threads_may_ask_at_once(family: Family) -> None:
    x, y = data()
    model = Model.from_json(family, fit_model(x, y, HYPER[family], seed=3, threads=1).to_json(), threads=2)
    alone = Model.from_json(family, model.to_json()).margins(x)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: (model.margins(x), contributions(model, x).sum(axis=1)), range(200)))
    for margins, sums in found:
        np.testing.assert_array_equal(margins, alone)
        np.testing.assert_allclose(sums, alone, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_rows_have_no_margins(family: Family) -> None:
    x, y = data()
    model = fit_model(x, y, HYPER[family], seed=3, threads=1)
    assert model.margins(x[:0]).shape == (0,)
    assert contributions(model, x[:0]).shape == (0, 6)


@pytest.mark.parametrize("width", [4, 6])
def test_rows_of_another_width_are_refused(width: int) -> None:
    x, y = data()
    model = fit_model(x, y, HYPER["boosted_trees"], seed=3, threads=1)
    wrong = np.zeros((2, width), dtype=np.float32)
    with pytest.raises(InputError, match=rf"rows of 5 encoded columns; found shape \(2, {width}\)"):
        model.margins(wrong)
    with pytest.raises(InputError, match="rows of 5 encoded columns"):
        contributions(model, wrong)


def test_a_text_that_is_no_booster_is_refused() -> None:
    with pytest.raises(BundleError, match="Expected a booster as XGBoost writes it"):
        Model.from_json("linear", b"{}")


@pytest.mark.parametrize(("rounds", "values"), [(0, {}), (1, {"num_parallel_tree": 3}), (1, {"scale_pos_weight": 3.0})])
def test_parameters_that_a_family_does_not_have_are_refused(rounds: int, values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Expected at least 1 round and, for boosted_trees, any of"):
        Hyperparameters(family="boosted_trees", rounds=rounds, values=values)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_must_never_change_is_fixed(family: Family) -> None:
    parameters = booster_parameters(HYPER[family], seed=3, threads=2)
    assert (parameters["base_score"], parameters["nthread"]) == (0.5, 2)
    assert parameters.get("updater", "coord_descent") == "coord_descent"
    assert "scale_pos_weight" not in parameters


@pytest.mark.parametrize("family", ["boosted_trees", "random_forest"])
def test_trees_fitted_from_disk_say_what_those_fitted_in_memory_do(family: Family, tmp_path: Path) -> None:
    x, y = data(3000)
    hyper = Hyperparameters(family=family, rounds=10 if family == "boosted_trees" else 1, values={"max_depth": 3})
    edges = [0, 1000, 1001, 3000]
    blocks = lambda: ((x[a:b], y[a:b]) for a, b in itertools.pairwise(edges))  # noqa: E731
    found = fit_model_on_disk(blocks, hyper, seed=3, threads=1, folder=tmp_path)
    np.testing.assert_allclose(
        found.probabilities(x), fit_model(x, y, hyper, seed=3, threads=1).probabilities(x), atol=0.02
    )
    assert found.to_json() == fit_model_on_disk(blocks, hyper, seed=3, threads=1, folder=tmp_path).to_json()
    assert list(tmp_path.iterdir()) == []


def test_an_average_is_one_booster_with_the_margins_and_contributions_of_all() -> None:
    x, y = data()
    deep = Hyperparameters(family="boosted_trees", rounds=10, values={"max_depth": 8, "eta": 0.3})
    members = [fit_model(x, y, hyper, seed=3, threads=1) for hyper in (HYPER["boosted_trees"], deep)]
    averaged = average_models(members, [0.75, 0.25])
    assert averaged.booster.num_boosted_rounds() == 30
    expected = 0.75 * members[0].margins(x) + 0.25 * members[1].margins(x)
    np.testing.assert_allclose(averaged.margins(x), expected, atol=1e-5)
    expected = 0.75 * contributions(members[0], x) + 0.25 * contributions(members[1], x)
    np.testing.assert_allclose(contributions(averaged, x), expected, atol=1e-4)
    assert Model.from_json("boosted_trees", averaged.to_json()).to_json() == averaged.to_json()
    assert average_models(members[:1], [1.0]) is members[0]
