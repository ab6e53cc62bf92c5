"""One row, answered as the batch answers it."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn_model.serving.blocks import score_block
from churn_model.serving.fields import FieldProblem, RefusedRow
from churn_model.serving.plan import Answer, Plan
from churn_model.serving.protocol import ONE_BY_ONE, Wanted, answer_rows
from churn_model.serving.requests import Records
from tests.churn_model.serving.shop import batch_answers, landed, records, rows_of

WHOLE = {name: values[0] for name, values in landed(1, seed=5).items()}


def test_a_row_is_answered_bit_for_bit_as_in_a_landed_batch(plan: Plan) -> None:
    columns = landed(300, seed=1)
    found = [plan.answer(record) for record in records(columns)]
    assert sum(len(answer.reasons) for answer in found) > 50
    assert {answer.will_churn for answer in found} == {True, False}
    assert sorted(map(repr, found)) == sorted(
        map(repr, batch_answers(plan, rows_of(columns, plan.dataset, plan.bundle.schema.required)))
    )


HOSTILE = st.sampled_from(
    [
        *(
            None,
            "",
            " ",
            "0",
            "-0.0",
            "1.",
            ".5",
            "+7",
            "1e400",
            "-1e400",
            "3.4e38",
            "1e-400",
            "NaN",
            "-inf",
            "0x10",
            "1,5",
        ),
        *(
            "1.234,5 €",
            "12 %",
            "yes",
            "TRUE",
            "F",
            "408.0",
            "null",
            "NULL",
            "#N/A",
            "?",
            "basic",
            "plus",
            " pro ",
            "city 7",
            "never",
        ),
        *(
            "2024-02-30",
            "2024-02-29",
            "1999-12-31",
            "9999-12-31",
            "<script>",
            "x" * 99,
            "9007199254740993",
            "1e12",
            "1.1e12",
            "\x00",
        ),
    ]
)
VALUE = (
    HOSTILE
    | st.floats(allow_nan=True).map(str)
    | st.integers(-(2**60), 2**60).map(str)
    | st.text(max_size=9)
    | st.dates().map(str)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=12)
@given(rows=st.lists(st.dictionaries(st.sampled_from(sorted(WHOLE)), VALUE, max_size=12), min_size=1, max_size=8))
def test_a_hostile_row_is_answered_or_refused_alone_as_among_others(plan: Plan, rows: list[dict[str, Any]]) -> None:
    whole = [WHOLE | row for row in rows]
    columns = {field.name: pa.array([row[field.name] for row in whole], pa.string()) for field in plan.fields}
    block = score_block(plan, columns, len(whole))
    answers = dict(zip(block.block.places.tolist(), block.answers(plan), strict=True))
    together: dict[int, Answer | tuple[FieldProblem, ...]] = {**block.block.problems, **answers}
    for place, row in enumerate(whole):
        alone: Answer | tuple[FieldProblem, ...]
        try:
            alone = plan.answer(row)
        except RefusedRow as refused:
            alone = refused.problems
        assert repr(alone) == repr(together[place])


def test_reasons_of_all_or_of_none(plan: Plan) -> None:
    columns = landed(40, seed=3)
    arrays = {field.name: pa.array(columns[field.name]) for field in plan.fields}
    for wanted in ("all", "none"):
        block = list(score_block(plan, arrays, 40, wanted=wanted).answers(plan))
        assert [repr(plan.answer(each, reasons=wanted)) for each in records(columns)] == list(map(repr, block))
        assert any(answer.reasons for answer in block) == (wanted == "all")


def test_names_are_matched_in_any_case_and_extra_fields_are_left_out(plan: Plan) -> None:
    turned = {name.upper() + " ": value for name, value in WHOLE.items()} | {"phone": "1"}
    assert plan.answer(turned) == plan.answer(WHOLE)
    with pytest.raises(RefusedRow, match="minutes: Expected each field once; found two"):
        plan.answer(WHOLE | {"MINUTES": "1"})


def test_plain_values_are_read_as_the_text_that_would_have_landed(plan: Plan) -> None:
    typed = WHOLE | {"minutes": 12.0, "calls": 3, "roams": True, "flag": False, "worth": 400.5, "plan": None}
    assert plan.answer(typed) == plan.answer(
        WHOLE | {"minutes": "12", "calls": "3", "roams": "true", "flag": "false", "worth": "400.5", "plan": ""}
    )


def test_a_number_is_itself_whatever_format_the_text_of_its_column_has(plan: Plan) -> None:
    """The text 20.345 of such a column is 20345; the number 20.345, from JSON, is not."""
    assert plan.bundle.schema.required["bill"] == "number 1.234,5 €"
    whole: dict[str, Any] = dict(WHOLE)
    wanted = Wanted(reasons="all", as_json=False, is_late=lambda: False)
    for number, text in ((20.345, "20,345"), (115.7, "115,7"), (1234, "1234"), (-3, "-3")):
        for count in (1, ONE_BY_ONE + 1):
            as_number, as_text = [[whole | {"bill": bill}] * count for bill in (number, text)]
            expected = answer_rows(plan, Records(records=as_text), wanted)
            assert isinstance(expected[0], Answer)
            assert answer_rows(plan, Records(records=as_number), wanted) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"minutes": "12 apples"}, "minutes: Expected a number; found '12 apples'"),
        ({"minutes": "1e400"}, "minutes: Expected a finite number; found an infinite one"),
        ({"calls": ["1"]}, "calls: Expected text, a number, true, false or null; found an array"),
        ({"calls": {"a": 1}}, "calls: Expected text, a number, true, false or null; found an object"),
        ({"since": "30.2.2024"}, "since: Expected a date such as 2024-01-31; found '30.2.2024'"),
        ({"since": "2024-02-30"}, "since: Expected a date that the calendar has"),
        (dict.fromkeys(WHOLE), "Expected values; found blanks alone"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(plan: Plan, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedRow, match=message):
        plan.answer(WHOLE | change)


def test_all_that_is_wrong_is_said_at_once(plan: Plan) -> None:
    with pytest.raises(RefusedRow) as refused:
        plan.answer({"minutes": "x", "bill": "y"})
    fields = [problem.field for problem in refused.value.problems]
    assert {"minutes", "bill", "calls", "plan", "roams", "flag", "city", "since"} <= set(fields)
    assert len(fields) == len(set(fields))
    assert all(problem.todo for problem in refused.value.problems)


def test_a_level_that_training_did_not_know_is_named(plan: Plan) -> None:
    found = plan.answer(WHOLE | {"plan": "<b>new</b>", "city": "Atlantis"})
    assert set(found.unknown) == {"plan", "city"}
    assert found.churn_probability == plan.answer(WHOLE | {"plan": "other", "city": "elsewhere"}).churn_probability


def test_the_same_costs_have_the_same_version_and_others_another(plan: Plan) -> None:
    same = Plan(plan.bundle, replace(plan.dataset, words={}))
    other = Plan(plan.bundle, replace(plan.dataset, costs=replace(plan.dataset.costs, false_negative=501.0)))
    assert same.costs_version == plan.costs_version != other.costs_version
