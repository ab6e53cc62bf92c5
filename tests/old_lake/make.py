"""Publish a small lake with the code of the day and keep it in a folder: `python -m tests.old_lake.make tests/old_lake/schema_2`.

Left out are what no code reads back: the source inside a bundle, the pictures of a page, and locks. Manifests agree with what is kept.
"""

import json
import shutil
import sys
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from churn_model.models.bundle_file import LIMITS, read_members, write_members
from churn_model.reports.step_report import REPORT
from resources.catalog.digests import digest_of
from resources.ports.lake import MANIFEST
from tests.conftest import Workspace

SPEC = """\
id: customer_id
as_of: as_of
label: {column: churned, positive: ["yes"], means: cancelled}
derived: {calls_per_year: calls / years}
costs: {contact: {cost: 40, success: 0.6, value: {column: annual_value}}}
known: [calls]
list: {opt_out: do_not_call, capacity: 5}
split: {validation: 0.3, test: 0.3}
search: {trials: 1, families: [linear]}
"""
BATCH = "may"


def customers(rows: int, seed: int, *, labelled: bool) -> pa.Table:
    """Return rows of customers of whom those with many calls, on a monthly plan, leave. The first row has no id."""
    rng = np.random.default_rng(seed)
    calls, monthly = rng.integers(0, 10, rows), rng.random(rows) < 0.5
    joined = [date(2024, 1, 1) - timedelta(days=int(days)) for days in rng.integers(0, 900, rows)]
    left = rng.random(rows) < 1 / (1 + np.exp(3.5 - 0.6 * calls - 1.5 * monthly))
    table = pa.table(
        {
            "customer_id": ["", *(f"{seed}-{number:04d}" for number in range(1, rows))],
            "as_of": pa.array([date(2024, 5, 1)] * rows),
            "calls": calls,
            "plan": np.where(monthly, "monthly", "yearly"),
            "years": rng.integers(1, 9, rows),
            "joined": pa.array(joined),
            "annual_value": rng.integers(300, 900, rows),
            "do_not_call": np.where(rng.random(rows) < 0.1, "yes", "no"),
        }
    )
    return table.append_column("churned", pa.array(np.where(left, "yes", "no"))) if labelled else table


def main(kept: Path) -> None:
    """Train a champion, then a candidate that is kept out; compare, explore and score."""
    with TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        workspace.write_spec("shop", SPEC)
        workspace.land(customers(700, 1, labelled=True))
        _require(workspace.churn("retrain", "shop"))
        workspace.write_spec("shop", SPEC.replace("linear", "boosted_trees"))
        _require(workspace.churn("retrain", "shop"))
        _require(workspace.churn("compare", "shop"))
        _require(workspace.churn("explore", "shop"))
        batch = customers(40, 2, labelled=False).append_column("colour", pa.array(["red"] * 40))
        workspace.land(batch, name=f"{BATCH}.csv", batch=BATCH)
        _require(workspace.churn("score", "shop", BATCH))
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(workspace.root / "datasets", kept / "datasets")
        shutil.copytree(workspace.root / "home" / "lake", kept / "lake", ignore=shutil.ignore_patterns("*.lock"))
    for manifest in kept.rglob(MANIFEST):
        _shrink(manifest)


def _require(code: int) -> None:
    if code:
        raise RuntimeError(f"the command above failed: {code}")


def _shrink(manifest: Path) -> None:
    """Drop what is never read back from one published version, and let its manifest and its report say so."""
    folder, content = manifest.parent, json.loads(manifest.read_text())
    report = json.loads((folder / REPORT).read_text())
    for name in content["files"].keys() - {REPORT}:
        path = folder / name
        if path.suffix == ".html":
            path.write_text("<title>Left out of this lake</title>")
        elif path.suffix == ".png":
            path.write_bytes(b"left out of this lake")
        elif path.name == "model.tar.gz":
            members = read_members(path)
            write_members({key: members[key] for key in LIMITS}, path)
        seen = {"size": path.stat().st_size, "digest": digest_of(path.read_bytes())}
        content["files"][name] |= seen
        report["files"][name] |= seen
    data = json.dumps(report, sort_keys=True, ensure_ascii=False).encode()
    (folder / REPORT).write_bytes(data)
    content["files"][REPORT] |= {"size": len(data), "digest": digest_of(data)}
    manifest.write_text(json.dumps(content, sort_keys=True, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
