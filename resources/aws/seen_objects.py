"""What this process last saw of small objects of a bucket, so that an object that a listing shows unchanged is not read again."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

LARGEST = 4 << 20
"""Bytes of an object that is remembered."""
_MOST_BYTES = 16 << 20  # of all objects together
_MOST_OBJECTS = 2_000


@dataclass(frozen=True)
class Seen:
    """An object as it was read or written. `tag`: its ETag, as S3 writes it. `nonces`: of a pointer's last writers."""

    tag: str
    content: bytes
    nonces: Sequence[str] = ()


class SeenObjects:
    """The objects that were used last, by address. Threads may share it."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._objects: OrderedDict[str, Seen] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, address: str) -> Seen | None:
        """Return what was last seen of an object, which may have changed since: whoever uses it compares the ETag."""
        with self._lock:
            if address in self._objects:
                self._objects.move_to_end(address)
            return self._objects.get(address)

    def remember(self, address: str, seen: Seen) -> None:
        """Remember an object in place of what was seen of it before; forget that one alone if this one is too large."""
        with self._lock:
            before = self._objects.pop(address, None)
            self._bytes -= len(before.content) if before else 0
            if seen.tag and len(seen.content) <= min(LARGEST, self._most_bytes):
                self._objects[address] = seen
                self._bytes += len(seen.content)
            while self._bytes > self._most_bytes or len(self._objects) > _MOST_OBJECTS:
                self._bytes -= len(self._objects.popitem(last=False)[1].content)
