"""The names of assets, jobs and partitions, and the keys of the lake, each defined once.

landing/<dataset>/train/**  score/<batch>/**      what users drop
<dataset>/<asset>/[<batch>/]<version>/**          published versions; `current.json` beside them points at the one shown
<dataset>/retention_list/ledger.json              every list that was ever published
<dataset>/champion.json  batches/<batch>.json     pointers of a whole dataset
<dataset>/decisions/<number>.json                 every decision about its models
<dataset>/registry.json                           how far the model registry mirrors them
"""

import dagster as dg

LANDED_CUSTOMERS = "landed_customers"  # what users dropped: reported, not made
RAW_CUSTOMERS = "raw_customers"
PREPROCESSED_SPLITS = "preprocessed_splits"
TUNED_MODEL = "tuned_model"
EVALUATION_REPORT = "evaluation_report"
CHAMPION_MODEL = "champion_model"
RAW_BATCH = "raw_batch"
BATCH_PREDICTIONS = "batch_predictions"
RETENTION_LIST = "retention_list"
EXPLORATION_REPORT = "exploration_report"
MODEL_COMPARISON = "model_comparison"
ENDPOINT = "endpoint"
EVALUATION_PAGE = "evaluation_page"  # no asset of its own: `evaluation_report` publishes it beside the evaluation
LIST_LAYOUT = "list_layout"  # neither: `retention_list` publishes it beside the list
COMPARISON_PAGE = "comparison_page"  # likewise: of `model_comparison`
BATCH_PAGE = "batch_page"  # likewise: the summary of the batch
SHADOW = "shadow"  # likewise: of `model_comparison`, if it is asked to compare two models on a batch
LAYOUT_KEY = "lake.json"
UNLOADED = "unloaded"  # copies of a user's own table
SPEC = "spec"  # the asset in the place of a graph whose spec cannot be used
SPEC_IS_VALID = "spec_is_valid"  # its check

# Folders and files of a published version.
ROWS = "rows/"
QUARANTINE = "quarantine/"
PREDICTIONS = "predictions/"
ASSIGNMENTS = "assignments/"
CONTACTS = "contacts/"
LIST = "list.csv"
LIST_TABLE = "list/"
REPORT_HTML = "report.html"
EXPLORATION_HTML = "exploration.html"
SUMMARY_HTML = "summary.html"
COMPARISON_HTML = "comparison.html"
DIFFERENCES = "differences/"
DIFFERENCES_CSV = "differences.csv"

RETRAIN_ASSETS = (RAW_CUSTOMERS, PREPROCESSED_SPLITS, TUNED_MODEL, EVALUATION_REPORT, CHAMPION_MODEL)
SCORE_ASSETS = (RAW_BATCH, BATCH_PREDICTIONS, RETENTION_LIST)
# Assets that are tables and nothing else, and are made again from what is upstream.
TABLE_ASSETS = (RAW_CUSTOMERS, PREPROCESSED_SPLITS, RAW_BATCH, BATCH_PREDICTIONS)
COLUMNS = "columns"
"""What a batch's rows are made from beside its files: the columns that the model reads. Also a key of the step's request."""


def asset_key(dataset: str, asset: str) -> dg.AssetKey:
    """Return the key of one asset of a dataset."""
    return dg.AssetKey([dataset, asset])


def op_name(dataset: str, asset: str) -> str:
    """Return the name that Dagster gives the op of an asset; run configuration is addressed to it."""
    return asset_key(dataset, asset).to_python_identifier()


def batch_partitions(dataset: str) -> dg.DynamicPartitionsDefinition:
    """Return the landed batches of a dataset as partitions."""
    return dg.DynamicPartitionsDefinition(name=partitions_name(dataset))


def partitions_name(dataset: str) -> str:
    """Return the name of a dataset's dynamic partitions."""
    return f"{dataset}_batches"


def retrain_job_name(dataset: str) -> str:
    """Return the name of the job that refits a dataset's model."""
    return f"{dataset}_retrain"


def score_job_name(dataset: str) -> str:
    """Return the name of the job that scores one batch."""
    return f"{dataset}_score_batch"


def explore_job_name(dataset: str) -> str:
    """Return the name of the job that makes the exploration page."""
    return f"{dataset}_explore"


def compare_job_name(dataset: str) -> str:
    """Return the name of the job that compares two models."""
    return f"{dataset}_compare"


def rollback_job_name(dataset: str) -> str:
    """Return the name of the job that makes an earlier model the champion."""
    return f"{dataset}_rollback"


def promote_job_name(dataset: str) -> str:
    """Return the name of the job that makes the candidate the champion, which a person has approved."""
    return f"{dataset}_promote"


