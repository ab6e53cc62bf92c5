"""What a run would do before it does it: which steps it would start, and which results it would find."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from churn_model.spec.dataset import Dataset
from resources.catalog.integrity import find_manifest
from resources.catalog.landing import fingerprints, list_training
from resources.catalog.names import (
    BATCH_PREDICTIONS,
    EVALUATION_REPORT,
    PREPROCESSED_SPLITS,
    RAW_BATCH,
    RAW_CUSTOMERS,
    RETENTION_LIST,
    TUNED_MODEL,
    versions_prefix,
)
from resources.catalog.pointers import read_current
from resources.catalog.versions import step_maker, version_of
from resources.ports.lake import Lake
from resources.ports.runner import Runner
from resources.ports.tables import Tables


@dataclass(frozen=True)
class PlannedStep:
    """A step of a run, the asset that it makes, and whether its result is there already."""

    step: str
    asset: str
    is_published: bool
    prefix: str = ""  # of the version that it makes, if that is known before


SCORING = (
    PlannedStep("ingest", RAW_BATCH, is_published=False),
    PlannedStep("score", BATCH_PREDICTIONS, is_published=False),
    PlannedStep("retention_list", RETENTION_LIST, is_published=False),
    PlannedStep("list_layout", RETENTION_LIST, is_published=False),
)
"""The steps of a new batch."""


def plan_retrain(lake: Lake, tables: Tables, runner: Runner, dataset: Dataset) -> Iterator[PlannedStep]:
    """Yield the steps of a retrain now. Nothing is started, and nothing written. Raise InputError if nothing has landed."""
    upstream = _source(lake, tables, dataset)
    for step, asset in (("ingest", RAW_CUSTOMERS), ("preprocess", PREPROCESSED_SPLITS), ("train", TUNED_MODEL)):
        version = _version(runner, step, dataset, upstream)
        prefix = f"{versions_prefix(dataset.name, asset)}{version}/"
        yield PlannedStep(step, asset, find_manifest(lake, prefix) is not None, prefix)
        upstream = {asset: version}
    yield PlannedStep("evaluate", EVALUATION_REPORT, _is_evaluated(lake, runner, dataset, upstream[TUNED_MODEL]))


def _source(lake: Lake, tables: Tables, dataset: Dataset) -> Mapping[str, str]:
    """Return what the training table would be made from, as its version names it."""
    if dataset.source.table:
        return {dataset.source.table: tables.version(dataset.source.table)}
    return fingerprints(lake, list_training(lake, dataset.name).entries)


def _version(runner: Runner, step: str, dataset: Dataset, upstream: Mapping[str, str]) -> str:
    maker = step_maker(step)
    return version_of(maker, dataset, upstream, libraries=runner.libraries(maker.source().libraries))


def _is_evaluated(lake: Lake, runner: Runner, dataset: Dataset, model: str) -> bool:
    """Return whether the evaluation that is shown is of this model, and would be made the same again."""
    current = read_current(lake, dataset.name, EVALUATION_REPORT)
    manifest = find_manifest(lake, current.prefix) if current else None
    if current is None or manifest is None or manifest.upstream.get(TUNED_MODEL) != model:
        return False
    return _version(runner, "evaluate", dataset, manifest.upstream) == current.version
