"""A lake that earlier code published, read by the code of the day. See old_lake/README.md."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.compute as pc
import pytest

from churn_assets.assets._checks import check_results
from churn_assets.assets.batch_predictions import batch_predictions
from churn_assets.assets.champion_model import champion_model
from churn_assets.assets.evaluation_report import evaluation_report
from churn_assets.assets.exploration_report import _metadata as exploration_metadata
from churn_assets.assets.model_comparison import model_comparison
from churn_assets.assets.preprocessed_splits import preprocessed_splits
from churn_assets.assets.raw_batch import raw_batch
from churn_assets.assets.raw_customers import raw_customers
from churn_assets.assets.retention_list import retention_list
from churn_assets.assets.tuned_model import tuned_model
from churn_assets.cli.summaries.compare import compare_summary
from churn_assets.cli.summaries.explore import explore_summary
from churn_assets.cli.summaries.report import report_summary
from churn_assets.cli.summaries.score import score_summary
from churn_model.checks import Claim
from churn_model.decisions.policy import Policy
from churn_model.models.bundle import read_bundle
from churn_model.models.reasons import make_explainer
from churn_model.scoring import score
from resources.catalog import names
from resources.catalog.decisions import list_decisions
from resources.catalog.layout import require_layout
from resources.catalog.pointers import read_batch, read_champion, require_current
from resources.catalog.published_tables import open_published_table
from tests.old_lake.copies import OLD, Old, copy_of
from tests.old_lake.make import BATCH


@pytest.fixture(scope="module", params=sorted(path.name for path in OLD.glob("schema_*")))
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Old:
    """A copy to read."""
    return copy_of(request.param, tmp_path_factory.mktemp(request.param))


def test_its_layout_is_read(old: Old) -> None:
    require_layout(old.lake)


def test_its_decisions_and_pointers_are_read(old: Old) -> None:
    champion, record = read_champion(old.lake, "shop"), read_batch(old.lake, "shop", BATCH)
    assert champion
    assert record
    assert [each.outcome for each in list_decisions(old.lake, "shop")] == ["first", "kept"]
    assert list_decisions(old.lake, "shop")[0].version == champion.version == record.champion.version
    assert record.list == require_current(old.lake, "shop", names.RETENTION_LIST, BATCH)


def test_the_terminal_shows_its_figures(old: Old) -> None:
    report = report_summary(old.ports, old.dataset)
    assert "Judged on 218 customers that the model never saw." in report
    assert "Contacted: " in report
    compared = compare_summary(old.ports, old.dataset)
    assert "(champion)" in compared
    assert "log loss" in compared
    explored = explore_summary(old.ports, old.dataset)
    assert "699 rows landed for shop" in explored
    assert "Leavers differ most in: calls, plan." in explored
    scored = score_summary(old.ports, old.dataset, BATCH)
    assert "contact 5 of 39 customers" in scored
    assert re.search(r"1 of 40 records .* not scored", scored)
    assert "colour" in scored


def test_its_champion_scores_its_batch_as_it_did(old: Old) -> None:
    record = read_batch(old.lake, "shop", BATCH)
    assert record
    bundle = read_bundle(Path(old.lake.uri(record.champion.prefix)) / "model.tar.gz")
    rows = open_published_table(old.lake, record.rows.prefix + names.ROWS).read()
    explainer = make_explainer(bundle.schema, bundle.model.family, words={}, groups={})
    again = score(rows, bundle, Policy(old.dataset.costs), explainer, threads=1)
    predictions = old.publication(names.BATCH_PREDICTIONS, BATCH)
    before = open_published_table(old.lake, predictions.prefix + names.PREDICTIONS).read()
    assert again["id"].to_pylist() == before["id"].to_pylist()
    np.testing.assert_allclose(again["churn_probability"], before["churn_probability"], atol=1e-5)


def test_a_claim_that_it_does_not_answer_is_not_evaluated(old: Old) -> None:
    later = Claim("made_up_later", description="What nobody asked on that day.")
    (answer,) = check_results([later], old.publication(names.RAW_CUSTOMERS).report.checks)
    assert (answer.passed, answer.severity) == (True, dg.AssetCheckSeverity.WARN)
    assert "Not evaluated by that version" in str(answer.description)


def test_its_exploration_is_shown(old: Old) -> None:
    shown = exploration_metadata(old.lake, old.publication(names.EXPLORATION_REPORT))
    assert [record.data["column"] for record in shown["most telling columns"].records][:2] == ["calls", "plan"]


ASSETS = (
    raw_customers,
    preprocessed_splits,
    tuned_model,
    evaluation_report,
    champion_model,
    model_comparison,
    raw_batch,
    batch_predictions,
    retention_list,
)


@pytest.fixture(scope="module", params=sorted(path.name for path in OLD.glob("schema_*")))
def replayed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Old, dg.ExecuteInProcessResult]]:
    """The assets of today, made of the old lake's reports; another copy, for they move its pointers."""
    old = copy_of(request.param, tmp_path_factory.mktemp("replayed"))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(names.partitions_name("shop"), [BATCH])
        yield (
            old,
            dg.materialize(
                [asset(old.dataset) for asset in ASSETS],
                resources=vars(old.ports),
                partition_key=BATCH,
                instance=instance,
            ),
        )


Replayed = tuple[Old, dg.ExecuteInProcessResult]


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> Mapping[str, Any]:
    (event,) = result.asset_materializations_for_node(names.op_name("shop", asset))
    return {name: value.value for name, value in event.metadata.items()}


def test_every_asset_shows_its_reports(replayed: Replayed) -> None:
    _, result = replayed
    assert result.success
    assert metadata(result, names.RAW_CUSTOMERS)["dagster/row_count"] == 699
    assert metadata(result, names.PREPROCESSED_SPLITS)["dagster/row_count"] == 699
    assert metadata(result, names.TUNED_MODEL)["leaderboard"].records
    assert metadata(result, names.CHAMPION_MODEL)["outcome"] == "kept"
    assert len(metadata(result, names.MODEL_COMPARISON)["figures"].records) == 5
    assert metadata(result, names.RAW_BATCH)["ignored columns"] == "colour"
    assert metadata(result, names.BATCH_PREDICTIONS)["dagster/row_count"] == 39
    assert metadata(result, names.BATCH_PREDICTIONS)["list"] == "made next by this run"
    assert metadata(result, names.RETENTION_LIST)["dagster/row_count"] == 39
    assert metadata(result, names.RETENTION_LIST)["to_contact"] == 5


def test_every_check_has_an_answer(replayed: Replayed) -> None:
    _, result = replayed
    checks = result.get_asset_check_evaluations()
    assert len(checks) >= 14
    failed = {check.check_name for check in checks if not check.passed}
    assert failed == {"is_the_champion"}


def test_the_page_of_today_shows_its_evaluation(replayed: Replayed) -> None:
    old, _ = replayed
    html = old.lake.read(require_current(old.lake, "shop", names.EVALUATION_PAGE).prefix + names.REPORT_HTML).decode()
    champion = read_champion(old.lake, "shop")
    assert champion
    assert champion.version in html
    assert "218 customers" in html


def test_a_list_is_made_of_its_predictions(replayed: Replayed) -> None:
    old, _ = replayed
    entered = require_current(old.lake, "shop", names.RETENTION_LIST, BATCH)
    rows = open_published_table(old.lake, entered.prefix + names.ASSIGNMENTS).read()
    assert pc.sum(rows["contacted"]).as_py() == 5
    ledger = json.loads(old.lake.read(names.ledger_key("shop")))
    assert entered.version in json.dumps(ledger)
