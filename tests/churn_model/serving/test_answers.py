"""Answers as bytes."""

import datetime
import math

from hypothesis import given
from hypothesis import strategies as st

from churn_model.serving.answers import dump_json, to_json, to_json_object
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
