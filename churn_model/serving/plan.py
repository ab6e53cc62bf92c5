"""A bundle compiled for single rows: from a mapping to a probability, a decision and reasons without a table in between.

Belongs here: the way of one row, equal bit for bit to `scoring.score`. Does not belong here: many rows (`blocks`), requests (`protocol`).

Everything that does not depend on the row is looked up once: positions, parsers, encoders, expressions, the booster's parameters. Numbers
are read by Python; other values, by their column type's own code, which is remembered.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from churn_model.arrays import FloatArray
from churn_model.column_types.interface import EncodeValue, Feature
from churn_model.column_types.memory import remember
from churn_model.column_types.number import LARGEST
from churn_model.column_types.parts import Encoded
from churn_model.column_types.registry import column_type
from churn_model.decisions.policy import Policy
from churn_model.features.encoding import encode
from churn_model.models.bundle import Bundle
from churn_model.models.contributions import contributions
from churn_model.models.reasons import Explainer, make_explainer, reasons_of_row, value_describer
from churn_model.models.tree_shap import TreeMargins
from churn_model.records import to_plain
from churn_model.scoring import ReasonsFor
from churn_model.serving.decision import Decision, make_decider
from churn_model.serving.fields import (
    Field,
    FieldNames,
    FieldProblem,
    RefusedRow,
    Role,
    describe_nested,
    request_fields,
)
from churn_model.spec.column_names import name_key
from churn_model.spec.dataset import Dataset
from churn_model.spec.expressions import Expression, compile_expression
from churn_model.spec.sections.costs import Costs
from churn_model.stats.logistic import sigmoid

BLANK_ROW = FieldProblem(None, "values", "blanks alone", "send at least one value")


class Reason(NamedTuple):
    """One reason in words, and its contribution in log odds."""

    text: str
    contribution: float


class Answer(NamedTuple):
    """What a model says of one customer.

    `cutoff`: the probability from which this customer is contacted. `unknown`: the fields whose value training did not know; the model
    takes them for missing.
    """

    id: str | None
    as_of: date | None
    churn_probability: float
    will_churn: bool
    expected_saving: float
    cutoff: float
    reasons: tuple[Reason, ...]
    unknown: tuple[str, ...]


class _CompiledFeature(NamedTuple):
    """A feature: the place of its field, or the expression that computes it from the fields at `sources`; and what encodes its value."""

    feature: Feature
    position: int
    expression: Expression | None
    sources: tuple[tuple[str, int], ...]
    encode: EncodeValue
    is_unknown: Callable[[Any], bool] | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row that was read: `values` of the fields, `features` of the model, both canonical, and the matrix (1, width) that they are encoded to."""

    values: Sequence[Any]
    features: Sequence[Any]
    encoded: Encoded


