"""100,000 files in one folder, and 5,000 batches of a table: `python -m benchmarks.many_objects [--files N] [--batches N]`, by hand.

A tick of the sensor over the folder, `churn score` of it as a whole process, and `count(*)` of the view over the batches; each of a tenth as many as
well, so that the figures show whether the cost grows as the number does. Writes benchmarks/results/many_objects.json and .md.
"""

import argparse
import datetime
import io
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from benchmarks.machine import machine
from benchmarks.measure import RESULTS
from jobs.score import score_job
from jobs.sensors import new_batches_sensor
from resources.catalog.names import champion_key
from resources.catalog.pointers import Champion, to_bytes
from resources.local.lake import LocalLake
from resources.local.landing_events import LocalLandingEvents
from resources.local.tables import LocalTables
from resources.specs.loader import load_spec
from tests.harness.home import Home
from tests.harness.homes import Homes, customers_of_month

_PUBLISHED = 10
_PARTS = ("tick", "score", "batches")


@dataclass
class Figure:
    """What one thing took: seconds on the clock, and of the processors."""

    what: str
    number: int
    seconds: float
    cpu_seconds: float
    is_shared: bool = True  # among so many, and not for one more of them

    @property
    def milliseconds_each(self) -> float:
        return 1000 * self.cpu_seconds / (self.number if self.is_shared else 1)


