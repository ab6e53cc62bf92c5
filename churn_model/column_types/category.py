"""Categories: text as landed, encoded by a lookup in the Arrow dictionary, so that the work per row is one `take`.

Spellings of one level (`spelling`) are merged in the fitted feature and whenever a level is looked up; canonical rows keep the text as landed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import FloatArray, IntArray
from churn_model.column_types.interface import ColumnType, Feature, FittedColumn, Layout, Readable, TypeCount, Value
from churn_model.column_types.landed import MISSING_CATEGORIES, ParsedColumn, count_words, read_text, trim
from churn_model.column_types.parts import EncodedPart, LookupPart
from churn_model.column_types.spelling import Spelling, are_flags
from churn_model.spec.dataset import Kind

MAX_LEVELS = 255
MIN_LEVEL_ROWS = 3
ID_LIKE_SHARE = 0.9
_ANY_CASE = "any case"


@dataclass(frozen=True)
class Category(ColumnType):
    """One of several values without an order. `any_case`: upper and lower case are one value."""

    any_case: bool = False

    name: ClassVar[str] = "category"
    noun: ClassVar[str] = "text"
    pattern: ClassVar[str] = f"category( {_ANY_CASE})?"
    arrow_type: ClassVar[pa.DataType] = pa.string()
    stored_type: ClassVar[pa.DataType] = pa.dictionary(pa.int32(), pa.string())

    @property
    def kind(self) -> Kind:
        """`category`, or `category any case`."""
        return f"{self.name} {_ANY_CASE}" if self.any_case else self.name

    def configure(self, text: str) -> "Category":
        """Return the type in which case does not matter. Raise ValueError for any other text."""
        if text != _ANY_CASE:
            raise ValueError(f"{self.name}, or {self.name} {_ANY_CASE}")
        return Category(any_case=True)

    def accepts(self, stored: pa.DataType) -> bool:
        """Return true: whatever has a text can be a category."""
        return True

    def count(self) -> TypeCount | None:
        """Return None: a column is a category if no other type recognises it."""
        return None

    def parse(self, array: pa.Array) -> ParsedColumn:
        """Return text as landed, without the blanks around it. Missing: blank and `MISSING_CATEGORIES`."""
        text = read_text(array)
        trimmed = trim(text.values)
        missing = pc.is_in(trimmed, value_set=pa.array(MISSING_CATEGORIES))
        if not pc.any(missing).as_py():
            return ParsedColumn(trimmed, text.wrong)
        known = pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)
        return ParsedColumn(known, text.wrong, count_words(trimmed, missing))

    def holds(self, kind: pa.DataType) -> bool:
        """Return whether the type is text, or a dictionary of it."""
        return bool(pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))

    def fit(self, name: str, column: Any, as_of: Any) -> FittedColumn:
        """Return the feature with the levels that at least `MIN_LEVEL_ROWS` rows hold; none if the column is constant or like an id.

        Spellings of one level count together, and the most frequent one names it.
        """
        spelled = _count_texts(column)
        flags = are_flags(text for text, _ in spelled)
        counts = _merge_spellings(spelled, Spelling(flags, self.any_case))
        known, rows = sum(count for _, count in counts), len(column)
        if known == 0:
            return FittedColumn(left_out={name: "it has no value"})
        if len(counts) == 1 and known == rows:
            return FittedColumn(left_out={name: "all its values are equal"})
        if len(counts) > max(ID_LIKE_SHARE * known, 2):
            return FittedColumn(left_out={name: "nearly every row has a value of its own, as an id has"})
        kept = [(level, count) for level, count in counts if count >= MIN_LEVEL_ROWS][:MAX_LEVELS]
        if not kept:
            return FittedColumn(left_out={name: f"no value occurs in {MIN_LEVEL_ROWS} rows"})
        # Without its own row, a level with this count would not be among those kept.
        displaced = max([MIN_LEVEL_ROWS, *(count for _, count in counts[len(kept) : len(kept) + 1])])
        seen = sum(count for _, count in kept if count > displaced)
        feature = Feature(
            name=name,
            kind=self.kind,
            levels=tuple(level for level, _ in kept),
            shares=tuple(count / rows for _, count in kept),
            missing=1 - known / rows,
            rare=(known - seen) / rows,
            flags=flags,
        )
        return FittedColumn(features=(feature,))

    def width(self, feature: Feature, layout: Layout) -> int:
        """Return one column per level and one for missing values if training had any; one of codes for trees if there are many levels."""
        return len(feature.levels) + int(feature.missing > 0) if _is_one_hot(feature, layout) else 1

    def encode(self, column: Any, feature: Feature, layout: Layout, as_of: Any) -> EncodedPart:
        """Return a lookup by the column's dictionary. An unknown level is all zeros, or NaN among codes."""
        column = _as_dictionary(column)
        places = self._find_levels(column.dictionary.cast(pa.string()), feature)
        # A dictionary may itself hold a null: that is a missing value too.
        absent = np.append(column.dictionary.is_null().to_numpy(zero_copy_only=False), True)
        places = np.append(places, -1)
        codes = column.indices.fill_null(len(column.dictionary)).to_numpy().astype(np.int32, copy=False)
        if not _is_one_hot(feature, layout):
            return LookupPart(codes, np.where(places < 0, np.nan, places).astype(np.float32)[:, None])
        table = np.zeros((len(places), self.width(feature, layout)), dtype=np.float32)
        known = np.flatnonzero(places >= 0)
        table[known, places[known]] = 1
        if feature.missing > 0:
            table[absent, -1] = 1
        return LookupPart(codes, table)

    def count_unknown(self, column: Any, feature: Feature) -> int | None:
        """Return how many rows hold a level that training did not know."""
        coded = _as_dictionary(column)
        words = coded.dictionary.cast(pa.string())
        unknown = pc.and_(words.is_valid(), pa.array(self._find_levels(words, feature) < 0))
        return int(pc.sum(unknown.take(coded.indices)).as_py() or 0)

    def _find_levels(self, words: pa.Array, feature: Feature) -> IntArray:
        """Return the place of each text's level (d,), -1 if training did not know it, whatever the spelling."""
        spelling, levels = Spelling(feature.flags, self.any_case), pa.array(feature.levels, pa.string())
        places = pc.index_in(words, value_set=levels)
        if places.null_count:
            spelled = pc.index_in(spelling.normalize(words), value_set=spelling.normalize(levels))
            places = pc.if_else(words.is_valid(), pc.coalesce(places, spelled), pa.scalar(None, pa.int32()))
        return np.asarray(places.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)

    def to_json(self, column: Any) -> list[Any]:
        """Return text."""
        values: list[Any] = column.cast(pa.string()).to_pylist()
        return values

    def from_json(self, values: list[Any]) -> pa.Array:
        """Return dictionary-encoded text."""
        return pa.array(values, pa.string()).dictionary_encode()

    def describe(self, column: Any, feature: Feature, as_of: Any) -> Readable:
        """Return each value's place among the distinct ones; a level reads as training spelled it."""
        codes, words = encode_levels(column)
        places = self._find_levels(pa.array(words, pa.string()), feature)
        texts = [
            feature.levels[place] if place >= 0 else word for word, place in zip(words, places.tolist(), strict=True)
        ]
        numbers = np.where(codes < len(words), codes.astype(np.float64), np.nan)
        return Readable(numbers=numbers, value=lambda number: texts[int(number)], ordered=False)

    def describe_usual(self, feature: Feature) -> tuple[str, Value] | None:
        """Return the most frequent level if at least half of the rows hold it."""
        return ("most have", feature.levels[0]) if feature.levels and feature.shares[0] >= 0.5 else None

    def to_numbers(self, column: Any) -> FloatArray | None:
        """Return None: levels have no order."""
        return None


