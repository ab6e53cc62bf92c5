"""Answers as bytes."""

import datetime
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_model.serving.answers import dump_json, to_json, to_json_object, to_json_rows
from churn_model.serving.plan import Answer, Reason

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
ANSWERS = st.builds(
    Answer,
    id=st.none() | TEXT,
    as_of=st.none() | st.dates(min_value=datetime.date(1, 1, 1)),
    churn_probability=st.floats(0, 1),
    will_churn=st.booleans(),
    expected_saving=FLOAT,
    cutoff=st.floats(0, 1) | st.just(math.inf),
    reasons=st.lists(st.builds(Reason, TEXT, FLOAT), max_size=2).map(tuple),
    unknown=st.lists(TEXT, max_size=2).map(tuple),
)


@given(answer=ANSWERS)
def test_an_answer_is_written_as_the_json_of_its_object(answer: Answer) -> None:
    assert to_json(answer).encode() == dump_json(to_json_object(answer))


@given(answers=st.lists(ANSWERS, min_size=1, max_size=5))
def test_answers_in_columns_are_written_as_each_by_itself(answers: list[Answer]) -> None:
    keys, days, p, contact, saving, cutoff, reasons, unknown = map(list, zip(*answers, strict=True))
    assert to_json_rows((keys, days, p, contact, saving, cutoff, reasons, unknown)) == list(map(to_json, answers))


def test_a_number_that_json_does_not_have_is_refused_in_columns_too() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json_rows((["a"], [None], [math.nan], [True], [0.0], [0.5], [()], [()]))