def deploy_job_name(dataset: str) -> str:
    """Return the name of the job that makes the endpoint serve the champion."""
    return f"{dataset}_deploy"


def undeploy_job_name(dataset: str) -> str:
    """Return the name of the job that deletes the endpoint."""
    return f"{dataset}_undeploy"


def retrain_schedule_name(dataset: str) -> str:
    """Return the name of the schedule of the retrain job."""
    return f"{dataset}_retrain_schedule"


def new_batches_sensor_name(dataset: str) -> str:
    """Return the name of the sensor that starts the score job."""
    return f"{dataset}_new_batches"


def old_batches_sensor_name(dataset: str) -> str:
    """Return the name of the sensor that says which scored batches are old."""
    return f"{dataset}_old_batches"


def approvals_sensor_name(dataset: str) -> str:
    """Return the name of the sensor that sees a person's approval."""
    return f"{dataset}_approvals"


def idle_endpoint_sensor_name(dataset: str) -> str:
    """Return the name of the sensor that says whether anybody asks the endpoint."""
    return f"{dataset}_idle_endpoint"


def landing_sensor_name(dataset: str) -> str:
    """Return the name of the sensor that reports the landed training data."""
    return f"{dataset}_landed"


def train_prefix(dataset: str) -> str:
    """Return the prefix below which training data lands."""
    return f"landing/{dataset}/train/"


def score_prefix(dataset: str) -> str:
    """Return the prefix below which batches land."""
    return f"landing/{dataset}/score/"


def batch_landing_prefix(dataset: str, batch: str) -> str:
    """Return the folder in which the files of one batch land."""
    return f"{score_prefix(dataset)}{batch}/"


def versions_prefix(dataset: str, asset: str, batch: str | None = None) -> str:
    """Return the prefix that holds the versions of an asset, or of one partition of it."""
    return f"{dataset}/{asset}/" if batch is None else f"{dataset}/{asset}/{batch}/"


def version_prefix(dataset: str, asset: str, version: str, batch: str | None = None) -> str:
    """Return the prefix of one version of an asset, or of one partition of it."""
    return f"{versions_prefix(dataset, asset, batch)}{version}/"


def unload_prefix(dataset: str, version: str) -> str:
    """Return the prefix of the copy of a user's own table as it was in one version."""
    return f"{dataset}/{UNLOADED}/{version}/"


def remedy_for(prefix: str) -> str:
    """Return what a user does about a damaged version."""
    dataset, asset, *rest = prefix.split("/")
    copy = "or restore it from a copy"
    if asset in (*SCORE_ASSETS, LIST_LAYOUT, BATCH_PAGE):
        return f"run `churn score {dataset} {rest[0]}`, which makes it again, {copy}"
    if asset == SHADOW:
        return f"run `churn compare {dataset} --batch {rest[0]}`, which makes it again"
    if asset in (EXPLORATION_REPORT, MODEL_COMPARISON, COMPARISON_PAGE):
        return f"run `churn {'explore' if asset == EXPLORATION_REPORT else 'compare'} {dataset}`, which makes it again"
    again = f"run `churn retrain {dataset}`, which makes it again if it is of today's data, spec and code, {copy}"
    return f"{again}, or name another champion: `churn rollback {dataset} VERSION`" if asset == TUNED_MODEL else again


def current_key(dataset: str, asset: str, batch: str | None = None) -> str:
    """Return the key of the pointer at the version that is shown."""
    return f"{versions_prefix(dataset, asset, batch)}current.json"


def ledger_key(dataset: str) -> str:
    """Return the key of the ledger of a dataset's retention lists."""
    return f"{versions_prefix(dataset, RETENTION_LIST)}ledger.json"


def champion_key(dataset: str) -> str:
    """Return the key of the pointer at the champion."""
    return f"{dataset}/champion.json"


def decisions_prefix(dataset: str) -> str:
    """Return the prefix of the history of decisions about a dataset's models."""
    return f"{dataset}/decisions/"


def decision_key(dataset: str, number: int) -> str:
    """Return the key of the decision with this number, counted from 1. Keys sort as numbers do."""
    return f"{decisions_prefix(dataset)}{number:06d}.json"


def registry_key(dataset: str) -> str:
    """Return the key of what is remembered of the model registry, which mirrors the decisions."""
    return f"{dataset}/registry.json"


def batches_prefix(dataset: str) -> str:
    """Return the prefix of the batches' records."""
    return f"{dataset}/batches/"


def batch_key(dataset: str, batch: str) -> str:
    """Return the key of a batch's record."""
    return f"{batches_prefix(dataset)}{batch}.json"


def batch_of_key(dataset: str, key: str) -> str:
    """Return the batch whose record has this key: the inverse of `batch_key`."""
    return key.removeprefix(batches_prefix(dataset)).removesuffix(".json")
