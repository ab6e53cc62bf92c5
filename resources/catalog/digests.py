"""Digests: of what versions and fingerprints are made of, and of published files."""

import hashlib
from collections.abc import Iterable

from resources.ports.lake import Entry, Lake

_FILE_BYTES = 16  # as steps describe their files
_BLOCK = 4 << 20  # what is read at once


def digest_of(data: bytes) -> str:
    """Return sixteen hex digits that differ if the data differ."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def digest_of_parts(parts: Iterable[str]) -> str:
    """Return the digest of several texts in their order. No text holds a zero byte."""
    return digest_of("\x00".join(parts).encode())


def digest_listed(lake: Lake, entry: Entry, *, size: int) -> str:
    """Return the digest of an object as a listing has just shown it. Raise NotInLake."""
    if entry.size <= _BLOCK:
        return hashlib.blake2b(lake.read_listed(entry), digest_size=size).hexdigest()
    return digest_object(lake, entry.key, size=size)


def digest_object(lake: Lake, key: str, *, size: int = _FILE_BYTES) -> str:
    """Return the digest of an object's content, of `size` bytes as hex digits. Raise NotInLake."""
    digest = hashlib.blake2b(digest_size=size)
    with lake.open(key) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
