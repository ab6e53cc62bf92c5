import json

import dagster as dg
import pytest

from churn_assets.assets.champion_model import champion_model
from churn_model.reports.step_report import PublishedFile
from churn_model.spec.dataset import Dataset
from resources.catalog.digests import digest_of
from resources.catalog.names import champion_key, current_key
from resources.catalog.pointers import Current, point_to, read_pointer
from resources.local.lake import LocalLake
from resources.local.run_locks import LocalRunLocks
from resources.ports.lake import Manifest


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
            resources={"lake": lake, "run_locks": run_locks},
            instance=instance,
        )
    assert read_pointer(lake, champion_key("telco")) is None
