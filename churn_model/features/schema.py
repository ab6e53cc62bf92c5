"""Which columns a model reads, and what each looked like in training.

Belongs here: choosing features among the canonical rows' columns, their levels and statistics, and both as JSON. Does not belong here:
turning rows into a matrix (`preprocessing.py`) and anything that looks at the label: a schema is fitted on the train split without it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.errors import InputError, TooLittleData, listed, problem
from churn_model.spec.dataset import Dataset, FloatArray, Kind, same_name
from churn_model.spec.expressions import Expression, compile_expression

RESERVED = ("_id", "_as_of", "_hash", "_label")
ONE_HOT_LIMIT = 16
MAX_LEVELS = 255
MIN_LEVEL_ROWS = 3
ID_LIKE_SHARE = 0.9

Rows: TypeAlias = pa.Table | pa.RecordBatch


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature and its values in the train split. Numbers have statistics, of the rows where they are known; categories have levels.

    levels    the values a category may take, most frequent first; any other value is unknown
    shares    of all rows, the share that holds each level
    low, high the 5 % and 95 % quantile
    scale     standard deviation, 1 where all values are equal
    missing   share of rows without a value
    expression  what a derived feature is computed from
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
    expression: str | None = None

    @property
    def most_common(self) -> str | None:
        """The most frequent level of a category."""
        return self.levels[0] if self.levels else None

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.shares) or not self.scale > 0:
            raise ValueError(f"{self.name}: expected a share for each of {len(self.levels)} levels and a scale above 0")


@dataclass(frozen=True, kw_only=True)
class FeatureSchema:
    """The features of a model in their order, and the columns that were left out with the reason.

    Categories with up to `one_hot_limit` levels become one column a level for trees, others one column of codes.
    """

    features: tuple[Feature, ...]
    one_hot_limit: int = ONE_HOT_LIMIT
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def required(self) -> dict[str, Kind]:
        """The landed columns that scoring needs, with their kinds: plain features and what derived ones are computed from."""
        needed: dict[str, Kind] = {
            feature.name: feature.kind for feature in self.features if feature.expression is None
        }
        present = {_key(name) for name in needed}
        for feature in self.features:
            for source in _compiled(feature.expression).columns if feature.expression is not None else ():
                if _key(source) not in present:
                    present.add(_key(source))
                    needed[source] = "number"
        return needed

    def feature(self, name: str) -> Feature:
        """The feature of that name, matched without regard to case. Raises KeyError where there is none."""
        for found in self.features:
            if same_name(found.name, name):
                return found
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """The schema as values that JSON holds."""
        return {
            "features": [dataclasses.asdict(feature) for feature in self.features],
            "one_hot_limit": self.one_hot_limit,
            "left_out": dict(self.left_out),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FeatureSchema":
        """The schema that `to_dict` wrote, also after a way through JSON. Raises InputError where it is something else."""
        try:
            features = tuple(
                Feature(**{**part, "levels": tuple(part["levels"]), "shares": tuple(part["shares"])})
                for part in values["features"]
            )
            return cls(features=features, one_hot_limit=int(values["one_hot_limit"]), left_out=dict(values["left_out"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                problem(
                    expected="a feature schema",
                    found=f"something else ({error})",
                    todo="write it with FeatureSchema.to_dict",
                )
            ) from error


def fit_schema(train: pa.Table, dataset: Dataset) -> FeatureSchema:
    """The features of the train split: its landed columns that the spec does not exclude, then the derived ones.

    Left out, each with its reason: constant columns, columns without a value, and categories whose values are nearly all distinct.
    Raises TooLittleData where no feature is left, InputError where a derived column cannot be computed.
    """
    if train.num_rows == 0:
        raise TooLittleData(problem(expected="rows to train on", found="none", todo="land training data"))
    features: list[Feature] = []
    left_out: dict[str, str] = {}
    derived = {_key(name) for name in dataset.derived}
    for name in train.column_names:
        if name in RESERVED or _key(name) in dataset.not_features or _key(name) in derived:
            continue
        column = train.column(name)
        _keep(
            _fit_category(name, column) if is_category(column.type) else _fit_number(name, as_numbers(column, name)),
            features,
            left_out,
        )
    for name, text in dataset.derived.items():
        if _key(name) not in dataset.not_features:
            _keep(_fit_number(name, derive(train, name, text), expression=text), features, left_out)
    if not features:
        raise TooLittleData(
            problem(
                expected="at least one column to learn from",
                found="; ".join(f"{name}: {why}" for name, why in left_out.items()) or "no column that is not excluded",
                todo="land more columns or shorten `ignore`",
            )
        )
    return FeatureSchema(features=tuple(features), left_out=left_out)


def column_named(rows: Rows, name: str) -> Any:
    """The column of that name, matched without regard to case; None where there is none."""
    exact = rows.schema.get_field_index(name)
    if exact >= 0:
        return rows.column(exact)
    for index, found in enumerate(rows.schema.names):
        if same_name(found, name):
            return rows.column(index)
    return None


def is_category(kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type is a category in canonical rows."""
    return bool(pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def as_numbers(column: Any, name: str) -> FloatArray:
    """A column of an Arrow number type as float64 (n,), NaN where missing. Raises InputError on any other type."""
    kind = column.type
    if pa.types.is_float64(kind):
        numbers: FloatArray = (
            column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)
        )
        return numbers
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return as_numbers(column.cast(pa.float64()), name)
    raise InputError(
        problem(
            expected=f"numbers in {name}",
            found="text" if is_category(kind) else str(kind),
            todo=f"correct the values that are no numbers, or write `types: {{{name}: number}}`, which sets their rows aside, and retrain",
        )
    )


