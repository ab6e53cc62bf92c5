"""What every file format provides: how to recognize a file of it, and how to read one as a stream of chunks."""

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import pyarrow as pa

from churn_model.arrays import IntArray
from churn_model.errors import InputError, problem

BLOCK_BYTES = 4 << 20
RECORD_LIMIT = 16 << 20
"""Bytes of the longest record of a text file."""
BATCH_VALUES = 1 << 20
COLUMN_LIMIT = 10_000
BOM = b"\xef\xbb\xbf"
NO_TEXT = problem(
    expected="text", found="NUL bytes", todo="export the file again as UTF-8, or name it after what it is"
)
LAND_AGAIN = "remove the file, or land it again"


@dataclass(frozen=True)
class LandedFile:
    """A landed file: the lake key that users see, and where its bytes are. The key's ending says which format it has."""

    key: str
    path: Path


@dataclass(frozen=True)
class Options:
    """What the spec says of how files are written.

    `sheet` is that of workbooks (None: the first visible one), `encoding` that of text files without a BOM (None: UTF-8, or detected);
    `backslash`: quotes inside quoted values of CSV are written after a backslash.
    """

    sheet: str | None = None
    encoding: str | None = None
    backslash: bool = False


NO_OPTIONS = Options()


@dataclass(frozen=True)
class Fault:
    """A record that cannot be read as values: the line where it begins, its column if only one is at fault, and the reason."""

    line: int
    expected: str
    found: str
    column: str | None = None


class NumberText(str):
    """The text of a value that a file holds as a number: 1234.5, whatever the format of its column's text."""

    __slots__ = ()


class DateText(str):
    """The text of a value that a file holds as a date: 2024-01-31, or with its time."""

    __slots__ = ()


Write = Callable[[str], str]
"""Returns a value as a file's text, given it as its file holds it."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive records of a file.

    `columns` are those asked for, in that order, each an array of the values of all readable records. `lines` (n,) is where each of these
    begins, counted from 1: the physical line of a text file, the row of a Parquet file or a sheet. `records` counts these and the faults.
    """

    records: int
    columns: tuple[pa.Array, ...]
    lines: IntArray
    faults: tuple[Fault, ...]


class Part(Protocol):
    """A landed file whose columns are known."""

    @property
    def file(self) -> LandedFile:
        """Return the file."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns as landed, without surrounding blanks; "" for a column without a name."""
        ...

    @property
    def passed_over(self) -> frozenset[int]:
        """Return the places of columns without a name that can do without one."""
        ...

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return what was not declared and how it was read all the same, a few words each."""
        ...

    @property
    def options(self) -> Options:
        """Return what the spec would have to say for the file to be read as it was, found or named."""
        ...

    @property
    def stored(self) -> tuple[pa.DataType | None, ...]:
        """Return the type that the file itself declares for each column; None if it holds text."""
        ...

    def rewritten(self, writers: Mapping[int, Write]) -> "Part":
        """Return the file with the values of columns, by their places, as text that `writers` write; itself if it holds none but text, or types."""
        ...

    def chunks(self, wanted: Sequence[int]) -> Iterator[Chunk]:
        """Yield all records with the columns at `wanted`, in bounded memory. Raise InputError if the file turns out to be damaged."""
        ...


@dataclass(frozen=True)
class Format:
    """A file format.

    `recognizes` takes the first bytes of a file, unzipped, and says whether they can only be of this format. `open` reads as much as it
    takes to know that the file as a whole can be used. `list_sheets`
    names the sheets of a file, if the format has sheets.
    """

    name: str
    endings: tuple[str, ...]
    recognizes: Callable[[bytes], bool]
    open: Callable[[LandedFile, Options], Part]
    list_sheets: Callable[[LandedFile], tuple[str, ...]] | None = None


@contextmanager
def open_bytes(file: LandedFile) -> Iterator[BinaryIO]:
    """Open a file for reading, through gzip if its key ends in .gz."""
    if file.key.lower().endswith(".gz"):
        with gzip.open(file.path) as stream:
            yield cast(BinaryIO, stream)
    else:
        with file.path.open("rb") as stream:
            yield stream


def block_bytes(columns: int) -> int:
    """Return the size of a block to read: some hundred records, since each column of each block has a fixed cost."""
    return max(BLOCK_BYTES, min(8 * BLOCK_BYTES, columns * 8192))


def batch_rows(columns: int) -> int:
    """Return the number of rows to read at a time, so that a wide table takes no more memory than a narrow one."""
    return max(1024, min(65_536, BATCH_VALUES // max(1, columns)))


@contextmanager
def file_errors(file: LandedFile, format_name: str) -> Iterator[None]:
    """Translate whatever goes wrong with a file into an InputError that names the file."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{file.key}: {error}") from error
    except MemoryError:  # Arrow's too: nothing is wrong with the file
        raise
    except EOFError as error:
        text = problem(expected="a whole gzip file", found="one that is cut off", todo="land it again")
        raise InputError(f"{file.key}: {text}") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        todo = "land it again, without .gz in its name if it is not gzipped"
        raise InputError(
            f"{file.key}: {problem(expected='gzip', found='damaged or other bytes', todo=todo)}"
        ) from error
    except UnicodeDecodeError as error:
        text = problem(expected="text in UTF-8", found="another encoding", todo="export the file again as UTF-8")
        raise InputError(f"{file.key}: {text}") from error
    except pa.ArrowException as error:
        whole = f"a whole {format_name} file"
        text = problem(expected=whole, found="one that cannot be read", todo="land it again")
        raise InputError(f"{file.key}: {text}") from error
    except OSError as error:
        found = error.strerror or "a damaged file"
        todo = "check the file's permissions and its disk, or land it again"
        text = problem(expected="a file that can be read", found=found, todo=todo)
        raise InputError(f"{file.key}: {text}") from error
