"""Work that overlaps."""

import threading
from collections.abc import Iterator

import pytest

from churn_model.prefetch import prefetch


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("waiting", [1, 2, 7])
def test_items_come_in_their_order_each_once(count: int, waiting: int) -> None:
    assert list(prefetch(iter(range(count)), waiting)) == list(range(count))


def test_no_more_items_are_made_than_may_wait() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    taken = prefetch(source(), 2)
    for number in range(10):
        assert next(taken) == number
        assert len(made) <= number + 1 + 2 + 1
    taken.close()  # type: ignore[attr-defined]
    assert len(made) < 20


def test_another_thread_makes_them() -> None:
    assert set(prefetch(threading.get_ident() for _ in range(3))) != {threading.get_ident()}


def test_an_error_reaches_the_taker_behind_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("the disk is gone")

    taken = prefetch(source())
    assert next(taken) == 1
    with pytest.raises(ValueError, match="the disk is gone"):
        next(taken)


def test_stages_follow_each_other() -> None:
    doubled = (2 * number for number in prefetch(range(1000)))
    assert list(prefetch(doubled)) == list(range(0, 2000, 2))
