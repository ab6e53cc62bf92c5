"""Why the model gives a customer this probability, in words, and what it looks at over all customers.

Belongs here: exact contributions, gathered into reasons and put into words. Does not belong here: what would happen if a value changed: a
contribution says what the model looked at, and never why somebody leaves.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from churn_model.features.encoding import Encoded, feature_names_of
from churn_model.features.schema import Feature, FeatureSchema, Rows, as_numbers, column_named, derive, is_category
from churn_model.models.families import Model
from churn_model.spec.dataset import Family, FloatArray, same_name
from churn_model.spec.expressions import compile_expression
from churn_model.stats.bootstrap import IntArray

REASONS = 3
LEAST = 0.1
"""Log odds below which a contribution is not a reason."""
STRENGTHS = ((0.8, "raises the risk strongly"), (0.3, "raises the risk"), (LEAST, "raises the risk slightly"))
BLOCK = 16_384
LONGEST = 60


@dataclass(frozen=True, kw_only=True)
class Explainer:
    """How encoded columns become reasons.

    names    of each reason: a feature, or several that count as one
    column   of each encoded column, the place of its feature in the schema (width,)
    reason   of each feature, the place of its reason (features,)
    leads    of each feature, whether its value may stand for the reason (features,)
    """

    schema: FeatureSchema
    words: Mapping[str, str]
    names: tuple[str, ...]
    column: IntArray
    reason: IntArray
    leads: np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """The strongest reasons of each customer first: three arrays of words (n,), null where there are fewer, and log odds (n, 3)."""

    words: tuple[Any, ...]
    contributions: FloatArray


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the model looks at over all customers, strongest first, and a sample for a plot.

    mean_size      mean of the absolute contribution of each reason, in log odds (k,)
    contributions  of sampled rows (m, k)
    values         where each row's value lies among the sample's, from 0 to 1; NaN for categories and missing values (m, k)
    """

    names: tuple[str, ...]
    mean_size: FloatArray
    contributions: FloatArray
    values: FloatArray


def make_explainer(
    schema: FeatureSchema, family: Family, *, words: Mapping[str, str], groups: Mapping[str, Sequence[str]]
) -> Explainer:
    """The explainer of a model. A derived feature counts as one reason with what it is computed from, and so do the columns of a group.

    The value in words is that of a column with words of its own, else of the derived column, else of the strongest column of the row.
    """
    features = schema.features
    place = {feature.name.strip().lower(): number for number, feature in enumerate(features)}
    group = list(range(len(features)))
    named: dict[int, str] = {}
    joined = [
        (feature.name, [feature.name, *compile_expression(feature.expression).columns])
        for feature in features
        if feature.expression
    ]
    for name, members in [*joined, *groups.items()]:
        present = [place[member.strip().lower()] for member in members if member.strip().lower() in place]
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
        column=np.array([place[owner.strip().lower()] for owner in owners], dtype=np.int64),
        reason=reason,
        leads=_leads(features, reason, words),
    )


def _leads(
    features: Sequence[Feature], reason: IntArray, words: Mapping[str, str]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    worded = np.array([_template(feature.name, words) is not None for feature in features], dtype=bool)
    derived = np.array([feature.expression is not None for feature in features], dtype=bool)
    leads = np.ones(len(features), dtype=bool)
    for number in np.unique(reason):
        members = reason == number
        for preferred in (worded, derived):
            if (members & preferred).any():
                leads[members] = preferred[members]
                break
    return leads


def _template(name: str, words: Mapping[str, str]) -> str | None:
    return next((text for column, text in words.items() if same_name(column, name)), None)


def _by_feature(contributions: FloatArray, explainer: Explainer) -> FloatArray:
    """Contributions (n, width + 1) summed over the encoded columns of each feature: (n, features)."""
    found = np.zeros((len(contributions), len(explainer.schema.features)))
    edges = np.flatnonzero(np.r_[True, np.diff(explainer.column) != 0])
    found[:, explainer.column[edges]] = np.add.reduceat(contributions[:, :-1], edges, axis=1)
    return found


def _by_reason(features: FloatArray, explainer: Explainer) -> FloatArray:
    """Contributions (n, features) summed over what counts as one: (n, reasons)."""
    order = np.argsort(explainer.reason, kind="stable")
    edges = np.flatnonzero(np.r_[True, np.diff(explainer.reason[order]) != 0])
    return np.asarray(np.add.reduceat(features[:, order], edges, axis=1))


def reasons(rows: Rows, encoded: Encoded, model: Model, explainer: Explainer) -> Reasons:
    """Up to three reasons for each of these rows, strongest first: only what raises the risk, by at least 0.1 log odds.

    `encoded` are the same rows, encoded. Contributions are exact (`Model.contributions`), and to the raw margin: calibration is monotone,
    so order and sign hold.
    """
    n = len(encoded)
    sizes, leaders = np.full((n, REASONS), np.nan), np.full((n, REASONS), -1, dtype=np.int64)
    for start in range(0, n, BLOCK):
        block = slice(start, min(start + BLOCK, n))
        sizes[block], leaders[block] = _strongest(model.contributions(encoded[block]), explainer)
    columns = {
        int(number): _Values(rows, explainer.schema.features[int(number)])
        for number in np.unique(leaders[leaders >= 0])
    }
    told = [_in_words(leaders[:, rank], sizes[:, rank], columns, explainer) for rank in range(REASONS)]
    return Reasons(words=tuple(told), contributions=sizes)


def _strongest(contributions: FloatArray, explainer: Explainer) -> tuple[FloatArray, IntArray]:
    """The sizes of the strongest reasons, NaN where there are fewer, and the features that lead them, -1 there: both (n, 3)."""
    features = _by_feature(contributions, explainer)
    by_reason = _by_reason(features, explainer)
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


class _Values:
    """One feature's values, each as a number that stands for its text."""

    def __init__(self, rows: Rows, feature: Feature) -> None:
        self.feature = feature
        column = column_named(rows, feature.name) if feature.expression is None else None
        if column is not None and is_category(column.type):
            whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
            texts = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
            if isinstance(texts, pa.ChunkedArray):
                texts = texts.unify_dictionaries().combine_chunks()
            self.texts = texts.dictionary.to_pylist()
            self.numbers = texts.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.float64)
        else:
            self.texts = None
            self.numbers = (
                derive(rows, feature.name, feature.expression)
                if feature.expression
                else as_numbers(column, feature.name)
            )

    def text(self, number: float) -> str | None:
        """The value as it reads in a sentence; None where it is missing."""
        if self.texts is None:
            return number_text(number) if np.isfinite(number) else None
        return value_text(self.texts[int(number)]) if number >= 0 and self.texts[int(number)] is not None else None


