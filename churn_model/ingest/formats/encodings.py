"""The encoding of a text file: named by the spec, marked by the file, or detected; and the file's text as UTF-8, whatever it was.

All other code reads UTF-8. A byte that means nothing in a file's encoding becomes one that is no UTF-8, so its record goes to quarantine.
"""

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import BLOCK_BYTES, BOM, LandedFile, open_bytes
from churn_model.spec.encodings import UTF8, normal_encoding

_WIDE_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SEVERAL_BYTES = frozenset({"cp932", "shift_jis", "euc_jp", "cp949", "euc_kr", "gb18030", "gbk", "big5", "big5hkscs"})
"""Encodings with two bytes for most letters, of which a few may look like UTF-8."""
_HEAD_BYTES = 4096
_SAMPLE_BYTES = 200_000
_WESTERN = "cp1252"
_FEWEST_BYTES = 4
_AS_LIKELY = 0.85  # of the best guess's confidence: then it is the commonest of all
_ENOUGH_LINES = 5_000
_NAME_IT = "name it as `encoding` under `format` in the spec, such as cp1252, or export the file as UTF-8"
_BROKEN = "churn.broken"
codecs.register_error(_BROKEN, lambda error: ("\udcff", cast(UnicodeDecodeError, error).end))


@dataclass(frozen=True)
class Encoding:
    """How a file's bytes become text. `name` as Python's codecs have it, `bom` the bytes before the text; `remark` says what was not declared."""

    name: str = UTF8
    bom: int = 0
    remark: str = ""

    @property
    def to_name(self) -> str | None:
        """Return its name if the spec would have to say it: neither UTF-8 nor marked by the file."""
        return None if self.name == UTF8 or self.bom else self.name


AS_UTF8 = Encoding()


def find_encoding(file: LandedFile, named: str | None, *, detects: bool = True) -> Encoding:
    """Read a text file once and return its encoding: that of its BOM, else `named`, else UTF-8, else what a library detects.

    Letters of two and more bytes that are UTF-8 throughout are no text of an encoding with one byte a letter, whatever is `named`: files of
    one dataset may differ.

    `detects`: False for a format that has to be UTF-8 by its own rules, so that other bytes are damage.

    Raise InputError if it cannot be detected, or if the file cannot be read to its end.
    """
    with open_bytes(file) as stream:
        head = stream.read(_HEAD_BYTES)
        for bom, name in _WIDE_BOMS:
            if head.startswith(bom):
                _read_on(stream)
                return Encoding(name, len(bom), f"read as {name[:6].upper()}")
        name = normal_encoding(named) if named and not head.startswith(BOM) else ""
        if name in _SEVERAL_BYTES or (name.startswith(("utf-16", "utf-32")) and b"\x00" in head):
            _read_on(stream)
            return Encoding(name)
        wide = "" if name else _wide_without_bom(head)
        if wide:
            _read_on(stream)
            return Encoding(wide, 0, f"read as {wide[:6].upper()}, as its zero bytes suggest")
        foreign, as_utf8 = _foreign_lines(head, stream)
    if name and name != UTF8 and not foreign and (as_utf8 or name.startswith(("utf-16", "utf-32"))):
        return Encoding(UTF8, 0, f"read as UTF-8, which its letters are, and not as {name}")
    if name:
        return Encoding(name)
    return _detect(foreign) if foreign and detects else AS_UTF8


def _read_on(stream: BinaryIO) -> None:
    """Read to the end, so that a file that is cut off is known before any is used."""
    while stream.read(BLOCK_BYTES):
        pass