def derive(rows: Rows, name: str, text: str) -> FloatArray:
    """The values of the derived column `name` as float64 (n,), NaN where missing.

    Raises InputError naming every source that is absent or text.
    """
    expression = _compiled(text)
    found = {source: column_named(rows, source) for source in expression.columns}
    absent = [source for source, column in found.items() if column is None]
    if absent:
        raise InputError(
            listed(
                [
                    problem(expected=f"column {source}, for the derived {name}", found="no such column", todo="land it")
                    for source in absent
                ]
            )
        )
    texts = [source for source, column in found.items() if is_category(column.type)]
    if texts:
        raise InputError(listed([text_in_expression(name, source) for source in texts]))
    return expression.evaluate({source: as_numbers(column, source) for source, column in found.items()})


def text_in_expression(name: str, source: str) -> str:
    """What is wrong where the derived column `name` reads the text column `source`."""
    return problem(
        expected=f"numbers in {source!r}, for the derived {name!r}",
        found="text",
        todo="take it out of the expression; or, if it holds numbers but for a few values, mend those, "
        f"or write `types: {{{source}: number}}` in the spec, which sets their rows aside",
    )


@lru_cache(maxsize=256)
def _compiled(text: str) -> Expression:
    return compile_expression(text)


def _key(name: str) -> str:
    return name.strip().lower()


def _keep(fitted: Feature | tuple[str, str], features: list[Feature], left_out: dict[str, str]) -> None:
    if isinstance(fitted, Feature):
        features.append(fitted)
    else:
        left_out[fitted[0]] = fitted[1]


def _fit_number(name: str, values: FloatArray, expression: str | None = None) -> Feature | tuple[str, str]:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return name, "it has no value"
    if len(known) == len(values) and known.min() == known.max():
        return name, "all its values are equal"
    low, median, high = np.quantile(known, [0.05, 0.5, 0.95])
    return Feature(
        name=name,
        kind="number",
        median=float(median),
        mean=float(known.mean()),
        scale=float(known.std()) or 1.0,
        low=float(low),
        high=float(high),
        missing=1 - len(known) / len(values),
        expression=expression,
    )


def _fit_category(name: str, column: Any) -> Feature | tuple[str, str]:
    counts = _counts(column)
    known, rows = sum(count for _, count in counts), len(column)
    if known == 0:
        return name, "it has no value"
    if len(counts) == 1 and known == rows:
        return name, "all its values are equal"
    if len(counts) > max(ID_LIKE_SHARE * known, 2):
        return name, "nearly every row has a value of its own, as an id has"
    kept = [(level, count) for level, count in counts if count >= MIN_LEVEL_ROWS][:MAX_LEVELS]
    if not kept:
        return name, f"no value occurs in {MIN_LEVEL_ROWS} rows"
    return Feature(
        name=name,
        kind="category",
        levels=tuple(level for level, _ in kept),
        shares=tuple(count / rows for _, count in kept),
        missing=1 - known / rows,
    )


def _counts(column: Any) -> Sequence[tuple[str, int]]:
    """Each value and the number of its rows, most frequent first, equal ones by value."""
    text = column.cast(pa.dictionary(pa.int32(), pa.string())) if pa.types.is_dictionary(column.type) else column
    counted = pc.value_counts(text)
    values, counts = counted.field("values").cast(pa.string()).to_pylist(), counted.field("counts").to_pylist()
    merged: dict[str, int] = {}
    for value, count in zip(values, counts, strict=True):
        if value is not None:
            merged[value] = merged.get(value, 0) + count
    return sorted(merged.items(), key=lambda item: (-item[1], item[0]))
