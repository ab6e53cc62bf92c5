"""`python -m benchmarks [--quick] [--only NAME ...]`: every ratio that has a target, as one Markdown table.

Writes benchmarks/results/speed.json and speed.md with the machine, the date and the command. `--quick` takes a tenth of the rows and one
round: it shows that the benchmarks run, its figures mean little and are not written.
"""

import argparse
import datetime
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.measure import RESULTS, Bench, Ratio
from benchmarks.memory import memory
from benchmarks.overhead import overhead
from benchmarks.preprocessing import preprocessing
from benchmarks.scoring import scoring
from benchmarks.serving import serving

PARTS: Mapping[str, Callable[[Bench, int], list[Ratio]]] = {
    "scoring": lambda bench, share: scoring(bench, 1_000_000 // share),
    "preprocessing": lambda bench, share: preprocessing(bench, 1_000_000 // share),
    "memory": lambda bench, share: memory(bench, 1_000_000 // share, 5_000_000 // share),
    "serving": lambda bench, share: serving(bench, 2_000 // share),
    "overhead": lambda bench, share: overhead(bench, 10_000 // min(share, 5)),
}


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, one round")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder; 4 GB)")
    parsed = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-")) if parsed.folder is None else parsed.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(folder=folder, threads=min(2, os.cpu_count() or 1), repeats=1 if parsed.quick else 5)
    ratios: list[Ratio] = []
    try:
        for name in parsed.only:
            print(f"{name} ...", file=sys.stderr, flush=True)
            ratios += PARTS[name](bench, 10 if parsed.quick else 1)
            print(table(ratios[-1:]) if len(ratios) == 1 else _rows(ratios[-1:]), file=sys.stderr, flush=True)
    finally:
        if parsed.folder is None:
            shutil.rmtree(folder)
    print(table(ratios))
    if not parsed.quick:
        _write(ratios)
    return 0


def table(ratios: Sequence[Ratio]) -> str:
    return "| | target | measured | compared |\n|---|---|---|---|\n" + _rows(ratios)


def _rows(ratios: Sequence[Ratio]) -> str:
    return "\n".join(
        f"| {ratio.name} | {'at least' if ratio.at_least else 'at most'} {ratio.target:g} "
        f"| {'' if ratio.is_met else '**missed** '}{ratio.measured:.2f} | {ratio.compared} |"
        for ratio in ratios
    )


def _write(ratios: Sequence[Ratio]) -> None:
    """The results, with those of other parts that an earlier run left."""
    path = RESULTS / "speed.json"
    before = json.loads(path.read_text("utf-8"))["ratios"] if path.exists() else []
    about = {
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": _command(),
    }
    new = {
        ratio.name: {**asdict(ratio), "measured": round(ratio.measured, 3), "is_met": ratio.is_met, **about}
        for ratio in ratios
    }
    kept = {entry["name"]: entry for entry in before} | new
    path.write_text(json.dumps({"ratios": list(kept.values())}, indent=1, ensure_ascii=False) + "\n", "utf-8")
    told = [
        Ratio(**{name: entry[name] for name in ("name", "target", "measured", "compared", "detail", "at_least")})
        for entry in kept.values()
    ]
    runs = sorted({f"{entry['date']}, `{entry['command']}`, {entry['machine']}" for entry in kept.values()})
    lines = [
        "# Speed and memory",
        "",
        table(told),
        "",
        *(f"Run: {run}" for run in runs),
        "",
        "## Behind the ratios",
        "",
    ]
    lines += [f"- {ratio.name}: {json.dumps(ratio.detail, ensure_ascii=False)}" for ratio in told]
    (RESULTS / "speed.md").write_text("\n".join(lines) + "\n", "utf-8")


def _command() -> str:
    return " ".join(["python -m benchmarks", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
