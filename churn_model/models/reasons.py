"""Why the model gives a customer this probability, in words, and what it looks at over all customers.

A reason is an exact contribution: it says what the model looked at, and never why somebody leaves or what would happen if a value changed.
A column type says what a value is, `wording` how it reads.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from churn_model.arrays import FloatArray, IntArray
from churn_model.column_types.interface import Feature, Readable
from churn_model.column_types.memory import remember
from churn_model.column_types.registry import column_type
from churn_model.features.encoding import Encoded, feature_names_of
from churn_model.features.schema import FeatureSchema, Rows, column_named, values_of
from churn_model.models.contributions import contributions
from churn_model.models.families import Model
from churn_model.models.reason_summary import ReasonSummary
from churn_model.spec.column_names import AS_OF, name_key, same_name
from churn_model.spec.expressions import compile_expression
from churn_model.spec.sections.search import Family
from churn_model.wording import value_text

REASONS = 3
LEAST = 0.1
"""Log odds below which a contribution is not a reason."""
STRENGTHS = ((0.8, "raises the risk strongly"), (0.3, "raises the risk"), (LEAST, "raises the risk slightly"))
BLOCK = 16_384
_LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, kw_only=True)
class Explainer:
    """How encoded columns become reasons.

    names    of each reason: a feature, or several that count as one
    column   of each encoded column, the place of its feature in the schema (width,)
    reason   of each feature, the place of its reason (features,)
    leads    of each feature, whether its value may represent the reason (features,)
    """

    schema: FeatureSchema
    words: Mapping[str, str]
    names: tuple[str, ...]
    column: IntArray
    reason: IntArray
    leads: np.ndarray[Any, np.dtype[np.bool_]]

    @cached_property
    def first_columns(self) -> IntArray:
        """The first encoded column of each feature that has any (k,)."""
        return np.flatnonzero(np.r_[True, np.diff(self.column) != 0])

    @cached_property
    def by_reason(self) -> IntArray:
        """The features in the order of their reasons (features,)."""
        return np.argsort(self.reason, kind="stable")

    @cached_property
    def first_features(self) -> IntArray:
        """Where each reason begins in `by_reason` (reasons,)."""
        return np.flatnonzero(np.r_[True, np.diff(self.reason[self.by_reason]) != 0])

    @cached_property
    def leaders(self) -> tuple[tuple[int, ...], ...]:
        """Of each reason, the features whose value may represent it."""
        return tuple(
            tuple(np.flatnonzero((self.reason == number) & self.leads).tolist()) for number in range(len(self.names))
        )


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """The reasons of each customer, strongest first: three arrays of words (n,), null if there are fewer, and log odds (n, 3)."""

    words: tuple[Any, ...]
    contributions: FloatArray


def make_explainer(
    schema: FeatureSchema, family: Family, *, words: Mapping[str, str], groups: Mapping[str, Sequence[str]]
) -> Explainer:
    """Return the explainer of a model. All features of a column count as one reason; so do a derived feature with what it is computed from,
    and the columns of a group.

    The value in words is that of a column with words of its own, else of the derived column, else of the strongest column of the row.
    """
    features = schema.features
    place = {name_key(feature.name): number for number, feature in enumerate(features)}
    of_column: dict[str, list[int]] = {}
    for number, feature in enumerate(features):
        of_column.setdefault(name_key(feature.source), []).append(number)
    group = list(range(len(features)))
    named: dict[int, str] = {}
    joined = [
        (feature.name, [feature.name, *compile_expression(feature.expression).columns])
        for feature in features
        if feature.expression
    ]
    for name, members in [*((feature.source, [feature.source]) for feature in features), *joined, *groups.items()]:
        present = [number for member in members for number in of_column.get(name_key(member), [])]
        if not present:
            continue
        target = min(group[member] for member in present)
        merged = {group[member] for member in present}
        group = [target if number in merged else number for number in group]
        named[target] = name
    targets = sorted(set(group))
    names = [named.get(target, features[target].name) for target in targets]
    reason = np.array([targets.index(number) for number in group], dtype=np.int64)
    owners = feature_names_of(schema, family)
    return Explainer(
        schema=schema,
        words=dict(words),
        names=tuple(names),
        column=np.array([place[name_key(owner)] for owner in owners], dtype=np.int64),
        reason=reason,
        leads=_leads(features, reason, words),
    )


def _leads(
    features: Sequence[Feature], reason: IntArray, words: Mapping[str, str]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    worded = np.array([_find_template(feature.name, words) is not None for feature in features], dtype=bool)
    derived = np.array([feature.expression is not None for feature in features], dtype=bool)
    leads = np.ones(len(features), dtype=bool)
    for number in np.unique(reason):
        members = reason == number
        for preferred in (worded, derived):
            if (members & preferred).any():
                leads[members] = preferred[members]
                break
    return leads


def _find_template(name: str, words: Mapping[str, str]) -> str | None:
    return next((text for column, text in words.items() if same_name(column, name)), None)


def _sum_by_feature(contributions: FloatArray, explainer: Explainer) -> FloatArray:
    """Return contributions (n, width + 1) summed over the encoded columns of each feature (n, features)."""
    sums = np.zeros((len(contributions), len(explainer.schema.features)))
    edges = explainer.first_columns
    sums[:, explainer.column[edges]] = np.add.reduceat(contributions[:, :-1], edges, axis=1)
    return sums


def _sum_by_reason(features: FloatArray, explainer: Explainer) -> FloatArray:
    """Return contributions (n, features) summed over the features of each reason (n, reasons)."""
    return np.asarray(np.add.reduceat(features[:, explainer.by_reason], explainer.first_features, axis=1))


def contributions_by_reason(contributions: FloatArray, explainer: Explainer) -> FloatArray:
    """Return contributions (n, width + 1) summed over the columns of each reason (n, reasons), in the order of `explainer.names`."""
    return _sum_by_reason(_sum_by_feature(contributions, explainer), explainer)


def reasons(rows: Rows, encoded: Encoded, model: Model, explainer: Explainer) -> Reasons:
    """Return up to three reasons for each of these rows, strongest first: only what raises the risk, by at least 0.1 log odds.

    `encoded` are the same rows, encoded. Contributions are exact (`contributions.contributions`), and to the raw margin: calibration is monotone,
    so order and sign hold.
    """
    n = len(encoded)
    sizes, leaders = np.full((n, REASONS), np.nan), np.full((n, REASONS), -1, dtype=np.int64)
    for start in range(0, n, BLOCK):
        block = slice(start, min(start + BLOCK, n))
        sizes[block], leaders[block] = _strongest(contributions(model, encoded[block]), explainer)
    columns = {
        int(number): _describe(rows, explainer.schema.features[int(number)])
        for number in np.unique(leaders[leaders >= 0])
    }
    words = [_format_rank(leaders[:, rank], sizes[:, rank], columns, explainer) for rank in range(REASONS)]
    return Reasons(words=tuple(words), contributions=sizes)


def reasons_of_row(
    contributions: FloatArray, words_of: Callable[[int], str], explainer: Explainer
) -> list[tuple[str, float]]:
    """Return the words and sizes of one row's reasons, as `reasons` does for many, from its contributions (1, width + 1).

    `words_of` returns the row's value of a feature, by its place in the schema, in the words of a `value_describer`.
    """
    sums = _sum_by_feature(contributions, explainer)
    sizes, features = _sum_by_reason(sums, explainer)[0].tolist(), sums[0].tolist()
    found = []
    for reason in sorted(range(len(sizes)), key=lambda number: -sizes[number])[:REASONS]:
        size = sizes[reason]
        if size >= LEAST:
            leader = max(explainer.leaders[reason], key=features.__getitem__)
            strength = sum(size < least for least, _ in STRENGTHS)
            found.append((_format_reason(words_of(leader), strength), size))
    return found


def value_describer(feature: Feature, words: Mapping[str, str]) -> Callable[[Any, date | None], str]:
    """Return what puts one canonical value, of a row with a day if rows have one, into words, as `reasons` does for many."""
    one, phrase = column_type(feature.kind), _make_phrase(feature, words)

    def describe(value: Any, as_of: date | None) -> str:
        day = None if as_of is None else pa.array([as_of], pa.date32())
        values = one.describe(pa.array([value], one.arrow_type), feature, day)
        return phrase.format(float(_as_known(values.numbers[:1])[0]), values)

    return remember(describe)


def _describe(rows: Rows, feature: Feature) -> Readable:
    return column_type(feature.kind).describe(values_of(rows, feature), feature, column_named(rows, AS_OF))


def _strongest(contributions: FloatArray, explainer: Explainer) -> tuple[FloatArray, IntArray]:
    """Return the sizes of the strongest reasons, NaN if there are fewer, and the features that lead them, -1 there: both (n, 3)."""
    features = _sum_by_feature(contributions, explainer)
    by_reason = _sum_by_reason(features, explainer)
    order = np.argsort(-by_reason, axis=1, kind="stable")[:, :REASONS]
    found = np.take_along_axis(by_reason, order, axis=1)
    leading = np.where(explainer.leads, features, -np.inf)
    sizes, leaders = np.full((len(features), REASONS), np.nan), np.full((len(features), REASONS), -1, dtype=np.int64)
    for rank in range(order.shape[1]):
        of_reason = np.where(explainer.reason[None, :] == order[:, rank, None], leading, -np.inf)
        enough = found[:, rank] >= LEAST
        sizes[:, rank] = np.where(enough, found[:, rank], np.nan)
        leaders[:, rank] = np.where(enough, of_reason.argmax(axis=1), -1)
    return sizes, leaders


def _format_rank(
    leaders: IntArray, sizes: FloatArray, columns: Mapping[int, Readable], explainer: Explainer
) -> pa.StringArray:
    """Return the words of one rank (n,), null if there is no reason. Each text is built once."""
    places = np.full(len(leaders), -1, dtype=np.int64)
    texts: list[str] = []
    strength = _strengths(sizes)
    for number, values in columns.items():
        rows = np.flatnonzero(leaders == number)
        if not len(rows):
            continue
        known, value = np.unique(_as_known(values.numbers[rows]), return_inverse=True)
        phrase = _make_phrase(explainer.schema.features[number], explainer.words)
        words = [phrase.format(each, values) for each in known.tolist()]
        both, place = np.unique(value * len(STRENGTHS) + strength[rows], return_inverse=True)
        places[rows] = len(texts) + place
        texts += [_format_reason(words[code // len(STRENGTHS)], code % len(STRENGTHS)) for code in both.tolist()]
    return pa.DictionaryArray.from_arrays(
        pa.array(places, pa.int64(), mask=places < 0), pa.array(texts, pa.string())
    ).cast(pa.string())


def _as_known(numbers: FloatArray) -> FloatArray:
    """Return the numbers with infinity for a missing one, which `np.unique` takes for one value, and one zero instead of two."""
    return np.where(np.isnan(numbers), np.inf, np.clip(numbers, -_LARGEST, _LARGEST) + 0.0)


def _strengths(sizes: FloatArray) -> IntArray:
    """Return the place in `STRENGTHS` of contributions of at least `LEAST`, of the same shape."""
    return np.asarray(np.searchsorted([-least for least, _ in STRENGTHS], -np.nan_to_num(sizes)))


def _format_reason(words: str, strength: int) -> str:
    return f"{words}: {STRENGTHS[strength][1]}"


@dataclass(frozen=True)
class _Phrase:
    """How a feature's values read. `usual`: what other customers have, with its introduction; None if no value is usual."""

    source: str
    template: str
    usual: tuple[str, str] | None

    def format(self, number: float, values: Readable) -> str:
        """Return a value, infinity if missing, in words, with what other customers have if it is something else."""
        if not math.isfinite(number):
            return f"no {self.source} known"
        value = value_text(values.value(number))
        text = self.template.replace("{value}", value)
        return text if self.usual is None or self.usual[1] == value else f"{text} ({self.usual[0]} {self.usual[1]})"


