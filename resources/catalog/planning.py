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
    """A step of a run, the asset that it makes, and whether its result is there already.

    prefix        of the version that it makes, "" if that is not known before
    input_bytes   size of what it reads, None if that is not there yet
    """

    step: str
    asset: str
    is_published: bool
    prefix: str = ""
    input_bytes: int | None = None


SCORING = (
    PlannedStep("ingest", RAW_BATCH, is_published=False),
    PlannedStep("score", BATCH_PREDICTIONS, is_published=False),
    PlannedStep("retention_list", RETENTION_LIST, is_published=False),
    PlannedStep("list_layout", RETENTION_LIST, is_published=False),
)
"""The steps of a new batch."""


def plan_retrain(lake: Lake, tables: Tables, runner: Runner, dataset: Dataset) -> Iterator[PlannedStep]:
    """Yield the steps of a retrain now. Nothing is started, and nothing written. Raise InputError if nothing has landed."""
    upstream, size = _source(lake, tables, dataset)
    for step, asset in (("ingest", RAW_CUSTOMERS), ("preprocess", PREPROCESSED_SPLITS), ("train", TUNED_MODEL)):
        version = _version(runner, step, dataset, upstream)
        prefix = f"{versions_prefix(dataset.name, asset)}{version}/"
        manifest = find_manifest(lake, prefix)
        yield PlannedStep(step, asset, manifest is not None, prefix, size)
        made = sum(file.size for file in manifest.files.values()) if manifest else None
        # The evaluation reads what the training reads, and the model.
        size = size + made if asset == TUNED_MODEL and size is not None and made is not None else made
        upstream = {asset: version}
    is_evaluated = _is_evaluated(lake, runner, dataset, upstream[TUNED_MODEL])
    yield PlannedStep("evaluate", EVALUATION_REPORT, is_evaluated, input_bytes=size)


def _source(lake: Lake, tables: Tables, dataset: Dataset) -> tuple[Mapping[str, str], int | None]:
    """Return what the training table would be made from, as its version names it, and its size in bytes, if that is known."""
    if dataset.source.table:
        return {dataset.source.table: tables.version(dataset.source.table)}, None
    entries = list_training(lake, dataset.name).entries
    return fingerprints(lake, entries), sum(entry.size for entry in entries)


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
