"""Which columns of text hold numbers, and how these are written."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import IntArray
from churn_model.column_types.interface import TypeCount
from churn_model.column_types.landed import LandedValues, as_mask, quote_value
from churn_model.column_types.number_format import (
    AS_IS,
    DRESSED,
    PERCENT,
    PLAIN,
    SEPARATORS,
    NumberFormat,
    are_infinite,
    are_zeros_and_ones,
    classify_numbers,
    find_mark,
)
from churn_model.column_types.spelling import NO, YES
from churn_model.errors import problem
from churn_model.spec.dataset import Kind

MOST_LEVELS = 20
"""Different values with separators, and no currency, up to which a column may be a category, such as that of a few lists of codes."""
_DECIMAL_COMMA = tuple(example for example, (_, decimal) in SEPARATORS.items() if decimal == ",")
_GROUPED_BY_POINTS = r"^[+-]?[0-9]{1,3}(\.[0-9]{3})+$"


class NumberCount(TypeCount):
    """Recognises numbers: one way to write them reads at least 95% of the values that are present.

    present  values that are neither blank nor a word for missing
    numbers  plain numbers, and infinite ones, which are refused one by one
    flags    values that say yes or no, as 1 and 0 do
    read     by format, values that it reads; `points` of them are plain numbers that two formats read as different ones
    marks    values by their currency or percent sign, plain numbers left out
    written  different values that are no plain numbers, some of them
    """

    def __init__(self) -> None:
        self.present = self.numbers = self.flags = self.points = 0
        self.read = dict.fromkeys(SEPARATORS, 0)
        self.marks: dict[str, int] = {}
        self.written: dict[str, None] = {}

    def add(self, values: LandedValues) -> None:
        """Count one more chunk."""
        if values.numbers is not None:
            numbers = values.numbers.drop_null().to_numpy()
            if self.flags == self.present and are_zeros_and_ones(numbers):
                self.flags += len(numbers)
            self.present += len(numbers)
            self._add_plain(len(numbers), int((numbers == np.floor(numbers)).sum()))
            return
        texts, counts = values.distinct
        trimmed, number, missing = classify_numbers(texts)
        plain = as_mask(number) | as_mask(are_infinite(trimmed))
        self.present += int(counts[~as_mask(missing)].sum())
        self.flags += int(counts[as_mask(pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(YES + NO)))].sum())
        points = plain & as_mask(pc.match_substring(trimmed, "."))
        grouped = plain & as_mask(pc.match_substring_regex(trimmed, _GROUPED_BY_POINTS))
        self.points += int(counts[grouped].sum())
        self._add_plain(int(counts[plain].sum()), int(counts[plain & ~(points & ~grouped)].sum()))
        dressed = np.flatnonzero(as_mask(pc.match_substring_regex(trimmed, DRESSED)) & ~plain & ~as_mask(missing))
        if len(dressed):
            self._add_dressed(trimmed.take(pa.array(dressed)), counts[dressed])

    def _add_plain(self, rows: int, without_point: int) -> None:
        self.numbers += rows
        for example in SEPARATORS:
            self.read[example] += without_point if example in _DECIMAL_COMMA else rows

    def _add_dressed(self, texts: pa.Array, counts: IntArray) -> None:
        """Count different texts (n,) with separators or marks, and their rows (n,). Which formats read a text, its digits do not matter for."""
        shapes = pc.replace_substring_regex(texts, "[0-9]", "0").dictionary_encode()
        codes = shapes.indices.to_numpy()
        rows = np.bincount(codes, weights=counts, minlength=len(shapes.dictionary)).astype(np.int64)
        readable = np.array(
            [
                self._add_shape(text, count)
                for text, count in zip(shapes.dictionary.to_pylist(), rows.tolist(), strict=True)
            ]
        )
        if len(self.written) <= MOST_LEVELS:
            some = np.flatnonzero(readable[codes])[: MOST_LEVELS + 1]
            self.written |= dict.fromkeys(texts.take(pa.array(some)).to_pylist())

    def _add_shape(self, text: str, count: int) -> bool:
        """Count `count` rows of a shape, and return whether any format reads it."""
        mark = find_mark(text)
        readers = [example for example in SEPARATORS if NumberFormat(example, mark).read(text) is not None]
        if readers:
            self.marks[mark] = self.marks.get(mark, 0) + count
        self.points += count if "." in text and {PLAIN, "1.234,5"} <= set(readers) else 0
        for example in readers:
            self.read[example] += count
        return bool(readers)

    @property
    def kind(self) -> Kind | None:
        """`number`, also for a column without any value, and the format if it is not the plain one. Flags of which some are words are none."""
        if self.flags == self.present > self.numbers:
            return None
        plain = AS_IS.kind if 20 * self.numbers >= 19 * self.present else None
        if self.numbers == self.present or len(self._formats) != 1 or self._is_mixed:
            return plain
        form = NumberFormat(self._formats[0], next((mark for mark in self.marks if mark), ""))
        if not form.mark and 2 * self.numbers < self.present and len(self.written) <= MOST_LEVELS:
            return None
        return form.kind

    def problem(self, name: str) -> str | None:
        """Return why numbers cannot be read although they are some: each would be a category of its own."""
        dressed = sum(self.marks.values())
        if self.kind is not None or 20 * (self.numbers + dressed) < 19 * self.present or not dressed:
            return None
        if not any(self.marks) and len(self.written) <= MOST_LEVELS:
            return None
        column, text = quote_value(name), quote_value(next(iter(self.written)))
        if self._is_mixed:
            marks = " and ".join(mark or "none" for mark in sorted({*self.marks, *([""] * bool(self.numbers))}))
            return problem(
                expected=f"one currency or percent sign in {column}",
                found=marks,
                todo="convert the values to one of them, or write the sign with each",
            )
        mark = next((mark for mark in self.marks if mark), "")
        kinds = [
            f"`types: {{{name}: '{NumberFormat(example, mark).kind}'}}`" for example in self._formats or SEPARATORS
        ]
        return problem(
            expected=f"numbers in {column} that are written in one way",
            found=f"numbers such as {text}, which may be read in {'several ways' if self._formats else 'no one way'}",
            todo=f"write {' or '.join(kinds)} in the spec, or `types: {{{name}: category}}` if they are no numbers",
        )

    @property
    def _is_mixed(self) -> bool:
        marks = [mark for mark in self.marks if mark]
        return len(marks) > 1 or (PERCENT in marks and 20 * self.marks[PERCENT] < 19 * self.present)

    @property
    def _formats(self) -> list[str]:
        """Return the formats that may be meant: of those that read most, one if all read the same numbers."""
        most = max(self.read.values())
        if 20 * most < 19 * self.present:
            return []
        best = [example for example, count in self.read.items() if count == most]
        thousands_or_decimals = {PLAIN, "1.234,5"} if PLAIN in best and self.points else {"1,234.5", "1.234,5"}
        return (
            best[:1]
            if not thousands_or_decimals <= set(best) or (PLAIN in best and not self.points)
            else sorted(thousands_or_decimals)
        )
