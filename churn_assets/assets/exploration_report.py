"""The exploration report: what landed, on one page, for whoever wants to look before anything is learned from it.

It is made on demand and not by a retrain: what draws it takes seconds to load.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from churn_assets.assets._metadata import DATA_TEAM, records_table
from churn_assets.assets._stage import Made, materialized, now, published, required, user_errors_as_failures
from churn_model.spec.dataset import Dataset
from churn_model.steps.contract import REPORT, REPORT_SCHEMA
from resources.catalog.pointers import Current, current_key, show
from resources.catalog.versions import digest_of, restrict_dataset, version_of
from resources.ports.lake import Lake, Manifest, PublishedFile
from resources.ports.runner import StepReport

if TYPE_CHECKING:
    from churn_assets.reporting.exploration_page import Exploration

PAGE = "exploration.html"
_TEMPLATE = Path(__file__).parent.parent / "reporting" / "templates" / "exploration.html.j2"
_MOST_SHOWN = 20


def exploration_report(dataset: Dataset) -> dg.AssetsDefinition:
    """The page about a dataset's landed table."""

    @dg.asset(
        key=[dataset.name, "exploration_report"],
        deps=[[dataset.name, "raw_customers"]],
        group_name=dataset.name,
        owners=DATA_TEAM,
        kinds={"html"},
        description="What landed, before anything is learned from it, on one page: class balance, each column's histogram by class, columns that "
        "repeat another or look like ids, frequencies, statistics and correlations. Made on demand, of at most 20,000 rows.",
    )
    def asset(lake: Lake) -> dg.MaterializeResult:
        with user_errors_as_failures():
            table = required(lake, dataset, "raw_customers")
            made = _made(lake, restrict_dataset(dataset, "explore"), table)
            show(lake, current_key(dataset.name, "exploration_report"), made.current)
            return materialized(made, lake, (), _metadata(lake, made))

    return asset


def _made(lake: Lake, dataset: Dataset, table: Current) -> Made:
    """The page's version, found or made. It is made here and not by a step: no step's environment has what draws it."""
    upstream = {"raw_customers": table.version, "template": digest_of(_TEMPLATE.read_bytes())}
    version = version_of("explore", dataset, [f"{name}={value}" for name, value in upstream.items()])
    prefix = f"{dataset.name}/exploration_report/{version}/"
    found = published(lake, prefix)
    if found:
        return Made(version, prefix, found, reused=True)
    from churn_assets.reporting.exploration_page import MOST_ROWS, explore, page

    said = published(lake, table.prefix)
    rows, in_all = _first_rows(lake, table.prefix + "rows/part-0.parquet", MOST_ROWS)
    leavers = said.counts["positives"] if said else 0
    explored = explore(rows, dataset)
    text = page(dataset, explored, rows, rows_in_all=in_all, leavers_in_all=leavers, version=table.version).encode()
    report = _report(explored, in_all, leavers, PublishedFile(len(text), digest_of(text)))
    content = {PAGE: text, REPORT: report}
    for name, data in content.items():
        lake.put(prefix + name, data)
    files = {name: PublishedFile(len(data), digest_of(data)) for name, data in content.items()}
    lake.publish(prefix, Manifest(version, files, upstream, now()))
    return Made(version, prefix, StepReport.from_json(report), reused=False)


def _first_rows(lake: Lake, key: str, most: int) -> tuple[pa.Table, int]:
    """The first rows in hash order, and how many there are in all."""
    with lake.open(key) as stream:
        file = pq.ParquetFile(stream, pre_buffer=False)
        batches, wanted = [], most
        for batch in file.iter_batches(batch_size=most, use_threads=False):
            batches.append(batch.slice(0, wanted))
            wanted -= batches[-1].num_rows
            if not wanted:
                break
        return pa.Table.from_batches(batches, file.schema_arrow), file.metadata.num_rows


def _report(explored: "Exploration", rows: int, leavers: int, page: PublishedFile) -> bytes:
    said = {
        "schema": REPORT_SCHEMA,
        "step": "explore",
        "counts": {"rows": rows, "leavers": leavers, "looked_at": explored.rows},
        "metrics": {},
        "checks": [],
        "detail": {
            "odd": [vars(each) for each in explored.odd],
            "repeated": [vars(each) for each in explored.repeated],
            "apart": [
                {"column": each.column, "apart": each.apart, "by_chance": each.by_chance} for each in explored.columns
            ],
        },
        "files": {PAGE: vars(page)},
    }
    return json.dumps(said, sort_keys=True, ensure_ascii=False).encode()


def _metadata(lake: Lake, made: Made) -> dict[str, Any]:
    detail = made.report.detail
    apart = detail["apart"][:_MOST_SHOWN]
    return {
        "report": dg.MetadataValue.path(lake.uri(made.prefix + PAGE)),
        "most telling columns": records_table(apart, {"column": "string", "apart": "float", "by_chance": "float"}),
        "odd columns": records_table([*detail["odd"], *detail["repeated"]], {"column": "string", "why": "string"}),
    }
