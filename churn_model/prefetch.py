"""Overlap reading, computing and writing: another thread prepares the next items. Order is kept, and memory is bounded.

This pays because pyarrow and XGBoost release the interpreter's lock while they work.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

Item = TypeVar("Item")

_END = object()


def prefetch(items: Iterable[Item], waiting: int = 2) -> Iterator[Item]:
    """Yield the items in order, computed by a thread that is at most `waiting` items ahead. Raise what computing one raises."""
    source = iter(items)
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = deque(pool.submit(next, source, _END) for _ in range(waiting))
        while (made := coming.popleft().result()) is not _END:
            coming.append(pool.submit(next, source, _END))
            yield cast(Item, made)
