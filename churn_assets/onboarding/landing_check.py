"""What landing would say of a file: `churn new` asks the very code that landing runs, so that the two cannot disagree."""

import tempfile
from pathlib import Path

from churn_model.errors import InputError, problem
from churn_model.features.named_columns import require_described
from churn_model.ingest.canonical_rows import ingest
from churn_model.ingest.formats.base import LandedFile
from churn_model.spec.dataset import Dataset
from churn_model.steps.ingest import check_ingested
from churn_model.tables import open_table

MOST_BYTES = 256 << 20
"""Larger files are not read a second time."""


def landing_problems(dataset: Dataset, file: Path) -> list[str] | None:
    """Return what landing and ingest would refuse of a file under this spec, a text each; None if it is too large to be read again."""
    if file.stat().st_size > MOST_BYTES:
        return None
    with tempfile.TemporaryDirectory(prefix="churn-new-") as folder:
        try:
            ingested = ingest([LandedFile(file.name, file)], dataset, Path(folder) / "out", expected=None)
            require_described(open_table(Path(folder) / "out" / "rows").schema, dataset)
        except InputError as error:
            return [str(error)]
    return [
        problem(expected=check.expected, found=check.found, todo=check.todo)
        for check in check_ingested(ingested)
        if not check.passed
    ]
