"""What landing would say of a file: `churn new` asks the very code that landing runs, so that the two cannot disagree."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from churn_model.errors import InputError, problem
from churn_model.evaluation.promotion_facts import LEAST_IN_FOLDS
from churn_model.features.named_columns import require_described
from churn_model.ingest.canonical_rows import ingest
from churn_model.ingest.formats.base import LandedFile
from churn_model.spec.column_names import same_name
from churn_model.spec.dataset import Dataset
from churn_model.steps.ingest import check_ingested
from churn_model.tables import TableReader, open_table
from churn_model.training.fold_splits import make_split_check
from churn_model.training.split_shares import choose_shares
from churn_model.training.splits import make_split_rule

MOST_BYTES = 256 << 20
"""Larger files are not read a second time."""


@dataclass(frozen=True)
class LandingCheck:
    """What landing would refuse of a file, and why a table of its rows alone is too little to learn from: a text each."""

    refused: tuple[str, ...] = ()
    too_little: tuple[str, ...] = ()


def check_landing(dataset: Dataset, file: Path) -> LandingCheck | None:
    """Return what landing, ingest and the split would say of a file under this spec; None if it is too large to be read again."""
    if file.stat().st_size > MOST_BYTES:
        return None
    with tempfile.TemporaryDirectory(prefix="churn-new-") as folder:
        out = Path(folder) / "out"
        try:
            ingested = ingest([LandedFile(file.name, file)], dataset, out, expected=None)
            rows = open_table(out / "rows")
            require_described(rows.schema, dataset)
        except InputError as error:
            return LandingCheck(refused=(str(error),))
        failed = [check for check in check_ingested(ingested) if not check.passed]
        if failed:
            texts = (problem(expected=one.expected, found=one.found, todo=one.todo) for one in failed)
            return LandingCheck(refused=tuple(texts))
        return LandingCheck(too_little=_split_problems(rows, dataset))


def _split_problems(rows: TableReader, dataset: Dataset) -> tuple[str, ...]:
    """Return why these rows cannot be split, or are too few for a first champion."""
    shares = choose_shares(dataset.split, rows.blocks(["_label"]))
    split = shares.split
    dataset = replace(dataset, split=split)
    kept = [name for name in rows.schema.names if name.startswith("_") or same_name(name, split.column or "")]
    checked = make_split_check(shares)
    try:
        rule = make_split_rule(rows.blocks(kept), dataset)
        for batch in rows.blocks(kept):
            checked.add(batch, rule(batch))
    except InputError as error:
        return (str(error),)
    unmet = tuple(problem(expected=one.expected, found=one.found, todo=one.todo) for one in checked.unmet)
    if not unmet and shares.judged_on == "outer_folds" and shares.leavers < LEAST_IN_FOLDS:
        expected = f"at least {LEAST_IN_FOLDS} rows of the rarer outcome for a first champion"
        return (problem(expected=expected, found=str(shares.leavers), todo="land more customers"),)
    return unmet