def _make_phrase(feature: Feature, words: Mapping[str, str]) -> _Phrase:
    usual = column_type(feature.kind).describe_usual(feature)
    return _Phrase(
        feature.source,
        _find_template(feature.name, words) or feature.source + ": {value}",
        usual and (usual[0], value_text(usual[1])),
    )


def weigh_features(encoded: Encoded, model: Model, explainer: Explainer) -> dict[str, float]:
    """Return, by feature, the share of what the absolute contributions of these encoded rows add up to."""
    sizes = np.abs(_sum_by_feature(contributions(model, encoded), explainer)).sum(axis=0)
    total = float(sizes.sum()) or 1.0
    return {feature.name: float(size) / total for feature, size in zip(explainer.schema.features, sizes, strict=True)}


def summarise(
    rows: Rows, encoded: Encoded, model: Model, explainer: Explainer, *, most_rows: int = 2_000
) -> ReasonSummary:
    """Return what the model looks at, over the first `most_rows` rows (canonical rows are in hash order: a random sample)."""
    rows, encoded = rows.slice(0, most_rows), encoded[:most_rows]
    features = _sum_by_feature(contributions(model, encoded), explainer)
    found = _sum_by_reason(features, explainer)
    size = np.abs(found).mean(axis=0) if len(found) else np.zeros(found.shape[1])
    order = np.argsort(-size, kind="stable")
    leads = np.where(explainer.leads, np.abs(features).sum(axis=0), -1.0)
    values = np.full(found.shape, np.nan)
    for number in range(found.shape[1]):
        leader = int(np.argmax(np.where(explainer.reason == number, leads, -2.0)))
        column = _describe(rows, explainer.schema.features[leader])
        if column.ordered:
            values[:, number] = _rank_between_0_and_1(column.numbers)
    return ReasonSummary(
        names=tuple(explainer.names[number] for number in order),
        mean_size=size[order],
        contributions=found[:, order],
        values=values[:, order],
    )


def _rank_between_0_and_1(numbers: FloatArray) -> FloatArray:
    """Return each number's rank from 0, the smallest, to 1, the largest; NaN if missing."""
    places = np.full(len(numbers), np.nan)
    known = np.isfinite(numbers)
    if known.any():
        distinct, rank = np.unique(numbers[known], return_inverse=True)
        places[known] = rank / max(1, len(distinct) - 1)
    return places
