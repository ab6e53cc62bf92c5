"""The first rows of a published table."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn_model.reports.step_report import PublishedFile
from resources.catalog.digests import digest_object
from resources.catalog.published_tables import open_published_table, read_first
from resources.local.lake import LocalLake
from resources.ports.lake import Manifest

VERSION = "shop/made/v1/"


def publish(lake: LocalLake, *sizes: int) -> None:
    """Publish a table whose parts have so many rows, in row groups of two."""
    files, start = {}, 0
    for number, size in enumerate(sizes):
        sink = io.BytesIO()
        pq.write_table(pa.table({"n": pa.array(range(start, start + size), pa.int64())}), sink, row_group_size=2)
        start, name = start + size, f"rows/part-{number:05}.parquet"
        lake.put(VERSION + name, sink.getvalue())
        files[name] = PublishedFile(len(sink.getvalue()), digest_object(lake, VERSION + name), size)
    lake.publish(VERSION, Manifest("v1", files))


@pytest.mark.parametrize("sizes", [(5, 3, 4), (12,), (1, 1, 1), (0,), (0, 2)])
@pytest.mark.parametrize("rows", [1, 4, 7, 20])
def test_the_first_rows_are_those_of_the_table_wherever_its_parts_end(
    lake: LocalLake, sizes: tuple[int, ...], rows: int
) -> None:
    publish(lake, *sizes)
    whole = open_published_table(lake, VERSION + "rows/").read()
    assert read_first(lake, VERSION + "rows/", rows).equals(whole.slice(0, rows))