def _wide_without_bom(head: bytes) -> str:
    """Return UTF-16's name if every other byte of much of the text is zero: the delimiters, digits and line ends of a table are ASCII."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    for name, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros > len(head) / 20 and others <= zeros / 20:
            text = head[: len(head) // 2 * 2].decode(name, "replace")
            if "\x00" not in text and re.search(r"[,;\t|\n]", text):
                return name
    return ""


def _foreign_lines(head: bytes, stream: BinaryIO) -> tuple[bytes, bool]:
    """Return lines that are no UTF-8, up to `_SAMPLE_BYTES`; none if the file is UTF-8, or mostly so with some damage. And whether any line is."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    block, valid, as_utf8 = head, True, 0
    foreign: list[bytes] = []
    rest: bytes | None = b""  # the line that the last block ends within; None if its beginning is not known
    while block:
        if valid and not (block.isascii() and not decoder.getstate()[0]):
            try:
                as_utf8 += len(block) - len(decoder.decode(block))
            except UnicodeDecodeError:
                valid = False
        following = stream.read(BLOCK_BYTES)
        if not valid and as_utf8 + len(foreign) < _ENOUGH_LINES:
            lines = ((rest or b"") + block).splitlines()
            lines = lines[1:] if rest is None and len(lines) > 1 else lines
            rest = lines.pop() if following and len(lines) > 1 else b""
            lines = [line for line in lines if not line.isascii()][:_ENOUGH_LINES]
            wrong = [line for line in lines if not _is_utf8(line)]
            as_utf8 += len(lines) - len(wrong)
            foreign += wrong
        elif valid:
            rest = None
        block = following
    if (valid and not decoder.getstate()[0]) or len(foreign) <= as_utf8:
        return b"", as_utf8 > 0
    return b"\n".join(foreign)[:_SAMPLE_BYTES], as_utf8 > 0


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _detect(lines: bytes) -> Encoding:
    """Return the encoding of lines that are no UTF-8; UTF-8 for a few bytes that look like damage. Raise InputError if it cannot be detected."""
    western = _decode_or_none(lines, _WESTERN)
    if sum(byte >= 0x80 for byte in lines) < _FEWEST_BYTES:
        letters = western is not None and all(one.isascii() or one.isalpha() for one in western)
        return Encoding(_WESTERN, 0, _detected(_WESTERN)) if letters else AS_UTF8
    try:
        import chardet  # noqa: PLC0415  # needed for foreign files alone, and steps elsewhere may lack it
    except ImportError as error:
        text = problem(expected="text in UTF-8", found="another encoding", todo=_NAME_IT)
        raise InputError(text) from error
    found = chardet.detect_all(lines, ignore_threshold=True, encoding_era=chardet.EncodingEra.MODERN_WEB)
    scores = {normal_encoding(one["encoding"] or ""): one["confidence"] for one in reversed(found)}
    name = max(scores, key=lambda each: scores[each], default="")
    if scores.get(_WESTERN, 0) >= _AS_LIKELY * scores.get(name, 0):
        name = _WESTERN
    try:
        text = lines.decode(name) if name else ""
    except (LookupError, UnicodeDecodeError):
        text = ""
    if not text or any(character < " " and character not in "\t\n" for character in text):
        raise InputError(problem(expected="text in UTF-8", found="an encoding that cannot be detected", todo=_NAME_IT))
    if western == text:
        name = _WESTERN
    return Encoding(name, 0, _detected(name))


def _detected(name: str) -> str:
    return f"read as {name}, which was detected: if letters look wrong, {_NAME_IT}"


def _decode_or_none(lines: bytes, name: str) -> str | None:
    try:
        return lines.decode(name)
    except UnicodeDecodeError:
        return None


@contextmanager
def open_text(file: LandedFile, encoding: Encoding, *, backslash: bool = False) -> Iterator[BinaryIO]:
    r"""Open a file as UTF-8 bytes; `backslash`: with \" as "" and \\ as \, which is how the rest of the code knows quotes."""
    with open_bytes(file) as stream:
        stream.read(encoding.bom)
        text = stream
        if encoding.name != UTF8:
            text = cast(BinaryIO, io.BufferedReader(_Transcoded(text, encoding.name), BLOCK_BYTES))
        if backslash:
            text = cast(BinaryIO, io.BufferedReader(_Unescaped(text), BLOCK_BYTES))
        yield text


class _Converted(io.RawIOBase):
    """A stream of bytes that is made from another one, a block at a time."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._pending = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill a buffer; 0 at the end."""
        into = memoryview(cast(bytearray, buffer))
        while not self._pending and not self._ended:
            block = self._source.read(BLOCK_BYTES // 4)
            self._ended = not block
            self._pending = memoryview(self._convert(block))
        size = min(len(into), len(self._pending))
        into[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size

    def _convert(self, block: bytes) -> bytes:
        """Return what becomes of the next block; an empty one is the end."""
        raise NotImplementedError


class _Transcoded(_Converted):
    """Text in another encoding, as UTF-8."""

    def __init__(self, source: BinaryIO, encoding: str) -> None:
        super().__init__(source)
        self._decoder = codecs.getincrementaldecoder(encoding)(_BROKEN)

    def _convert(self, block: bytes) -> bytes:
        return self._decoder.decode(block, final=not block).encode("utf-8", "surrogatepass")


class _Unescaped(_Converted):
    """Text in which a backslash before a quote or a backslash is resolved."""

    _ESCAPED = re.compile(rb'\\(["\\])')

    def __init__(self, source: BinaryIO) -> None:
        super().__init__(source)
        self._held = b""

    def _convert(self, block: bytes) -> bytes:
        text = self._held + block
        # An odd number of backslashes at the end: the last one waits for what follows.
        self._held = b"\\" if block and (len(text) - len(text.rstrip(b"\\"))) % 2 else b""
        text = text[: len(text) - len(self._held)]
        return self._ESCAPED.sub(lambda found: b'""' if found[1] == b'"' else b"\\", text)
