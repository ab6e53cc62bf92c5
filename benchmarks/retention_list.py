"""The list of a large batch after many earlier lists: time and memory of the orchestrator and of the step.

Belongs here: synthetic predictions and earlier assignments, the asset's own way from the ledger to the published list.
"""

import argparse
import datetime
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.machine import machine
from benchmarks.measure import RESULTS
from churn_assets.assets import retention_list
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList
from churn_model.tables import BLOCK_ROWS, TableWriter
from resources.catalog.ledger import Entry, Ledger
from resources.catalog.names import BATCH_PREDICTIONS, asset_key, ledger_key
from resources.catalog.pointers import BatchRecord, Current
from resources.local.lake import LocalLake
from resources.local.runner import LocalRunner

_LISTED = 0.05  # of the rows of an earlier list
_WORTH_CONTACTING = 0.15
_DATASET = Dataset(
    name="bench",
    id="id",
    label=Label(column="left", positive=("yes",)),
    costs=Costs(contact=Contact(cost=10.0, success=0.5, value=500.0)),
    list=RetentionList(capacity=100_000, holdout=0.1),
)


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.retention_list", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--lists", type=int, default=12)
    parsed = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        figures = _measure(folder, parsed.rows, parsed.lists)
    finally:
        shutil.rmtree(folder)
    about = {
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python -m benchmarks.retention_list --rows {parsed.rows} --lists {parsed.lists}",
        "what": f"{parsed.rows:,} predictions ({_WORTH_CONTACTING:.0%} worth contacting), {parsed.lists} earlier lists of as many rows "
        f"({_LISTED:.0%} listed), capacity 100,000, hold-out 10%: from the ledger to the list entered in it",
    }
    (RESULTS / "retention_list.json").write_text(json.dumps({**about, **figures}, indent=1) + "\n", "utf-8")
    print(json.dumps({**about, **figures}, indent=1))
    return 0


def _measure(folder: Path, rows: int, lists: int) -> dict[str, float]:
    _write_in_another_process(folder, rows, lists)
    lake = LocalLake(root=str(folder / "lake"))
    runner = LocalRunner(lake=lake, runs=str(folder / "runs"), python=sys.executable)
    current = Current("v1", "bench/batch_predictions/today/v1/")
    record = BatchRecord("today", "f", "l", "2026-01-01T00:00:00+00:00", Current("r", "none/"), current)
    before = _peak(resource.RUSAGE_SELF)
    start = time.monotonic()
    entered = retention_list.enter(lake, runner, _DATASET, record, current, datetime.datetime.now(datetime.UTC))
    seconds = time.monotonic() - start
    retention_list._metadata(lake, entered, asset_key("bench", BATCH_PREDICTIONS))
    return {
        "seconds": round(seconds, 1),
        "orchestrator_peak_mb": _peak(resource.RUSAGE_SELF),
        "orchestrator_mb_before": before,
        "largest_child_peak_mb": _peak(resource.RUSAGE_CHILDREN),
        "to_contact": int(entered.report.counts["to_contact"]),
        "listed_not_long_ago": int(entered.report.counts["listed_not_long_ago"]),
    }


def _peak(who: int) -> int:
    return round(resource.getrusage(who).ru_maxrss / 1024)


def _write_in_another_process(folder: Path, rows: int, lists: int) -> None:
    """Write predictions, earlier assignments and their ledger, so that this process has held none of it."""
    made = multiprocessing.get_context("spawn").Process(target=write_inputs, args=(folder, rows, lists))
    made.start()
    made.join()
    if made.exitcode:
        raise RuntimeError(f"writing the inputs ended with {made.exitcode}")


def write_inputs(folder: Path, rows: int, lists: int) -> None:
    """Write predictions, earlier assignments and their ledger."""
    lake = LocalLake(root=str(folder / "lake"))
    _write(folder / "lake" / "bench/batch_predictions/today/v1/predictions", rows, 0)
    ledger = Ledger()
    for number in range(lists):
        prefix = f"bench/retention_list/earlier-{number}/v1/"
        _write(folder / "lake" / prefix / "assignments", rows, number + 1, assignments=True)
        at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=2 * (lists - number))
        entry = Entry(f"earlier-{number}", "v1", prefix, "inputs", at.isoformat(timespec="seconds"))
        ledger = ledger.add(entry, datetime.timedelta(days=30))
    lake.swap(ledger_key("bench"), None, ledger.to_json())


def _write(folder: Path, rows: int, seed: int, *, assignments: bool = False) -> None:
    blocks = _blocks(rows, seed, assignments=assignments)
    first = next(blocks)
    with TableWriter(folder, first.schema, key="id") as writer:
        writer.write(first)
        for block in blocks:
            writer.write(block)


def _blocks(rows: int, seed: int, *, assignments: bool) -> Iterator[pa.RecordBatch]:
    rng = np.random.default_rng(seed)
    for start in range(0, rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows - start)
        ids = pa.array(np.arange(start, start + count) * 7919 % 10_000_000_019).cast(pa.string())
        p = rng.beta(1, 6, count)
        reason = pa.array(["4 calls to customer service (most have 1): raises the risk"] * 8).dictionary_encode()
        columns = {
            "id": ids,
            "churn_probability": p,
            "will_churn": rng.random(count) < _WORTH_CONTACTING,
            "expected_saving": 250 * p - 10,
            **{f"reason_{n}": reason.take(pa.array(rng.integers(0, 8, count))).cast(pa.string()) for n in (1, 2, 3)},
        }
        if assignments:
            columns |= {"listed": rng.random(count) < _LISTED, "held_out": np.zeros(count, dtype=bool)}
        yield pa.RecordBatch.from_pydict(columns)


if __name__ == "__main__":
    sys.exit(main())
