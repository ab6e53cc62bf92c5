"""One path of data taken twice, in two places, and what has to be the same at the end."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from churn_assets.sample.generator import Generator
from resources.catalog.pointers import read_batch, read_champion, read_current
from resources.catalog.published_tables import open_published_table
from resources.ports.lake import Lake
from tests.conftest import Workspace

SPEC = """\
id: customer_id
as_of: as_of
label: {column: churned, positive: ["yes"], means: cancelled}
derived: {total_charge: day_charge + evening_charge + night_charge + international_charge}
costs: {contact: {cost: 40, success: 0.6, value: {column: annual_value}}}
list: {opt_out: do_not_call}
search: {trials: 4, families: [boosted_trees, random_forest, linear]}
"""


def retrain_and_score(folder: Path, settings: dict[str, str]) -> Workspace:
    """Land a sample, retrain, land a batch and score it, in a working folder of its own."""
    folder.mkdir()
    workspace = Workspace(folder, settings)
    workspace.write_spec("shop", SPEC)
    workspace.land(pa.concat_tables(piece.landed for piece in Generator().training(4000)))
    assert workspace.churn("retrain", "shop") == 0
    workspace.land(pa.concat_tables(piece.landed for piece in Generator().batch(1, 500)), batch="monday")
    assert workspace.churn("score", "shop", "monday") == 0
    return workspace


def assert_same_results(ours: Lake, theirs: Lake, dataset: str = "shop", batch: str = "monday") -> None:
    """Compare rows and splits, the order of rows, probabilities to 1e-6, decisions, reasons and the list."""
    lakes = (ours, theirs)
    champions = [read_champion(lake, dataset) for lake in lakes]
    assert [champion and champion.outcome for champion in champions] == ["first", "first"]
    mine, other = (current_table(lake, dataset, "raw_customers", "rows/") for lake in lakes)
    assert mine.equals(other)
    records = [read_batch(lake, dataset, batch) for lake in lakes]
    landed = [
        open_published_table(lake, record.rows.prefix + "rows/")
        for lake, record in zip(lakes, records, strict=True)
        if record
    ]
    assert landed[0].read().equals(landed[1].read())
    for name in ("train", "validation", "test"):
        mine, other = (current_table(lake, dataset, "preprocessed_splits", f"{name}/") for lake in lakes)
        assert mine.equals(other), name
    scores = [current_table(lake, dataset, "evaluation_report", "scores/") for lake in lakes]
    assert scores[0]["id"].equals(scores[1]["id"])
    assert np.abs(scores[0]["candidate"].to_numpy() - scores[1]["candidate"].to_numpy()).max() <= 1e-6
    predictions = [current_table(lake, dataset, f"batch_predictions/{batch}", "predictions/") for lake in lakes]
    probabilities = [table["churn_probability"].to_numpy() for table in predictions]
    assert np.abs(probabilities[0] - probabilities[1]).max() <= 1e-6
    for column in ("id", "will_churn", "reason_1", "reason_2", "reason_3"):
        assert predictions[0][column].equals(predictions[1][column]), column
    contacts = [current_table(lake, dataset, f"retention_list/{batch}", "contacts/") for lake in lakes]
    assert contacts[0]["id"].equals(contacts[1]["id"])
    assert len(contacts[0]) > 0


def score_by_transform(workspace: Workspace, dataset: str, file: Path) -> None:
    """Land the rows of a batch once more, as batch `tuesday`, and have Batch Transform score them."""
    spec = workspace.root / "datasets" / f"{dataset}.yaml"
    spec.write_text(spec.read_text("utf-8") + "\nscoring: {engine: transform}\n")
    assert workspace.churn("land", dataset, file, "--batch", "tuesday") == 0
    assert workspace.churn("score", dataset, "tuesday") == 0


def assert_same_predictions(lake: Lake, dataset: str, batches: tuple[str, str] = ("monday", "tuesday")) -> None:
    """Compare what two batches of the same rows were given: ids in order, probabilities and contributions to 1e-6, decisions, reasons."""
    one, other = (current_table(lake, dataset, f"batch_predictions/{batch}", "predictions/") for batch in batches)
    assert one.schema.names == other.schema.names
    for column in one.schema.names:
        if pa.types.is_floating(one[column].type):
            assert one[column].is_null().equals(other[column].is_null()), column
            assert np.nanmax(np.abs(one[column].to_numpy() - other[column].to_numpy())) <= 1e-6, column
        else:
            assert one[column].equals(other[column]), column


def current_table(lake: Lake, dataset: str, asset: str, name: str) -> pa.Table:
    """Return a table of the version that is shown."""
    current = read_current(lake, dataset, asset)
    assert current is not None
    return open_published_table(lake, current.prefix + name).read()