class Plan:
    """A bundle, today's costs and the words of reasons, ready to answer."""

    def __init__(self, bundle: Bundle, dataset: Dataset) -> None:
        self.bundle = bundle
        self.dataset = dataset
        self.policy = Policy(dataset.costs)
        self.explainer: Explainer = make_explainer(
            bundle.schema, bundle.model.family, words=dataset.words, groups=dataset.groups
        )
        self.fields: tuple[Field, ...] = request_fields(bundle.schema, dataset)
        self.names = FieldNames(self.fields)
        self.costs_version = _digest(dataset.costs)
        self._features = [self._compile(feature) for feature in bundle.schema.features]
        self._describe = [value_describer(feature, dataset.words) for feature in bundle.schema.features]
        self._decide = make_decider(self.policy)
        self._as_of = self._position(Role.AS_OF)
        self._id = self._position(Role.ID)
        self._worth = next((at for at, field in enumerate(self.fields) if field.is_worth), None)
        # A booster of its own: threads are a parameter of the booster, and one row wants one.
        self._model = replace(bundle.model, booster=bundle.model.booster.copy(), threads=1)
        self._margins = self._make_margins()
        self._warm_up()

    def _make_margins(self) -> TreeMargins | None:
        """Return tables in the place of the booster, if it has any and they give its canaries the same bits."""
        model, canary = self._model, self.bundle.canary
        tables = TreeMargins.of(model.booster)
        encoded = encode(canary.rows, self.bundle.schema, model.family)
        if tables is None or any(
            tables.margin(encoded[n : n + 1])[0] != each for n, each in enumerate(model.margins(encoded))
        ):
            return None
        return tables

    def _warm_up(self) -> None:
        """Make the tables of contributions, which takes up to a second, before the first request waits for them."""
        row = np.zeros((1, self.width), dtype=np.float32)
        self._model.require_width(row)
        for model in (self._model, self.bundle.model):
            contributions(model, row)

    @cached_property
    def unknown_tests(self) -> tuple[tuple[Feature, Callable[[Any], bool]], ...]:
        """The features with values that training may not have known, and what says so of a canonical value."""
        return tuple((each.feature, each.is_unknown) for each in self._features if each.is_unknown is not None)

    @property
    def version(self) -> str:
        """The version of the model."""
        return self.bundle.version

    @property
    def width(self) -> int:
        """The number of encoded columns."""
        layout = self.bundle.schema.layout(self.bundle.model.family)
        return sum(column_type(each.kind).width(each, layout) for each in self.bundle.schema.features)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The fields that an answer needs: all but the id, and the date if nothing reads it."""
        return tuple(field for field in self.fields if field.is_required)

    def _position(self, role: Role) -> int | None:
        return next((at for at, field in enumerate(self.fields) if field.role is role), None)

    def _compile(self, feature: Feature) -> _CompiledFeature:
        layout = self.bundle.schema.layout(self.bundle.model.family)
        place = {name_key(field.name): at for at, field in enumerate(self.fields)}
        expression = None if feature.expression is None else compile_expression(feature.expression)
        return _CompiledFeature(
            feature=feature,
            position=-1 if expression else place[name_key(feature.source)],
            expression=expression,
            sources=tuple((name, place[name_key(name)]) for name in expression.columns) if expression else (),
            encode=column_type(feature.kind).value_encoder(feature, layout),
            is_unknown=None if expression else unknown_test(feature),
        )

    def read(self, record: Mapping[str, Any]) -> Row:
        """Return a record, landed text or plain values by name, as a row. Raise RefusedRow with everything that is wrong with it."""
        return self.row(self._parse(self.names.resolve(record)))

    def row(self, values: Sequence[Any]) -> Row:
        """Return canonical values, one of each field in their order, as a row."""
        as_of = None if self._as_of is None else values[self._as_of]
        features: list[Any] = []
        encoded: list[float] = []
        for _, position, expression, sources, encode_value, _ in self._features:
            if expression is None:
                value = values[position]
            else:
                numbers = {name: math.nan if values[at] is None else values[at] for name, at in sources}
                value = expression.evaluate_row(numbers)
            features.append(value)
            encoded += encode_value(value, as_of)
        matrix = np.array([encoded])
        np.minimum(matrix, LARGEST, out=matrix)
        np.maximum(matrix, -LARGEST, out=matrix)
        return Row(values=values, features=features, encoded=matrix.astype(np.float32))

    def _parse(self, record: Mapping[str, Any]) -> list[Any]:
        problems: list[FieldProblem] = []
        values: list[Any] = []
        is_blank = True
        for field in self.fields:
            landed = record.get(field.name)
            if landed is not None and type(landed) is not str:
                try:
                    landed = field.as_landed(landed)
                except TypeError:
                    problems.append(describe_nested(field.name, landed))
                    landed, is_blank = None, False
            value, wrong = field.parse_value(landed)
            if wrong is not None and field.name in record:
                problems.append(field.describe(wrong))
            is_blank = is_blank and value is None and (wrong is None or wrong.found == "a blank")
            values.append(value)
        if len(record) < len(self.fields):
            problems += self.names.missing(record)
        elif is_blank:
            problems = [BLANK_ROW]
        if problems:
            raise RefusedRow(tuple(problems))
        return values

    def margin(self, encoded: Encoded) -> FloatArray:
        """Return the log odds (1,) of one encoded row (1, width), before calibration."""
        if self._margins is not None:
            return self._margins.margin(encoded)
        return self._model.margins(encoded)

    def probability(self, margin: FloatArray) -> FloatArray:
        """Return the calibrated probability (1,) of a margin (1,)."""
        return self.bundle.calibration.apply(sigmoid(margin))

    def decide(self, p: float, row: Row) -> Decision:
        """Decide at today's costs for a probability."""
        return self._decide(p, None if self._worth is None else row.values[self._worth])

    def answer(self, record: Mapping[str, Any], *, reasons: ReasonsFor = "contacted") -> Answer:
        """Return what the model says of one record. Raise RefusedRow with everything that is wrong with it."""
        return self.answer_row(self.read(record), reasons=reasons)

    def answer_row(self, row: Row, *, reasons: ReasonsFor = "contacted") -> Answer:
        """Return what the model says of a row."""
        margin = self.margin(row.encoded)
        p = float(self.probability(margin)[0])
        decision = self.decide(p, row)
        wanted = reasons == "all" or (reasons == "contacted" and decision.contact)
        return Answer(
            id=None if self._id is None else row.values[self._id],
            as_of=None if self._as_of is None else row.values[self._as_of],
            churn_probability=p,
            will_churn=decision.contact,
            expected_saving=decision.expected_saving,
            cutoff=decision.cutoff,
            reasons=self.explain(row, margin) if wanted else (),
            unknown=self._unknown(row),
        )

    def contributions(self, row: Row, margin: FloatArray) -> FloatArray:
        """Return the exact contributions (1, width + 1) of a row to its margin (1,)."""
        return contributions(self._model, row.encoded, margin)

    def explain(self, row: Row, margin: FloatArray) -> tuple[Reason, ...]:
        """Return the reasons of a row, strongest first."""
        as_of = None if self._as_of is None else row.values[self._as_of]

        def words_of(place: int) -> str:
            return self._describe[place](row.features[place], as_of)

        found = reasons_of_row(self.contributions(row, margin), words_of, self.explainer)
        return tuple(Reason(*each) for each in found)

    def _unknown(self, row: Row) -> tuple[str, ...]:
        return tuple(
            each.feature.source
            for each, value in zip(self._features, row.features, strict=True)
            if each.is_unknown is not None and each.is_unknown(value)
        )


def unknown_test(feature: Feature) -> Callable[[Any], bool] | None:
    """Return what says whether training did not know a canonical value; None if the type knows every value."""
    one = column_type(feature.kind)
    if one.count_unknown(pa.array([], one.arrow_type), feature) is None:
        return None

    def is_unknown(value: Any) -> bool:
        return value is not None and bool(one.count_unknown(pa.array([value], one.arrow_type), feature))

    return remember(is_unknown)


def _digest(costs: Costs) -> str:
    text = json.dumps(to_plain(costs), sort_keys=True, ensure_ascii=False)
    return blake2b(text.encode(), digest_size=8).hexdigest()
