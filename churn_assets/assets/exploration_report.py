"""The exploration report: what landed, on one page, before anything is learned from it.

It is made on demand and not by a retrain, because its libraries take seconds to load.
"""

from typing import Any

import dagster as dg

from churn_assets.assets._errors import user_errors_as_failures
from churn_assets.assets._metadata import DATA_TEAM, code_version_of, link_to, materialize_result, records_table
from churn_model.reports.ingest import IngestReport
from churn_model.reports.step_report import Report
from churn_model.spec.dataset import Dataset
from resources.catalog.names import (
    EXPLORATION_HTML,
    EXPLORATION_REPORT,
    RAW_CUSTOMERS,
    ROWS,
    asset_key,
    current_key,
    versions_prefix,
)
from resources.catalog.outputs import Output, copy_to_outputs, output_key
from resources.catalog.pointers import Current, point_to, require_current
from resources.catalog.publish import Content, Publication, publish_content, require_published
from resources.catalog.published_tables import open_published_table
from resources.catalog.versions import Maker
from resources.ports.lake import Lake
from resources.ports.outputs import Outputs
from resources.ports.run_locks import RunLocks

PAGE_MAKER = Maker(
    "explore",
    modules=("churn_assets.reporting.exploration_page",),
    templates=(
        "churn_assets/reporting/templates/exploration.html.j2",
        "churn_assets/reporting/templates/report.css.j2",
    ),
)
_MOST_SHOWN = 20


def exploration_report(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset of the page about a dataset's landed table."""

    @dg.asset(
        key=asset_key(dataset.name, EXPLORATION_REPORT),
        deps=[asset_key(dataset.name, RAW_CUSTOMERS)],
        group_name=dataset.name,
        code_version=code_version_of(dataset, PAGE_MAKER),
        owners=DATA_TEAM,
        kinds={"html"},
        description="What landed, before anything is learned from it, on one page: class balance, each column's histogram by class, columns that "
        "repeat another or look like ids, frequencies, statistics and correlations. Made on demand, of at most 20,000 rows.",
    )
    def asset(lake: Lake, outputs: Outputs, run_locks: RunLocks) -> dg.MaterializeResult:
        with user_errors_as_failures():
            table = require_current(lake, dataset.name, RAW_CUSTOMERS)
            html = publish_content(
                lake,
                dataset,
                maker=PAGE_MAKER,
                folder=versions_prefix(dataset.name, EXPLORATION_REPORT),
                upstream={RAW_CUSTOMERS: table.version},
                make=lambda seen: _explore(lake, seen, table),
            )
            point_to(lake, current_key(dataset.name, EXPLORATION_REPORT), html.current)
            copy_to_outputs(lake, outputs, html.prefix + EXPLORATION_HTML, output_key(dataset.name, Output.EXPLORATION))
            links = link_to(outputs, output_key(dataset.name, Output.EXPLORATION))
            return materialize_result(html, lake, (), {**links, **_metadata(lake, html)})

    return asset


def _explore(lake: Lake, dataset: Dataset, table: Current) -> Content:
    """Make the page in this process: no step's environment has the libraries that draw it."""
    from churn_assets.reporting.exploration import MOST_ROWS, ExplorationCounts, ExplorationReport, Telling, explore
    from churn_assets.reporting.exploration_page import page

    landed = open_published_table(lake, table.prefix + ROWS)
    # In hash order, the first rows are a random sample of customers.
    rows, rows_in_all = landed.first(MOST_ROWS), landed.rows
    leavers = require_published(lake, table.prefix).read(IngestReport).counts.positives or 0
    explored = explore(rows, dataset)
    text = page(dataset, explored, rows, rows_in_all=rows_in_all, leavers_in_all=leavers, version=table.version)
    content = ExplorationReport(
        counts=ExplorationCounts(rows=rows_in_all, leavers=leavers, looked_at=explored.rows),
        odd=explored.odd,
        repeated=explored.repeated,
        apart=tuple(
            Telling(column=each.column, apart=each.apart, by_chance=each.by_chance) for each in explored.columns
        ),
    )
    return Content(Report(content=content), {EXPLORATION_HTML: text.encode()})


def _metadata(lake: Lake, html: Publication) -> dict[str, Any]:
    from churn_assets.reporting.exploration import ExplorationReport

    found = html.report.read(ExplorationReport)
    odd = [*(found.odd or ()), *(found.repeated or ())]
    apart = map(vars, (found.apart or ())[:_MOST_SHOWN])
    return {
        "report": dg.MetadataValue.path(lake.uri(html.prefix + EXPLORATION_HTML)),
        "most telling columns": records_table(apart, {"column": "string", "apart": "float", "by_chance": "float"}),
        "odd columns": records_table(map(vars, odd), {"column": "string", "why": "string"}),
    }
