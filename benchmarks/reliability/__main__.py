"""`python -m benchmarks.reliability [--only KIND ...] [--count N] [--minutes N] [--write]`: harm of every kind, and what survived it, as one table.

A whole soak writes benchmarks/results/reliability.json and reliability.md. `--write` writes a part of one, in the place of the same kinds there: the
table says of each kind how many trials it has, how many were tried, when and by which command.
"""

import argparse
import datetime
import io
import json
import os
import platform
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from benchmarks.measure import RESULTS
from benchmarks.reliability.damage import DAMAGE
from benchmarks.reliability.full_disks import FULL_DISKS
from benchmarks.reliability.home import Homes
from benchmarks.reliability.hostile import HOSTILE
from benchmarks.reliability.kills import KILLS
from benchmarks.reliability.mangled import MANGLED
from benchmarks.reliability.power_cuts import POWER_CUTS
from benchmarks.reliability.trial import Kind, NotPossible

KINDS: Sequence[Kind] = (KILLS, POWER_CUTS, FULL_DISKS, DAMAGE, MANGLED, HOSTILE)


@dataclass
class Tally:
    """What became of the trials of one kind."""

    kind: str
    what: str
    asked: int = 0  # trials of a whole soak
    date: str = ""
    command: str = ""
    tried: int = 0
    survived: int = 0
    seconds: float = 0.0
    not_possible: list[str] = field(default_factory=list)
    failures: dict[str, list[str]] = field(default_factory=dict)


def main() -> int:
    """Run the trials, print and write the table. Return 1 if anything did not survive."""
    names = [kind.name for kind in KINDS]
    parser = argparse.ArgumentParser("python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="KIND", help=", ".join(names))
    parser.add_argument("--count", type=int, help="so many trials of each kind, instead of a whole soak")
    parser.add_argument("--minutes", type=float, help="begin no trial of a kind after so many minutes of it")
    parser.add_argument("--write", action="store_true", help="write the results although they are a part of a soak")
    parsed = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="reliability-"))
    try:
        homes = Homes(folder / "homes")
        tallies = [
            try_kind(kind, homes, folder, parsed.count, parsed.minutes) for kind in KINDS if kind.name in parsed.only
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = table(tallies)
    print(text)
    whole = parsed.count is None and parsed.minutes is None and len(tallies) == len(KINDS)
    if whole or parsed.write:
        _write(tallies)
    return 1 if any(tally.failures for tally in tallies) else 0


def try_kind(kind: Kind, homes: Homes, folder: Path, count: int | None = None, minutes: float | None = None) -> Tally:
    """Run the trials of one kind, each in a folder of its own."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    command = " ".join(["python -m benchmarks.reliability", *sys.argv[1:]])
    tally = Tally(kind.name, kind.what, kind.count, today, command)
    started = time.monotonic()
    count = kind.count if count is None else min(count, kind.count)
    for number, trial in enumerate(islice(kind.trials(count), count)):
        if minutes is not None and time.monotonic() - started > minutes * 60:
            break
        place = folder / f"{kind.name}-{number}"
        place.mkdir()
        try:
            with redirect_stdout(io.StringIO()):  # what the commands say; failures repeat it
                problems = trial.run(homes, place)
        except NotPossible as reason:
            tally.not_possible.append(f"{trial.name}: {reason}")
            continue
        except Exception:
            problems = [traceback.format_exc()]
        finally:
            shutil.rmtree(place, ignore_errors=True)
        tally.tried += 1
        tally.survived += not problems
        if problems:
            tally.failures[f"{number}: {trial.name}"] = problems
        print(f"{kind.name} {number + 1}/{count} {trial.name}: {problems or 'survived'}", file=sys.stderr, flush=True)
    tally.seconds = round(time.monotonic() - started, 1)
    return tally


def table(tallies: Sequence[Tally]) -> str:
    """Return the table, and below it what did not survive and what could not be tried."""
    lines = [
        "| kind | of a whole soak | tried | survived | what is done, and what has to hold |",
        "|---|---:|---:|---:|---|",
    ]
    lines += [
        f"| {each.kind} | {each.asked:,} | {each.tried:,} | {each.survived:,} | {each.what} |" for each in tallies
    ]
    for tally in tallies:
        lines += [f"\n- not survived, {name}: {'; '.join(problems)}" for name, problems in tally.failures.items()]
        lines += [f"\n- not tried, {name}" for name in tally.not_possible]
    return "\n".join(lines) + "\n"


def _write(tallies: Sequence[Tally]) -> None:
    """Write the results. What was written before of other kinds stays."""
    path = RESULTS / "reliability.json"
    known = [Tally(**each) for each in json.loads(path.read_text("utf-8"))["kinds"]] if path.exists() else []
    by_name = {tally.kind: tally for tally in (*known, *tallies)}
    found = [by_name[kind.name] for kind in KINDS if kind.name in by_name]
    machine = (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    )
    runs = "\n".join(f"- {each.kind}: {each.date}, `{each.command}`, {each.seconds:,.0f} s" for each in found)
    head = f"# Reliability\n\n`make soak` runs all of it. {machine}.\n\n"
    (RESULTS / "reliability.md").write_text(f"{head}{table(found)}\n## Runs\n\n{runs}\n", "utf-8")
    content = {"machine": machine, "kinds": [asdict(tally) for tally in found]}
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
