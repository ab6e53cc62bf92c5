"""What the pages of a Parquet file say of themselves. The footer adds their sizes up, and whoever writes a footer can write anything.

A page is read whole, so its header, in Thrift's compact protocol, decides how much memory it takes. No library here shows it.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from churn_model.errors import InputError, problem

HEADER_LIMIT = 16 << 20
"""Bytes of the longest header of a page that Arrow reads."""
_FIRST_BYTES = 4096
_UNZIPPED, _ZIPPED = 2, 3  # the fields of a header
_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 12
_DEEPEST = 8


class PageSizes(NamedTuple):
    """The bytes of a page as it is stored, and unzipped."""

    zipped: int
    unzipped: int


def read_page_sizes(stream: BinaryIO, start: int, length: int) -> Iterator[PageSizes]:
    """Yield the sizes of the pages of a column chunk, which takes `length` bytes from `start`. Raise InputError for what is no header."""
    end = start + length
    while start < end:
        sizes, header = _read_header(stream, start)
        if sizes.zipped < 0 or sizes.unzipped < 0:
            raise _damaged()
        yield sizes
        start += header + sizes.zipped


def _read_header(stream: BinaryIO, start: int) -> tuple[PageSizes, int]:
    """Return the sizes in a page's header and its own length."""
    size = _FIRST_BYTES
    while True:
        stream.seek(start)
        data = stream.read(size)
        try:
            reader = _Compact(data)
            fields = reader.read_struct()
            return PageSizes(fields[_ZIPPED], fields[_UNZIPPED]), reader.at
        except KeyError as error:
            raise _damaged() from error
        except IndexError as error:  # longer than what was read of it
            if len(data) < size or size >= HEADER_LIMIT:
                raise _damaged() from error
            size *= 16


def _damaged() -> InputError:
    found = "pages that are not where it says"
    return InputError(problem(expected="a whole Parquet file", found=found, todo="land it again"))


class _Compact:
    """A value in Thrift's compact protocol. Raise IndexError where the bytes end, KeyError for a type that there is not."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def read_struct(self, depth: int = 0) -> dict[int, int]:
        """Pass over a struct, and return its numbers by field."""
        if depth > _DEEPEST:
            raise KeyError(depth)
        found: dict[int, int] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._number()
            kind = head & 15
            if kind in _INTEGERS:
                found[field] = self._number()
            elif kind not in _BOOLEANS:  # whose value is their type
                self._pass_over(kind, depth + 1)
        return found

    def _pass_over(self, kind: int, depth: int) -> None:
        if kind in _BOOLEANS or kind == _BYTE:
            self.at += 1
        elif kind in _INTEGERS:
            self._varint()
        elif kind == _DOUBLE:
            self.at += 8
        elif kind == _BINARY:
            length = self._varint()
            self.at += length
        elif kind == _STRUCT:
            self.read_struct(depth)
        elif kind in _LISTS:
            head = self._byte()
            for _ in range(self._varint() if head >> 4 == 15 else head >> 4):
                self._pass_over(head & 15, depth)
                if self.at >= len(self._data):
                    raise IndexError
        else:
            raise KeyError(kind)

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise KeyError(shift)

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
