"""`churn status`: every dataset on one screen, read from the lake and from Dagster's history; nothing is run or written."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import dagster as dg

from churn_assets.console.safe_text import on_one_line
from churn_model.errors import ChurnError, SpecError
from churn_model.spec.dataset import Dataset
from churn_model.wording import counted
from jobs.batches import Request, SeenBatch, Sweep, assess_batch, sweep_batches
from resources.catalog.landing import has_begun, list_landed
from resources.catalog.names import batches_prefix, train_prefix
from resources.catalog.old_batches import find_old_batches
from resources.catalog.outputs import Output, output_key
from resources.catalog.pointers import read_champion
from resources.wiring import Ports

_MOST_NAMED = 3
_RUNS_SHOWN = 3
_OBJECTS, _SECONDS = 50_000, 20  # of score/, for each dataset
_LONGEST_REASON = 110


def status_summary(
    ports: Ports, datasets: Mapping[str, Dataset], bad: Mapping[str, SpecError], instance: dg.DagsterInstance
) -> str:
    """Return what there is of each dataset; those in which nothing has landed are named in one line."""
    empty = [name for name, dataset in datasets.items() if not has_begun(ports.lake, dataset)]
    lines = [
        line for name, dataset in datasets.items() if name not in empty for line in _describe(ports, dataset, instance)
    ]
    if empty:
        lines += ["", f"Nothing has landed yet: {', '.join(empty)}. Begin with `churn land {empty[0]} FILE`."]
    lines += [f"{name}: its spec cannot be used, see `churn check`." for name in bad]
    return "\n".join(lines).strip() or "There is no dataset yet. Begin with `churn new NAME FILE`, or `churn sample`."


def _describe(ports: Ports, dataset: Dataset, instance: dg.DagsterInstance) -> Iterator[str]:
    yield ""
    yield dataset.name
    try:
        yield from _champion_lines(ports, dataset)
        yield from _batch_lines(ports, dataset, instance)
    except ChurnError as error:
        yield f"  Damaged:     {on_one_line(str(error))}"
    yield from _output_lines(ports, dataset)
    yield from _run_lines(dataset, instance)


def _champion_lines(ports: Ports, dataset: Dataset) -> Iterator[str]:
    champion = read_champion(ports.lake, dataset.name)
    if champion:
        yield f"  Champion:    {champion.version} since {champion.since[:10]} ({champion.outcome.replace('_', ' ')})"
        return
    landed = dataset.source.table or len(list_landed(ports.lake, train_prefix(dataset.name)))
    todo = f"`churn retrain {dataset.name}`" if landed else f"`churn land {dataset.name} FILE`"
    yield f"  Champion:    none yet; {todo}"


def _batch_lines(ports: Ports, dataset: Dataset, instance: dg.DagsterInstance) -> Iterator[str]:
    sweep = Sweep()
    until = time.monotonic() + _SECONDS
    seen = list(sweep_batches(ports.lake, dataset.name, sweep, objects=_OBJECTS, until=until))
    waiting = [(batch.name, why) for batch in seen if (why := _why_it_waits(ports, dataset, batch, instance))]
    more = " (not all of score/ was looked at)" if sweep.after else ""
    scored = sum(1 for _ in ports.lake.entries(batches_prefix(dataset.name)))
    yield f"  Batches:     {counted(len(seen), 'batch', 'batches')} landed{more}, {scored:,} ingested, {len(waiting):,} waiting"
    yield from _named(f"    {on_one_line(name)}: {why}" for name, why in waiting)
    old = find_old_batches(ports.lake, ports.runner.libraries, dataset, datetime.now(UTC))
    if old:
        yield f"  Old:         {counted(len(old), 'batch', 'batches')} of the last {dataset.watch.recent}; `churn score {dataset.name} BATCH` scores one anew"
        yield from _named(f"    {each}" for each in old)


def _why_it_waits(ports: Ports, dataset: Dataset, batch: SeenBatch, instance: dg.DagsterInstance) -> str | None:
    found = assess_batch(ports.lake, instance, ports.run_locks, dataset, batch)
    if isinstance(found, Request):
        return f"not scored yet: `churn score {dataset.name} {batch.name}`, or `churn ui`, whose sensor does it"
    return found


def _output_lines(ports: Ports, dataset: Dataset) -> Iterator[str]:
    key = output_key(dataset.name, Output.REPORT)
    if ports.outputs.holds(key):
        yield f"  Report:      {ports.outputs.uri(key)}"


def _run_lines(dataset: Dataset, instance: dg.DagsterInstance) -> Iterator[str]:
    records = instance.get_run_records(dg.RunsFilter(tags={"dataset": dataset.name}), limit=_RUNS_SHOWN)
    for number, record in enumerate(records):
        run = record.dagster_run
        batch = run.tags.get("dagster/partition")
        at = record.create_timestamp.astimezone().strftime("%Y-%m-%d %H:%M")
        yield f"  {'Last runs:' if number == 0 else '':<13}{at}  {run.job_name}{f' {on_one_line(batch)}' if batch else ''}: {run.status.value.lower()}"


def _named(lines: Iterator[str]) -> Iterator[str]:
    named = [line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]} ..." for line in lines]
    yield from named[:_MOST_NAMED]
    if len(named) > _MOST_NAMED:
        yield f"    and {len(named) - _MOST_NAMED:,} more"
