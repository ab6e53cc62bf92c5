"""Step `preprocess`: canonical rows to train, validation and test, row group by row group, and whether they are fit to learn from.

Input: `rows` (a published `raw_customers`). Result: tables `train`, `validation`, `test`, in the order of the rows.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from churn_model.checks import Check
from churn_model.errors import Problem
from churn_model.features.named_columns import require_described
from churn_model.prefetch import prefetch
from churn_model.reports.preprocess import PreprocessReport, SplitCounts
from churn_model.reports.step_report import Report
from churn_model.spec.column_names import same_name
from churn_model.spec.dataset import Dataset
from churn_model.steps.claims.preprocess import DISJOINT, NO_LEAK
from churn_model.steps.contract import Layout
from churn_model.tables import TableReader, TableWriter, open_table
from churn_model.training.fold_splits import make_split_check
from churn_model.training.groups import find_shared_labels
from churn_model.training.leak_detection import (
    MOST_ROWS_AT_ALL,
    find_certain_leaks,
    find_suspected_leaks,
    measure_worth_without,
)
from churn_model.training.leaks import Leak
from churn_model.training.split_shares import choose_shares
from churn_model.training.splits import NAMES, SplitCheck, make_split_rule


def step(layout: Layout) -> Report:
    """Split, and look for leaks in train. Raise InputError if the spec names columns that did not land."""
    dataset, threads = layout.dataset, int(layout.request["threads"])
    source = open_table(layout.required("rows") / "rows")
    require_described(source.schema, dataset)
    shares = choose_shares(dataset.split, source.blocks(["_label"]))
    dataset = replace(dataset, split=shares.split)
    checked = _split(source, dataset, layout.result, make_split_check(shares))
    # In hash order, the first rows are a random sample of customers.
    train = open_table(layout.result / "train").first(MOST_ROWS_AT_ALL)
    names = find_shared_labels(train, dataset) if not checked.problems else ()
    certain = find_certain_leaks(train, dataset) if not checked.problems else ()
    certain = tuple(_as_name(leak) if leak.column in {one.column for one in names} else leak for leak in certain)
    suspects = find_suspected_leaks(train, dataset, threads=threads) if not checked.problems and not certain else ()
    counts = SplitCounts(**dict(zip(NAMES, checked.sizes.tolist(), strict=True)), unused=checked.unused)
    content = PreprocessReport(
        counts=counts,
        columns={field.name: str(field.type) for field in train.schema},
        leaks=certain,
        suspects=suspects,
        worth=measure_worth_without(train, dataset, suspects, threads=threads) if suspects else None,
        names=names,
        shares=shares,
    )
    return Report(content=content, checks=[_integrity(checked.unmet, counts), _no_leak(certain)])


def _split(source: TableReader, dataset: Dataset, result: Path, checked: SplitCheck) -> SplitCheck:
    """Write each row to its split, and check that no customer is in two. Return the check."""
    needed = [name for name in source.schema.names if name == "_as_of" or same_name(name, dataset.split.column or "")]
    rule = make_split_rule(source.blocks(needed), dataset)
    with ExitStack() as stack:
        writers = [stack.enter_context(TableWriter(result / name, source.schema, key="_hash")) for name in NAMES]

        def parts() -> Iterator[list[pa.RecordBatch]]:
            for batch in prefetch(source.blocks()):
                assigned = rule(batch)
                checked.add(batch, assigned)
                yield [batch.filter(pa.array(assigned == number)) for number in range(len(NAMES))]

        for found in prefetch(parts(), 1):
            for writer, part in zip(writers, found, strict=True):
                if part.num_rows:
                    writer.write(part)
    return checked


def _as_name(leak: Leak) -> Leak:
    """Return the leak of a column that seems to name customers, with what to do about it."""
    why = f"{leak.why}, for rows of one value share their label, as those of one customer do"
    return replace(leak, why=why, todo=f"Name it under id in the spec (id: {leak.column}), or list it under ignore")


def _integrity(unmet: tuple[Problem, ...], counts: SplitCounts) -> Check:
    return DISJOINT.check(
        not unmet,
        expected=" and ".join(one.expected for one in unmet)
        or "train, validation and test with both classes each, and no customer in two",
        found=" and ".join(one.found for one in unmet)
        or ", ".join(f"{count:,} {name}" for name, count in vars(counts).items() if count),
        todo="; ".join(dict.fromkeys(one.todo for one in unmet)),
    )


def _no_leak(leaks: tuple[Leak, ...]) -> Check:
    return NO_LEAK.check(
        not leaks,
        expected="no column that knows the label",
        found="; ".join(f"{leak.column}: {leak.why}" for leak in leaks) or "none found",
        todo="; ".join(sorted({f"{leak.column}: {leak.todo}" for leak in leaks})),
    )
