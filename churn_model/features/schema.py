"""Which columns a model reads, and what each looked like in training.

A schema is fitted on the train split, without the label. Turning rows into a matrix is in `encoding`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import pyarrow as pa

from churn_model.arrays import FloatArray
from churn_model.column_types.interface import Feature, FittedColumn, Layout
from churn_model.column_types.number import NUMBER, as_numbers, fit_numbers
from churn_model.column_types.registry import column_type, kind_of, type_of
from churn_model.errors import InputError, TooLittleData, listed, problem
from churn_model.spec.column_names import AS_OF, RESERVED, name_key, same_name
from churn_model.spec.dataset import Dataset, Kind
from churn_model.spec.expressions import Expression, compile_expression
from churn_model.spec.sections.search import Family

ONE_HOT_LIMIT = 16

Rows: TypeAlias = pa.Table | pa.RecordBatch


@dataclass(frozen=True, kw_only=True)
class FeatureSchema:
    """The features of a model in their order, and the columns that were left out with the reason.

    Categories with up to `one_hot_limit` levels become one column per level for trees, others one column of codes. `sources` are the types of the
    landed columns that derived features are computed from.
    """

    features: tuple[Feature, ...]
    one_hot_limit: int = ONE_HOT_LIMIT
    left_out: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Kind] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def required(self) -> dict[str, Kind]:
        """The landed columns that scoring needs, with their types: plain features and what derived ones are computed from."""
        needed: dict[str, Kind] = {
            feature.source: feature.kind for feature in self.features if feature.expression is None
        }
        present = {name_key(name) for name in needed}
        for feature in self.features:
            for source in _compile(feature.expression).columns if feature.expression is not None else ():
                if name_key(source) not in present:
                    present.add(name_key(source))
                    needed[source] = self.sources.get(source, NUMBER.name)
        return needed

    def feature(self, name: str) -> Feature:
        """Return the feature of that name, matched without regard to case. Raises KeyError if there is none."""
        for feature in self.features:
            if same_name(feature.name, name):
                return feature
        raise KeyError(name)

    def layout(self, family: Family) -> Layout:
        """Return how the features are laid out for a model family."""
        return Layout(family, self.one_hot_limit)


def fit_schema(train: pa.Table, dataset: Dataset) -> FeatureSchema:
    """Return the features of the train split: its landed columns that the spec does not exclude, then the derived ones.

    Left out, each with its reason: constant columns, columns without a value, and categories whose values are nearly all distinct.
    Raises TooLittleData if no feature is left, InputError if a derived column cannot be computed.
    """
    if train.num_rows == 0:
        raise TooLittleData(problem(expected="rows to train on", found="none", todo="land training data"))
    derived = {name_key(name) for name in dataset.derived}
    as_of = column_named(train, AS_OF)
    fitted: list[FittedColumn] = [
        column_type(kind_of(train.schema.field(name))).fit(name, train.column(name), as_of)
        for name in train.column_names
        if name not in RESERVED and name_key(name) not in dataset.not_features | derived
    ]
    fitted += [
        fit_numbers(name, derive(train, name, text), expression=text)
        for name, text in dataset.derived.items()
        if name_key(name) not in dataset.not_features
    ]
    left_out = {name: why for column in fitted for name, why in column.left_out.items()}
    taken = {name_key(name) for name in train.column_names} | derived
    features: list[Feature] = []
    for feature in (feature for column in fitted for feature in column.features):
        if feature.column is not None and name_key(feature.name) in taken:
            left_out[feature.name] = "another column has this name"
        else:
            features.append(feature)
    if not features:
        raise TooLittleData(
            problem(
                expected="at least one column to learn from",
                found="; ".join(f"{name}: {why}" for name, why in left_out.items()) or "no column that is not excluded",
                todo="land more columns or shorten `ignore`",
            )
        )
    return FeatureSchema(features=tuple(features), left_out=left_out, sources=_source_kinds(train, dataset))


def _source_kinds(train: pa.Table, dataset: Dataset) -> dict[str, Kind]:
    """Return the types of the landed columns that the derived ones are computed from: a number keeps its format."""
    kinds = {name_key(name): kind_of(train.schema.field(name)) for name in train.column_names}
    return {source: kinds[name_key(source)] for text in dataset.derived.values() for source in _compile(text).columns}


def column_named(rows: Rows, name: str) -> Any:
    """Return the column of that name, matched without regard to case; None if there is none."""
    exact = rows.schema.get_field_index(name)
    if exact >= 0:
        return rows.column(exact)
    for index, other in enumerate(rows.schema.names):
        if same_name(other, name):
            return rows.column(index)
    return None


def values_of(rows: Rows, feature: Feature) -> Any:
    """Return the canonical column of a feature, computed if it is derived."""
    if feature.expression is not None:
        return pa.array(derive(rows, feature.name, feature.expression))
    return column_named(rows, feature.source)


def derive(rows: Rows, name: str, text: str) -> FloatArray:
    """Return the values of the derived column `name` as float64 (n,), NaN if missing.

    Raises InputError naming every source that is absent or not a number.
    """
    expression = _compile(text)
    columns = {source: column_named(rows, source) for source in expression.columns}
    absent = [source for source, column in columns.items() if column is None]
    if absent:
        raise InputError(
            listed(
                [
                    problem(expected=f"column {source}, for the derived {name}", found="no such column", todo="land it")
                    for source in absent
                ]
            )
        )
    refused = [why for source, column in columns.items() if (why := refuse_in_expression(name, source, column.type))]
    if refused:
        raise InputError(listed(refused))
    return expression.evaluate({source: as_numbers(column, source) for source, column in columns.items()})


def refuse_in_expression(name: str, source: str, kind: pa.DataType) -> str | None:
    """Return why the derived column `name` cannot read the column `source` of this Arrow type; None if it holds numbers."""
    if type_of(kind) is NUMBER:
        return None
    return problem(
        expected=f"numbers in {source!r}, for the derived {name!r}",
        found=type_of(kind).noun,
        todo="take it out of the expression; or, if it holds numbers but for a few values, fix those, "
        f"or write `types: {{{source}: number}}` in the spec, which sets their rows aside",
    )


@lru_cache(maxsize=256)
def _compile(text: str) -> Expression:
    return compile_expression(text)
