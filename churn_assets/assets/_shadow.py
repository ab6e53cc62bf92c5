"""Publish what a model decides in the shadow of another: both on the rows of a batch that was scored, before the second answers anybody."""

from collections.abc import Callable
from typing import Any

from churn_assets.assets._metadata import records_table
from churn_assets.assets._raw_table import locate_quarantine
from churn_assets.assets.batch_predictions import require_batch_record
from churn_assets.assets.raw_batch import find_landed, publish_rows, read_columns
from churn_model.errors import ChurnError, InputError, listed, problem
from churn_model.reports.shadow import ShadowReport
from churn_model.spec.dataset import Dataset, Kind
from churn_model.wording import assumption
from resources.catalog.names import DIFFERENCES, DIFFERENCES_CSV, SHADOW, current_key, versions_prefix
from resources.catalog.outputs import Output, copy_to_outputs, output_key
from resources.catalog.pointers import Current, point_to
from resources.catalog.publish import Publication, publish_step
from resources.catalog.published_tables import read_first
from resources.catalog.versions import step_maker
from resources.ports.lake import Lake
from resources.ports.outputs import Outputs
from resources.ports.runner import Runner

_FIRST = 10


def publish_shadow(
    lake: Lake,
    runner: Runner,
    outputs: Outputs,
    dataset: Dataset,
    batch: str,
    models: tuple[Current, Current],
    warn: Callable[[str], object],
) -> Publication:
    """Find or make the comparison of two models on a batch, and point at it. Neither what was scored nor its list changes.

    Raise ChurnError if the batch was not scored yet, or fails the checks of ingest.
    """
    require_batch_record(lake, dataset, batch)
    first, second = models
    rows = _publish_rows(lake, runner, dataset, batch, read_columns_of_both(lake, first, second), warn)
    shadow = publish_step(
        lake,
        runner,
        dataset,
        maker=step_maker("shadow"),
        folder=versions_prefix(dataset.name, SHADOW, batch),
        inputs={"rows": [rows.prefix], "first": [first.prefix], "second": [second.prefix]},
        upstream={"rows": rows.version, "first": first.version, "second": second.version},
    )
    point_to(lake, current_key(dataset.name, SHADOW, batch), shadow.current)
    copy_to_outputs(lake, outputs, shadow.prefix + DIFFERENCES_CSV, output_key(dataset.name, Output.SHADOW, batch))
    return shadow


def _publish_rows(
    lake: Lake,
    runner: Runner,
    dataset: Dataset,
    batch: str,
    columns: dict[str, Kind],
    warn: Callable[[str], object],
) -> Publication:
    """Find or make the table of a batch with the columns that both models read: the very one that was scored, if they read the same."""
    entries, contents = find_landed(lake, dataset, batch, warn, ": the models are compared on what is there now")
    table = publish_rows(lake, runner, dataset, batch, entries, contents, columns)
    if failed := [check for check in locate_quarantine(table, lake) if not check.passed]:
        raise ChurnError(listed([problem(expected=each.expected, found=each.found, todo=each.todo) for each in failed]))
    return table


def read_columns_of_both(lake: Lake, first: Current, second: Current) -> dict[str, Kind]:
    """Return the landed columns that either model reads. Raise InputError if one takes a column for another type than the other does."""
    one, other = read_columns(lake, first), read_columns(lake, second)
    clash = sorted(name for name in one.keys() & other.keys() if one[name] != other[name])
    if clash:
        raise InputError(
            problem(
                expected=f"models {first.version} and {second.version} to take the same columns for the same types",
                found=", ".join(f"{name} as {one[name]} and as {other[name]}" for name in clash),
                todo="compare models that were trained with the same types",
            )
        )
    return one | other


def describe_shadow(lake: Lake, shadow: Publication) -> dict[str, Any]:
    """Return the metadata of a comparison on a batch."""
    found = shadow.report.read(ShadowReport)
    rows = [
        {name: value if isinstance(value, float) else str(value) for name, value in row.items()}
        for row in read_first(lake, shadow.prefix + DIFFERENCES, _FIRST).to_pylist()
    ]
    columns = {
        name: "float" if isinstance(value, float) else "string" for row in rows[:1] for name, value in row.items()
    }
    return {
        "first": found.first_version,
        "second": found.second_version,
        "decided otherwise": found.otherwise,
        "at stake by the first": found.at_stake.by_first,
        "at stake by the second": found.at_stake.by_second,
        "money holds": assumption(found.assumed_success),
        "largest differences": records_table(rows, columns),
    }
