import json
from dataclasses import replace

import dagster as dg
import pytest

from churn_assets.assets.champion_model import champion_model, plan_rollback
from churn_model.reports.step_report import PublishedFile, Report, StepReport
from churn_model.spec.dataset import Dataset
from resources.catalog.decisions import Decision, record_decision
from resources.catalog.digests import digest_of
from resources.catalog.names import champion_key, current_key
from resources.catalog.pointers import Champion, Current, point_to, read_pointer, to_bytes
from resources.local.lake import LocalLake
from resources.local.registry import LocalRegistry
from resources.local.run_locks import LocalRunLocks
from resources.ports.lake import Manifest

TIME = "2026-01-01T00:00:00+00:00"


def test_a_candidate_is_not_promoted_on_the_evaluation_of_another(
    lake: LocalLake,
    run_locks: LocalRunLocks,
    dataset: Dataset,
    instance: dg.DagsterInstance,
) -> None:
    report = json.dumps(
        {"schema": 2, "step": "evaluate", "counts": {}, "metrics": {}, "checks": [], "detail": {}, "files": {}}
    ).encode()
    lake.put("telco/evaluation_report/e1/report.json", report)
    lake.publish(
        "telco/evaluation_report/e1/",
        Manifest("e1", {"report.json": PublishedFile(len(report), digest_of(report))}, {"tuned_model": "m1"}),
    )
    point_to(lake, current_key("telco", "evaluation_report"), Current("e1", "telco/evaluation_report/e1/"))
    point_to(lake, current_key("telco", "tuned_model"), Current("m2", "telco/tuned_model/m2/"))
    with pytest.raises(
        dg.Failure, match=r"Expected an evaluation of the candidate m2; found one of m1. Materialize evaluation_report"
    ):
        dg.materialize(
            [champion_model(dataset)],
            resources={"lake": lake, "registry": LocalRegistry(), "run_locks": run_locks},
            instance=instance,
        )
    assert read_pointer(lake, champion_key("telco")) is None


def test_a_rollback_that_is_repeated_goes_no_further_back(lake: LocalLake, dataset: Dataset) -> None:
    report = StepReport.of("evaluate", Report(), {}).to_json()
    for folder in ("evaluation_report/e1/", "evaluation_report/e2/", "tuned_model/m1/", "tuned_model/m2/"):
        lake.put(f"telco/{folder}report.json", report)
        file = PublishedFile(len(report), digest_of(report))
        lake.publish(f"telco/{folder}", Manifest(folder, {"report.json": file}))
    first = Champion("m1", "telco/tuned_model/m1/", "telco/evaluation_report/e1/", TIME, "first", "")
    second = Champion("m2", "telco/tuned_model/m2/", "telco/evaluation_report/e2/", TIME, "promoted", "", "m1")
    back = replace(first, outcome="rolled_back", previous="m2", barred=("m2",))
    for champion, evaluation in ((first, "e1"), (second, "e2")):
        record_decision(lake, "telco", Decision(champion.version, evaluation, champion.outcome, "", TIME, {}))

    def planned(champion: Champion, target: str) -> str | None:
        lake.put(champion_key("telco"), to_bytes(champion))
        earlier = plan_rollback(lake, dataset, target).earlier
        return earlier.version if earlier else None

    assert planned(second, "previous") == "m1"
    assert planned(second, "m1") == "m1"
    assert planned(back, "previous") is None
    assert planned(back, "m1") is None
    assert planned(back, "m2") == "m2"  # the way to undo it
