"""The one digest that versions and fingerprints are made of."""

import hashlib
from collections.abc import Iterable


def digest_of(data: bytes) -> str:
    """Return sixteen hex digits that differ if the data differ."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def digest_of_parts(parts: Iterable[str]) -> str:
    """Return the digest of several texts in their order. No text holds a zero byte."""
    return digest_of("\x00".join(parts).encode())
