"""What a column type does, from a landed value to a sentence in a reason.

To add a type: a subclass of `ColumnType` in a module of its own, and a line in `registry`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pyarrow as pa

from churn_model.arrays import FloatArray
from churn_model.column_types.landed import LandedValues, ParsedColumn, ParsedValue
from churn_model.column_types.memory import remember
from churn_model.column_types.parts import EncodedPart
from churn_model.spec.dataset import Kind
from churn_model.spec.sections.search import Family


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature and its values in the train split. Numbers have statistics of the rows with a value; categories have levels.

    kind      the column type, as a spec writes it
    levels    the values a category may take, most frequent first; any other value is unknown
    shares    of all rows, the share that holds each level
    low, high the 5% and 95% quantile
    scale     standard deviation, 1 if all values are equal
    missing   share of rows without a value
    rare      share of rows with a level of a category that is not kept, or would not be without the row: of new rows, as many hold an
              unknown level
    flags     whether the levels of a category are flags, so that yes, TRUE and 1 are one
    expression  what a derived feature is computed from
    column    the column that the feature is computed from, if that has another name
    part      which of several features of one column it is
    reference the day from which ages are counted; None if each row has a day of its own
    """

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    median: float = 0.0
    mean: float = 0.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 0.0
    missing: float = 0.0
    rare: float = 0.0
    flags: bool = False
    expression: str | None = None
    column: str | None = None
    part: str | None = None
    reference: str | None = None

    @property
    def source(self) -> str:
        """The name of the column that the feature is computed from; its own if it is derived."""
        return self.column or self.name

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.shares) or not self.scale > 0:
            raise ValueError(f"{self.name}: expected a share for each of {len(self.levels)} levels and a scale above 0")


