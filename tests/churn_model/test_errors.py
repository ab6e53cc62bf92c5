"""Problems as text."""

from churn_model.errors import listed


def test_a_hundred_problems_are_listed_and_the_rest_is_counted() -> None:
    assert listed(["a", "b"]) == "1. a\n2. b"
    lines = listed([f"problem {number}" for number in range(100_000)]).splitlines()
    assert (len(lines), lines[99], lines[100]) == (101, "100. problem 99", "And 99,900 more.")
