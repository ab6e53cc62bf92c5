import dagster as dg

from churn_assets.definitions import FACTORIES
from churn_model.spec.dataset import Dataset
from jobs.compare import compare_job
from jobs.explore import explore_job
from jobs.retrain import retrain_job
from jobs.rollback import rollback_job
from jobs.score import score_job
from resources.ports.run_locks import LOCK_TAG


def test_every_asset_holds_its_run_s_locks_while_it_works(dataset: Dataset) -> None:
    required = {
        str(asset.key.path[-1]): asset.required_resource_keys for asset in (make(dataset) for make in FACTORIES)
    }
    assert [name for name, keys in required.items() if "run_locks" not in keys] == []


def test_every_job_declares_the_lock_that_it_needs(dataset: Dataset) -> None:
    definitions = dg.Definitions(
        assets=[make(dataset) for make in FACTORIES],
        jobs=[make(dataset) for make in (compare_job, explore_job, retrain_job, rollback_job, score_job)],
        resources=dict.fromkeys(("lake", "tables", "runner", "run_locks")),
        loggers={"progress": dg.colored_console_logger},
    )
    declared = {
        job.name: job.tags.get(LOCK_TAG) for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")
    }
    assert declared == {
        "telco_compare": "telco/compare",
        "telco_explore": "telco/explore",
        "telco_retrain": "telco/retrain",
        "telco_rollback": "telco/retrain",
        "telco_score_batch": "telco/score",
    }
