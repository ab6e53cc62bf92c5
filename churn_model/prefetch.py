"""Work that overlaps: what one thread needs next is made by another in the meantime.

Belongs here: the one way in which steps overlap reading, computing and writing. Order is kept and memory is bounded; pyarrow and XGBoost
leave the interpreter to other threads while they work.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

Item = TypeVar("Item")

_END = object()


def prefetch(items: Iterable[Item], waiting: int = 2) -> Iterator[Item]:
    """The items in their order, made by a thread of their own, which is at most `waiting` of them ahead. Raises what making one raises."""
    source = iter(items)
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = deque(pool.submit(next, source, _END) for _ in range(waiting))
        while (made := coming.popleft().result()) is not _END:
            coming.append(pool.submit(next, source, _END))
            yield cast(Item, made)
