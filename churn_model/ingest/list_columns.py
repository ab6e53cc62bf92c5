"""The columns that whoever calls a customer needs (name, phone ...), read from the landed files of a batch as text, as landed.

They reach no model and no prediction: they are looked up, by id and date, for the customers on a list.
"""

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from churn_model.column_types.landed import read_text
from churn_model.errors import InputError, problem
from churn_model.ingest.files import file_options, open_part
from churn_model.ingest.formats.base import LandedFile, Part
from churn_model.ingest.values import parse_as_of, parse_ids
from churn_model.spec.column_names import name_key
from churn_model.spec.dataset import Dataset
from churn_model.tables import BLOCK_ROWS

_KEY = "key"
_PENDING_ROWS = 2 * BLOCK_ROWS  # compared with the customers at once: each time, all of these are hashed


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """A column that some files of a batch lack, or hold as something without plain text: how many of how many files, and names close to it."""

    column: str
    files: int
    of: int
    close: tuple[str, ...]


class ListColumns(NamedTuple):
    """The columns of n customers as text (n, columns), null where nothing landed, and those that files lack."""

    table: pa.Table
    lacking: tuple[Lacking, ...]


def read_list_columns(
    files: Sequence[LandedFile], dataset: Dataset, ids: pa.ChunkedArray, as_of: pa.ChunkedArray | None
) -> ListColumns:
    """Return `list.columns` for the customers with these ids (n,), at the dates `as_of` (n,) if the spec names a date.

    Of several records of one customer and date, the first by file key and line counts. Raise InputError if a file cannot be read.
    """
    parts = [open_part(file, file_options(dataset)) for file in sorted(files, key=lambda file: file.key)]
    wanted = pa.chunked_array([_keys(ids.combine_chunks(), None if as_of is None else as_of.combine_chunks())])
    names = list(dataset.list.columns)
    schema = pa.schema([(_KEY, pa.large_string()), *((name, pa.large_string()) for name in names)])
    found = pa.Table.from_batches(_find(parts, dataset, wanted, schema), schema=schema)
    places = pc.index_in(wanted, value_set=found[_KEY])  # of equal ones the first
    return ListColumns(found.select(names).take(places), _find_lacking(parts, names))


def _keys(ids: pa.Array, dates: pa.Array | None) -> pa.Array:
    """Return what a customer's record is found by: the id, and the date in front of it if there is one."""
    texts = ids.cast(pa.large_string())
    if dates is None:
        return texts
    return pc.binary_join_element_wise(
        dates.cast(pa.string()).cast(pa.large_string()), texts, pa.scalar("\n", texts.type)
    )


def _find(parts: Sequence[Part], dataset: Dataset, wanted: pa.ChunkedArray, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the records of the wanted customers, in the order of files and lines."""
    pending: list[pa.RecordBatch] = []
    for part in parts:
        for block in _read(part, dataset, schema):
            pending.append(block)
            if sum(each.num_rows for each in pending) >= _PENDING_ROWS:
                yield from _filter(pending, wanted, schema)
                pending = []
    yield from _filter(pending, wanted, schema)


def _filter(pending: Sequence[pa.RecordBatch], wanted: pa.ChunkedArray, schema: pa.Schema) -> list[pa.RecordBatch]:
    blocks = pa.Table.from_batches(pending, schema=schema)
    found: list[pa.RecordBatch] = blocks.filter(pc.is_in(blocks[_KEY], value_set=wanted)).to_batches()
    return found


def _read(part: Part, dataset: Dataset, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield a file's records: the key, and the columns as text, null if the file lacks them."""
    at = {name_key(name): place for place, name in enumerate(part.names)}
    keys = [name for name in (dataset.id_column, dataset.as_of) if name]
    present = [name for name in schema.names[1:] if _holds(part, name)]
    missing = [name for name in keys if name_key(name) not in at]
    if missing or not keys:
        raise InputError(
            f"{part.file.key}: "
            + problem(expected="the columns that name customers", found=f"no {missing}", todo="land the file with them")
        )
    for chunk in part.chunks([at[name_key(name)] for name in (*keys, *present)]):
        dates = parse_as_of(chunk.columns[1], dataset.as_of_format).values if dataset.as_of else None
        texts = dict(zip(present, (read_text(column).values for column in chunk.columns[len(keys) :]), strict=True))
        key = _keys(parse_ids(chunk.columns[0]).values, dates)
        columns = [
            texts[name].cast(pa.large_string()) if name in texts else pa.nulls(len(key), pa.large_string())
            for name in schema.names[1:]
        ]
        yield pa.RecordBatch.from_arrays([key, *columns], schema=schema)


def _holds(part: Part, name: str) -> bool:
    """Return whether a file has a column of this name whose values can be written as text."""
    place = next((n for n, landed in enumerate(part.names) if name_key(landed) == name_key(name)), None)
    if place is None:
        return False
    stored = part.stored[place]
    if stored is None:
        return True
    try:
        read_text(pa.array([], stored))
    except pa.ArrowException:
        return False
    return not pa.types.is_nested(stored)


def _find_lacking(parts: Sequence[Part], names: Sequence[str]) -> tuple[Lacking, ...]:
    lacking = Counter(name for part in parts for name in names if not _holds(part, name))
    landed = {name_key(name): name for part in parts for name in part.names}
    return tuple(
        Lacking(
            column=name,
            files=lacking[name],
            of=len(parts),
            close=tuple(landed[key] for key in difflib.get_close_matches(name_key(name), list(landed), n=2)),
        )
        for name in names
        if lacking[name]
    )
