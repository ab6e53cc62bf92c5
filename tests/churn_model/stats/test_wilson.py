"""Wilson's interval."""

import pytest

from churn_model.stats.wilson import wilson_interval


@pytest.mark.parametrize(
    ("rate", "rows", "expected"),
    [(0.5, 10, (0.2366, 0.7634)), (0.0, 10, (0.0, 0.2775)), (1.0, 10, (0.7225, 1.0)), (0.1, 1000, (0.0829, 0.1202))],
)
def test_the_interval_is_that_of_the_textbook(rate: float, rows: int, expected: tuple[float, float]) -> None:
    assert wilson_interval(rate, rows, z=1.959964) == pytest.approx(expected, abs=1e-4)