def main() -> int:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.many_objects", description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--batches", type=int, default=5_000)
    parser.add_argument(
        "--only", nargs="+", choices=_PARTS, default=_PARTS, help="parts; the figures of the others stay"
    )
    parsed = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        homes = Homes(Path(made) / "homes")
        for number in (parsed.files // 10, parsed.files):
            if "tick" in parsed.only or "score" in parsed.only:
                figures += _measure_files(homes, Path(made) / f"files-{number}", number, parsed.only)
        for number in (parsed.batches // 10, parsed.batches):
            if "batches" in parsed.only:
                figures += _measure_batches(Path(made) / f"batches-{number}", number)
    _write(figures)
    return 0


def _measure_files(homes: Homes, folder: Path, number: int, parts: Sequence[str]) -> list[Figure]:
    home = replace(homes.retrained.copy(folder), patience=3600) if "score" in parts else _crown(homes.new(folder))
    _drop_files(home, number)
    figures = [_tick(home, number)] if "tick" in parts else []
    if "score" not in parts:
        return figures
    before, began = _cpu_of_children(), time.perf_counter()
    ended = home.churn("score", "shop", "many")
    took = time.perf_counter() - began
    if ended.code:
        raise RuntimeError(ended.said[-3000:])
    shutil.rmtree(folder)
    return [*figures, Figure("`churn score` of that folder", number, took, _cpu_of_children() - before)]


def _crown(home: Home) -> Home:
    """Name a champion: the sensor asks whether there is one, and nothing else of it."""
    champion = Champion(
        "v", "shop/tuned_model/v/", "shop/evaluation_report/v/", "2026-01-01T00:00:00+00:00", "first", ""
    )
    home.lake.swap(champion_key("shop"), None, to_bytes(champion))
    return home


def _drop_files(home: Home, number: int) -> None:
    """Write so many files of one customer each, as somebody else's program would."""
    sink = io.BytesIO()
    csv.write_csv(customers_of_month(1, number), sink)
    header, *lines = sink.getvalue().splitlines(keepends=True)
    folder = Path(home.lake.uri("landing/shop/score/many"))
    folder.mkdir(parents=True)
    for index, line in enumerate(lines):
        (folder / f"{index:06d}.csv").write_bytes(header + line)


def _tick(home: Home, number: int) -> Figure:
    dataset = load_spec(home.root / "datasets" / "shop.yaml")
    sensor = new_batches_sensor(dataset, score_job(dataset))
    began, used = time.perf_counter(), time.process_time()
    asked: list[str] = []
    cursor = None
    with dg.DagsterInstance.ephemeral() as instance:
        while not asked:  # a tick reads a bounded number of objects
            resources = {"lake": home.lake, "landing_events": LocalLandingEvents(), "run_locks": home.run_locks}
            with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context:
                found = sensor(context)
            if not isinstance(found, dg.SensorResult):
                raise RuntimeError(f"nothing was asked for: {found}")
            asked, cursor = [str(each.partition_key) for each in found.run_requests or ()], found.cursor
            if not asked and not json.loads(str(cursor))["after"]:
                time.sleep(1)  # until the last file has settled
    return Figure(
        "files in one folder, until the sensor asks for them",
        number,
        time.perf_counter() - began,
        time.process_time() - used,
    )


def _measure_batches(folder: Path, number: int) -> list[Figure]:
    lake = LocalLake(root=str(folder / "lake"))
    tables = LocalTables(lake=lake, database=str(folder / "tables.duckdb"))
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": ["a", "b"]}), sink)
    prefixes = [f"shop/predictions/b{each}/v1/" for each in range(number)]
    for prefix in prefixes:
        lake.put(f"{prefix}part-00000.parquet", sink.getvalue())
    _show_all(folder, prefixes[:-_PUBLISHED])
    tables.publish("shop", "predictions", "v1", prefixes[-_PUBLISHED], "first")  # links all that are there
    began, used = time.perf_counter(), time.process_time()
    for each, prefix in enumerate(prefixes[-_PUBLISHED:]):
        tables.publish("shop", "predictions", "v1", prefix, f"b{number - _PUBLISHED + each}")
    seconds, cpu = (time.perf_counter() - began) / _PUBLISHED, (time.process_time() - used) / _PUBLISHED
    published = Figure("batches in a table, and one more is published", number, seconds, cpu, is_shared=False)
    began, used = time.perf_counter(), time.process_time()
    with duckdb.connect(str(folder / "tables.duckdb"), read_only=True) as connection:
        if connection.execute("select count(*) from shop.predictions").fetchone() != (2 * (number + 1),):
            raise RuntimeError("rows are lost")
    return [
        published,
        Figure("`count(*)` of their view", number, time.perf_counter() - began, time.process_time() - used),
    ]


def _show_all(folder: Path, prefixes: Sequence[str]) -> None:
    """Write down which batches are shown, as releases did that had no links at them: publishing them one by one takes a quarter of an hour."""
    with duckdb.connect(str(folder / "tables.duckdb")) as connection:
        connection.execute("create schema shop")
        connection.execute(
            "create table shop._shown (kind varchar, batch varchar, version varchar, prefix varchar, primary key (kind, batch))"
        )
        rows = pa.table({"batch": [prefix.split("/")[2] for prefix in prefixes], "prefix": list(prefixes)})
        connection.register("rows", rows)
        connection.execute("insert into shop._shown select 'predictions', batch, 'v1', prefix from rows")


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _write(figures: Sequence[Figure]) -> None:
    """Write the figures, with those of other parts that an earlier run left."""
    path = RESULTS / "many_objects.json"
    about = {
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": " ".join(["python -m benchmarks.many_objects", *sys.argv[1:]]),
        "load": round(os.getloadavg()[0]),
    }
    known = json.loads(path.read_text("utf-8"))["figures"] if path.exists() else []
    by_name = {(each["what"], each["number"]): each for each in known}
    by_name |= {
        (each.what, each.number): {**asdict(each), "milliseconds_each": each.milliseconds_each, **about}
        for each in figures
    }
    path.write_text(json.dumps({"figures": list(by_name.values())}, indent=1) + "\n", "utf-8")
    rows = [
        f"| {each['number']:,} {each['what']} | {each['seconds']:,.2f} | {each['cpu_seconds']:,.2f} | {each['milliseconds_each']:,.2f} |\n"
        for each in by_name.values()
    ]
    runs = sorted(
        {f"{each['date']}, `{each['command']}`, {each['machine']}, load {each['load']}" for each in by_name.values()}
    )
    text = "".join(
        [
            "# Many objects\n\n| | seconds | of a processor | ms each |\n|---|---:|---:|---:|\n",
            *rows,
            "\n",
            *(f"Run: {run}\n" for run in runs),
        ]
    )
    print(text)
    (RESULTS / "many_objects.md").write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