@dataclass(frozen=True, kw_only=True)
class FittedColumn:
    """The features of a column, or the reason why it has none."""

    features: tuple[Feature, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """How features are laid out in the matrix: categories of up to `one_hot_limit` levels have one column per level in trees."""

    family: Family
    one_hot_limit: int


Value: TypeAlias = float | str
"""A value for a sentence. `churn_model.wording` says how it reads; a column type does not, so that other words make no table again."""


@dataclass(frozen=True, kw_only=True)
class Readable:
    """A feature's values, for reasons to put into words.

    numbers  a number for each row that identifies its value, NaN if missing (n,)
    value    the value of such a number: a quantity, or a text
    ordered  whether the numbers are in the order of the values
    """

    numbers: FloatArray
    value: Callable[[float], Value]
    ordered: bool


ParseValue: TypeAlias = Callable[[str | None], ParsedValue]
"""Parses one landed text; None is a blank."""
EncodeValue: TypeAlias = Callable[[Any, Any], Sequence[float]]
"""Encodes one canonical value, None if missing, of a row with a day, None if rows have none."""


class TypeCount(ABC):
    """What the values of a column of unknown type look like, over all rows of all files."""

    @abstractmethod
    def add(self, values: LandedValues) -> None:
        """Count one more chunk."""

    @property
    @abstractmethod
    def kind(self) -> Kind | None:
        """The type that the column has, as a spec writes it; None if it is not of this type."""

    def problem(self, name: str) -> str | None:
        """Return why the column `name` seems to be of this type but cannot be read as it; None if it does not seem so."""
        return None


class ColumnType(ABC):
    """One type of column."""

    name: ClassVar[str]
    noun: ClassVar[str]
    """What a column of this type holds, in messages."""
    pattern: ClassVar[str]
    """What a spec may write for this type, as a regular expression."""
    arrow_type: ClassVar[pa.DataType]
    """The type of parsed values."""
    stored_type: ClassVar[pa.DataType]
    """The type of the column in canonical rows."""

    @property
    def kind(self) -> Kind:
        """The type as a spec writes it."""
        return self.name

    @property
    def is_open(self) -> bool:
        """Whether values must be counted before text can be parsed, although the type is known."""
        return False

    @property
    def has_format(self) -> bool:
        """Whether text is read in a format of its own, in which a plain value may be another one or none."""
        return False

    def configure(self, text: str) -> "ColumnType":
        """Return the type with what a spec writes after its name. Raise ValueError with what was expected instead."""
        raise ValueError(f"{self.name} and nothing after it")

    # From landed values to canonical rows

    @abstractmethod
    def accepts(self, stored: pa.DataType) -> bool:
        """Return whether a column that landed with this Arrow type, in Parquet, is of this type."""

    @abstractmethod
    def count(self) -> TypeCount | None:
        """Return an empty count that recognises this type among text; None if it is never recognised."""

    @abstractmethod
    def parse(self, array: pa.Array) -> ParsedColumn:
        """Return the landed values as `arrow_type`, and a reason for each that is wrong."""

    def write(self, plain: str) -> str:
        """Return a canonical value, as plain text such as 1234.5 or 2024-01-31, as it lands in this type's own format."""
        return plain

    @abstractmethod
    def holds(self, kind: pa.DataType) -> bool:
        """Return whether a column of canonical rows with this Arrow type is of this type."""

    # From canonical rows to a matrix

    @abstractmethod
    def fit(self, name: str, column: Any, as_of: Any) -> FittedColumn:
        """Return the features of a column of the train split. `as_of`: the day of each row, None if rows have none."""

    @abstractmethod
    def width(self, feature: Feature, layout: Layout) -> int:
        """Return the number of encoded columns of a feature."""

    @abstractmethod
    def encode(self, column: Any, feature: Feature, layout: Layout, as_of: Any) -> EncodedPart:
        """Return what writes the encoded columns of a feature. Missing values and unknown ones never raise."""

    def count_unknown(self, column: Any, feature: Feature) -> int | None:
        """Return how many rows hold a value that training did not know; None if the type knows every value."""
        return None

    @abstractmethod
    def to_json(self, column: Any) -> list[Any]:
        """Return a canonical column as values that JSON holds, None if missing."""

    @abstractmethod
    def from_json(self, values: list[Any]) -> pa.Array:
        """Return the canonical column that `to_json` wrote."""

    # One value, for answers to single requests: the same as in a column, for it is a column of one value

    def value_parser(self) -> ParseValue:
        """Return what parses one landed text as `parse` does in a column."""

        def parse(text: str | None) -> ParsedValue:
            parsed = self.parse(pa.array([text], pa.string()))
            return ParsedValue(parsed.values[0].as_py(), parsed.wrong.get(0))

        return remember(parse)

    def value_encoder(self, feature: Feature, layout: Layout) -> EncodeValue:
        """Return what encodes one canonical value as `encode` does in a column: as many floats as the feature's width."""
        width = self.width(feature, layout)

        def encode(value: Any, as_of: Any) -> Sequence[float]:
            out = np.empty((1, width), dtype=np.float32)
            day = None if as_of is None else pa.array([as_of], pa.date32())
            self.encode(pa.array([value], self.arrow_type), feature, layout, day).fill(out, 0, 1)
            return tuple(out[0].tolist())

        return remember(encode)

    # For reasons

    @abstractmethod
    def describe(self, column: Any, feature: Feature, as_of: Any) -> Readable:
        """Return the values of a feature for these rows."""

    @abstractmethod
    def describe_usual(self, feature: Feature) -> tuple[str, Value] | None:
        """Return what most customers have, as an introduction and a value like those of `describe`; None if there is no such value."""

    @abstractmethod
    def to_numbers(self, column: Any) -> FloatArray | None:
        """Return a canonical column as numbers in the order of its values, NaN if missing (n,); None if its values have no order."""

    def format_number(self, number: float) -> str:
        """Return the value of a number of `to_numbers` as text."""
        return f"{number:.6g}"
