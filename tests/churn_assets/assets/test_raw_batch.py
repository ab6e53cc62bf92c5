from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from churn_assets.assets.batch_predictions import batch_predictions
from churn_assets.assets.raw_batch import raw_batch
from churn_model.models.bundle_file import BUNDLE, read_members, write_members
from churn_model.reports.step_report import PublishedFile
from resources.catalog import names
from resources.catalog.digests import digest_of
from resources.catalog.pointers import Current, read_champion, require_current, to_bytes
from resources.ports.lake import Manifest
from tests.old_lake.copies import Old, copy_of
from tests.old_lake.make import BATCH


def score(old: Old) -> dict[str, tuple[str, bool]]:
    """Return the version of each asset, and whether it was found."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(names.partitions_name("shop"), [BATCH])
        assets = [raw_batch(old.dataset), batch_predictions(old.dataset)]
        result = dg.materialize(assets, resources=vars(old.ports), partition_key=BATCH, instance=instance)
    found = {}
    for name in (names.RAW_BATCH, names.BATCH_PREDICTIONS):
        (event,) = result.asset_materializations_for_node(names.op_name("shop", name))
        found[name] = (str(event.metadata["version"].value), bool(event.metadata["reused"].value))
    return found


def without_plan(old: Old, model: Current) -> Current:
    """Publish a model that does not read the plan."""
    members = read_members(Path(old.lake.uri(model.prefix)) / BUNDLE)
    members["features.json"] = members["features.json"].replace(b'"plan":"category",', b"", 1)
    other = Current("other", names.version_prefix("shop", names.TUNED_MODEL, "other"))
    bundle = Path(old.lake.uri(other.prefix)) / BUNDLE
    bundle.parent.mkdir()
    write_members(members, bundle)
    data = bundle.read_bytes()
    old.lake.publish(other.prefix, Manifest("other", {BUNDLE: PublishedFile(len(data), digest_of(data))}))
    return other


def promote(old: Old, model: Current) -> None:
    champion = read_champion(old.lake, "shop")
    assert champion
    moved = replace(champion, version=model.version, prefix=model.prefix)
    old.lake.swap(names.champion_key("shop"), to_bytes(champion), to_bytes(moved))


def test_a_batch_that_has_grown_is_scored_again_with_what_changed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A file that landed slower than `settle` was scored in part."""
    old = copy_of("schema_2", tmp_path)
    first = score(old)
    assert "has changed since it was last scored" not in capfd.readouterr().err
    landing = Path(old.lake.uri(names.batch_landing_prefix("shop", BATCH)))
    (file, *_) = sorted(landing.iterdir())
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines, lines[-1]]))
    (landing / "more.csv").write_bytes(b"".join(lines))
    second = score(old)
    assert second[names.RAW_BATCH][0] != first[names.RAW_BATCH][0]
    said = f"Batch {BATCH} has changed since it was last scored (1 file new, 1 file changed) and is scored again."
    assert said in capfd.readouterr().err


def test_a_batch_is_ingested_again_only_for_other_columns(tmp_path: Path) -> None:
    old = copy_of("schema_2", tmp_path)
    first = score(old)
    candidate = require_current(old.lake, "shop", names.TUNED_MODEL)
    promote(old, candidate)  # it reads the same columns
    second = score(old)
    assert second[names.RAW_BATCH] == (first[names.RAW_BATCH][0], True)
    assert second[names.BATCH_PREDICTIONS][0] != first[names.BATCH_PREDICTIONS][0]
    assert not second[names.BATCH_PREDICTIONS][1]
    promote(old, without_plan(old, candidate))
    third = score(old)
    assert third[names.RAW_BATCH][0] != first[names.RAW_BATCH][0]
    assert not third[names.RAW_BATCH][1]