def _in_words(leaders: IntArray, sizes: FloatArray, columns: Mapping[int, _Values], explainer: Explainer) -> Any:
    """The words of one rank: a string array (n,), null where there is no reason. Each text is built once."""
    places = np.full(len(leaders), -1, dtype=np.int64)
    texts: list[str] = []
    strength = np.searchsorted([-least for least, _ in STRENGTHS], -np.nan_to_num(sizes))
    for number, values in columns.items():
        rows = np.flatnonzero(leaders == number)
        if not len(rows):
            continue
        known, value = np.unique(np.nan_to_num(values.numbers[rows], nan=np.inf), return_inverse=True)
        told = _told(values, known, _template(values.feature.name, explainer.words))
        both, where = np.unique(value * len(STRENGTHS) + strength[rows], return_inverse=True)
        places[rows] = len(texts) + where
        texts += [f"{told[place // len(STRENGTHS)]}: {STRENGTHS[place % len(STRENGTHS)][1]}" for place in both.tolist()]
    return pa.DictionaryArray.from_arrays(
        pa.array(places, pa.int64(), mask=places < 0), pa.array(texts, pa.string())
    ).cast(pa.string())


def _told(values: _Values, numbers: FloatArray, template: str | None) -> list[str]:
    """Each of these values of a feature in words, and what other customers have where it is something else."""
    name, usual = values.feature.name, _usual(values.feature)
    told = []
    for number in numbers.tolist():
        text = values.text(number)
        if text is None:
            told.append(f"no {name} known")
            continue
        said = template.replace("{value}", text) if template else f"{name}: {text}"
        told.append(said if usual is None or usual[1] == text else f"{said} ({usual[0]} {usual[1]})")
    return told


def _usual(feature: Feature) -> tuple[str, str] | None:
    """What other customers have: the commonest level, if most have it, or the median."""
    if feature.kind == "category":
        return ("most have", value_text(feature.levels[0])) if feature.levels and feature.shares[0] >= 0.5 else None
    whole = feature.median == round(feature.median) and abs(feature.median) <= 20
    return ("most have" if whole else "typical:", number_text(feature.median))


def number_text(number: float) -> str:
    """A number as it reads in a sentence: 4, 35.2, 1840, 12,500."""
    size = abs(number)
    if size >= 1e12 or 0 < size < 1e-3:
        return f"{number:.2e}"
    if size >= 10_000:
        return f"{number:,.0f}"
    return f"{number:.0f}" if number == round(number) or size >= 1000 else f"{number:.3g}"


def value_text(value: str) -> str:
    """A category's value on one line, shortened where it is long. It is data: whoever shows it must escape it."""
    line = re.sub(r"\s+", " ", value).strip()
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def summarise(rows: Rows, encoded: Encoded, model: Model, explainer: Explainer, *, most_rows: int = 2_000) -> Summary:
    """What the model looks at, over the first `most_rows` rows (canonical rows are in hash order: a random sample)."""
    rows, encoded = rows.slice(0, most_rows), encoded[:most_rows]
    features = _by_feature(model.contributions(encoded), explainer)
    found = _by_reason(features, explainer)
    size = np.abs(found).mean(axis=0) if len(found) else np.zeros(found.shape[1])
    order = np.argsort(-size, kind="stable")
    leads = np.where(explainer.leads, np.abs(features).sum(axis=0), -1.0)
    values = np.full(found.shape, np.nan)
    for number in range(found.shape[1]):
        leader = int(np.argmax(np.where(explainer.reason == number, leads, -2.0)))
        column = _Values(rows, explainer.schema.features[leader])
        if column.texts is None:
            values[:, number] = _place_among(column.numbers)
    return Summary(
        names=tuple(explainer.names[number] for number in order),
        mean_size=size[order],
        contributions=found[:, order],
        values=values[:, order],
    )


def _place_among(numbers: FloatArray) -> FloatArray:
    """Each number's place between the smallest and the largest, by rank: 0 to 1; NaN where missing."""
    places = np.full(len(numbers), np.nan)
    known = np.isfinite(numbers)
    if known.any():
        distinct, where = np.unique(numbers[known], return_inverse=True)
        places[known] = where / max(1, len(distinct) - 1)
    return places
