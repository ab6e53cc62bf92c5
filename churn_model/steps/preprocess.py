"""Step `preprocess`: canonical rows to train, validation and test, row group by row group, and whether they are fit to learn from.

Input: `rows` (a published `raw_customers`). Result: `train.parquet`, `validation.parquet`, `test.parquet`, in the order of the rows.
"""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from churn_model.dataset import Dataset
from churn_model.leaks import Leak, certain_leaks, suspected_leaks
from churn_model.splitting import NAMES, assign, split_problems
from churn_model.steps.layout import Check, Layout, Report, run_step

_READ_FOR_SPLIT = ("_id", "_hash", "_as_of", "_label")


def step(layout: Layout) -> Report:
    """Split, and look for leaks in train."""
    dataset = layout.dataset
    source = layout.required("rows") / "rows" / "part-0.parquet"
    assigned, problems = _assigned(source, dataset)
    _write(source, assigned, layout.result)
    train = pq.read_table(layout.result / "train.parquet")
    certain = certain_leaks(train, dataset) if not problems else ()
    suspects = suspected_leaks(train, dataset, threads=int(layout.request["threads"])) if not problems and not certain else ()
    counts = {name: int((assigned == number).sum()) for number, name in enumerate(NAMES)}
    counts["unused"] = int((assigned < 0).sum())
    return Report(
        counts=counts,
        checks=[_integrity(problems, counts), _no_leak(certain)],
        detail={
            "columns": {field.name: str(field.type) for field in train.schema},
            "leaks": [_told(leak) for leak in certain],
            "suspects": [_told(leak) for leak in suspects],
        },
    )


def _assigned(source: Path, dataset: Dataset) -> tuple[np.ndarray[tuple[int], np.dtype[np.int8]], tuple[str, ...]]:
    """The split of every row, and what does not hold of it. Only the columns that decide it are read."""
    file = pq.ParquetFile(source)
    wanted = {*_READ_FOR_SPLIT, (dataset.split.column or "").lower()}
    rows = file.read([name for name in file.schema_arrow.names if name.lower() in wanted])
    assigned = assign(rows, dataset)
    return assigned, split_problems(rows, assigned)


def _write(source: Path, assigned: np.ndarray[tuple[int], np.dtype[np.int8]], result: Path) -> None:
    file = pq.ParquetFile(source)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(pq.ParquetWriter(result / f"{name}.parquet", file.schema_arrow, compression="zstd")) for name in NAMES
        ]
        start = 0
        for batch in file.iter_batches(batch_size=131_072):
            here = assigned[start : start + batch.num_rows]
            start += batch.num_rows
            for number, writer in enumerate(writers):
                part = batch.filter(pa.array(here == number))
                if part.num_rows:
                    writer.write_batch(part)


def _integrity(problems: tuple[str, ...], counts: dict[str, int]) -> Check:
    return Check(
        "no_customer_in_two_splits",
        not problems,
        expected="train, validation and test with both classes each, and no customer in two",
        found="; ".join(problems) or ", ".join(f"{count:,} {name}" for name, count in counts.items() if count),
        todo="see to `split` and `label` in the spec, or land more customers" if problems else "",
    )


def _no_leak(leaks: tuple[Leak, ...]) -> Check:
    return Check(
        "no_column_gives_the_label_away",
        not leaks,
        expected="no column that knows the label",
        found="; ".join(f"{leak.column}: {leak.why}" for leak in leaks) or "none found",
        todo="; ".join(sorted({f"{leak.column}: {leak.todo}" for leak in leaks})),
    )


def _told(leak: Leak) -> dict[str, str | float | None]:
    return {**vars(leak), "evidence": leak.evidence if np.isfinite(leak.evidence) else None}


if __name__ == "__main__":
    run_step("preprocess", step)
