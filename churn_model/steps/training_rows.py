"""The rows that a model is trained on, as the steps `train` and `trial` read them from published splits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from churn_model.reports.preprocess import PreprocessReport
from churn_model.spec.column_names import same_name
from churn_model.spec.dataset import Dataset
from churn_model.spec.expressions import compile_expression
from churn_model.steps.contract import Layout
from churn_model.tables import TableReader, open_table
from churn_model.training.leaks import Leak
from churn_model.training.train import SAMPLE, SAMPLED_ABOVE


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """Rows of train and of validation: all of them, or a sample of a large table.

    dataset         the spec, without suspected leaks and with the shares of its splits
    tables          train and validation, whole
    are_sampled     whether `train` and `validation` are less than that
    left_out        columns that are no feature because they are suspected leaks, and why
    """

    dataset: Dataset
    splits: Path
    preprocessed: PreprocessReport
    tables: tuple[TableReader, TableReader]
    train: pa.Table
    validation: pa.Table
    are_sampled: bool
    left_out: dict[str, str]


def read_training_rows(layout: Layout) -> TrainingRows:
    """Return the rows of a step's input `splits`."""
    splits = layout.required("splits")
    found = layout.read_report("splits", PreprocessReport)
    left_out = _explain_suspects(layout.dataset, found.suspects)
    dataset = replace(
        layout.dataset,
        ignore=(*layout.dataset.ignore, *left_out),
        split=found.shares.split if found.shares else layout.dataset.split,
    )
    tables = open_table(splits / "train"), open_table(splits / "validation")
    count = sum(table.rows for table in tables)
    share = SAMPLE / count if count > SAMPLED_ABOVE else 1.0
    train_rows, validation_rows = (table.first(round(share * table.rows)) for table in tables)
    return TrainingRows(
        dataset=dataset,
        splits=splits,
        preprocessed=found,
        tables=tables,
        train=train_rows,
        validation=validation_rows,
        are_sampled=share < 1,
        left_out=left_out,
    )


def _explain_suspects(dataset: Dataset, suspects: Sequence[Leak]) -> dict[str, str]:
    """Return the suspected columns and what is derived from them, each with why the model does without it."""
    found = {leak.column: f"may be known only after a customer has left: {leak.why}" for leak in suspects}
    for name, text in dataset.derived.items():
        sources = [
            leak.column
            for leak in suspects
            for source in compile_expression(text).columns
            if same_name(source, leak.column)
        ]
        if sources:
            found[name] = f"is computed from {sources[0]}, which may be known only after a customer has left"
    return found