def encode_levels(column: Any) -> tuple[IntArray, list[str]]:
    """Return a code for each row of a text column (n,), and the texts that the codes stand for. A missing value has the code after the last."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    texts = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.unify_dictionaries().combine_chunks()
    words = texts.dictionary.to_pylist()
    codes = np.asarray(texts.indices.fill_null(len(words)).to_numpy(zero_copy_only=False), dtype=np.int64)
    if None not in words:
        return codes, words
    known = np.array([word is not None for word in words] + [False])
    places = np.where(known, np.cumsum(known) - 1, known.sum())
    return places[codes], [word for word in words if word is not None]


def _is_one_hot(feature: Feature, layout: Layout) -> bool:
    return layout.family == "linear" or len(feature.levels) <= layout.one_hot_limit


def _as_dictionary(column: Any) -> Any:
    return column if pa.types.is_dictionary(column.type) else column.cast(pa.string()).dictionary_encode()


def _count_texts(column: Any) -> Sequence[tuple[str, int]]:
    """Return each text and the number of its rows, most frequent first, equal ones by text."""
    text = column.cast(pa.dictionary(pa.int32(), pa.string())) if pa.types.is_dictionary(column.type) else column
    counted = pc.value_counts(text)
    values, counts = counted.field("values").cast(pa.string()).to_pylist(), counted.field("counts").to_pylist()
    merged: dict[str, int] = {}
    for value, count in zip(values, counts, strict=True):
        if value is not None:
            merged[value] = merged.get(value, 0) + count
    return sorted(merged.items(), key=lambda item: (-item[1], item[0]))


def _merge_spellings(counts: Sequence[tuple[str, int]], spelling: Spelling) -> Sequence[tuple[str, int]]:
    """Return each value in its most frequent spelling with the rows of all its spellings, most frequent first; `counts` are sorted so."""
    normal = spelling.normalize(pa.array([text for text, _ in counts], pa.string())).to_pylist()
    names: dict[str, str] = {}
    merged: dict[str, int] = {}
    for (text, count), key in zip(counts, normal, strict=True):
        name = names.setdefault(key, text)
        merged[name] = merged.get(name, 0) + count
    return sorted(merged.items(), key=lambda item: (-item[1], item[0]))


CATEGORY = Category()
