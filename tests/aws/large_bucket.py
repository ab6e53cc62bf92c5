"""A bucket of a million landed objects that are computed and not stored: an S3 behind HTTP that lists, reads and writes, and nothing else.

`python -m tests.aws.large_bucket OLD NEW` serves one in a process of its own and prints its address.
"""

import sys
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from resources.catalog.landing import batch_of, listing_of
from resources.catalog.names import batch_key, champion_key, score_prefix
from resources.catalog.pointers import BatchRecord, Champion, Current, to_bytes
from resources.ports.lake import Entry

NAME, DATASET = "large", "shop"
FILES_OF_OLD, FILES_OF_NEW = 1000, 10  # in a batch
LATER = "later"
"""The key that a write of anything shows the rest of the new objects by."""
_NOW = datetime.now(UTC).replace(microsecond=0)
_LANDED = {"old": _NOW - timedelta(days=60), "new": _NOW - timedelta(hours=1)}
_CURRENT = Current("v1", f"{DATASET}/made/v1/")


def make_keys(kind: str, number: int) -> list[str]:
    """Return the keys of so many objects. Their batches are in no order, so that new ones lie between old ones.

    Old batches have 1,000 files. Of the new objects, half are in batches of ten files, and the others straight in score/, each a batch of its own.
    """
    prefix, size = score_prefix(DATASET), FILES_OF_NEW if kind == "new" else FILES_OF_OLD
    alone = number // 2 if kind == "new" else 0
    keys = [f"{prefix}{_mixed(f'alone {each}')}-{kind}.csv" for each in range(alone)]
    in_batches = range(number - alone)
    return keys + [f"{prefix}{_mixed(f'{kind} {each // size}')}-{kind}/{each % size:04}.csv" for each in in_batches]


def _mixed(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()


@dataclass
class LargeBucket:
    """What is in the bucket. Old batches have their lists already; of the new ones, every second is shown later."""

    old: int
    new: int
    _written: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        new = make_keys("new", self.new)
        names = {name: number for number, name in enumerate(dict.fromkeys(batch_of(DATASET, key) for key in new))}
        self._later = [key for key in new if names[batch_of(DATASET, key)] % 2]
        later = set(self._later)
        self._keys = sorted([*make_keys("old", self.old), *(key for key in new if key not in later)])
        champion = Champion("v1", f"{DATASET}/m/v1/", f"{DATASET}/e/v1/", "2026-01-01T00:00:00+00:00", "first", "")
        self._written[champion_key(DATASET)] = to_bytes(champion)
        self._lock = threading.Lock()

    def list(self, prefix: str, after: str, most: int) -> tuple[Sequence[Entry], bool]:
        """Return a page of entries, and whether there are more."""
        with self._lock:
            start = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
            page = [key for key in self._keys[start : start + most + 1] if key.startswith(prefix)]
        return [_entry(key) for key in page[:most]], len(page) > most

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes: what was written, or the record of an old batch."""
        if key in self._written:
            return self._written[key]
        name = key.rpartition("/")[2].removesuffix(".json")
        if key != batch_key(DATASET, name) or not name.endswith("-old"):
            return None
        listing = listing_of(self.list(f"{score_prefix(DATASET)}{name}/", "", FILES_OF_OLD)[0])
        return to_bytes(BatchRecord(name, "f", listing, "2026-01-01T00:00:00+00:00", _CURRENT, _CURRENT, _CURRENT))

    def put(self, key: str, content: bytes) -> None:
        """Write an object, or show the rest of the new ones."""
        if key != LATER:
            self._written[key] = content
            return
        with self._lock:
            for each in self._later:
                insort(self._keys, each)
            self._later = []


def _entry(key: str) -> Entry:
    kind = "old" if "-old/" in key else "new"
    return Entry(key=key, size=100, modified=_LANDED[kind], token=f'"{_mixed(key)}"')


def _handler(bucket: LargeBucket) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True  # head and body are two writes
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            place = urlsplit(self.path)
            key, query = _key(place.path), parse_qs(place.query, keep_blank_values=True)
            if "list-type" in query:
                self._send(200, _page(bucket, {name: values[0] for name, values in query.items()}))
            elif (content := bucket.get(key)) is None:
                self._send(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")
            else:
                self._send(200, content)

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            bucket.put(_key(urlsplit(self.path).path), content)
            self._send(200, b"")

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("ETag", '"e"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Keep the output clean."""

    return Handler


def _key(path: str) -> str:
    return unquote(path).removeprefix(f"/{NAME}").removeprefix("/")


def _page(bucket: LargeBucket, query: dict[str, str]) -> bytes:
    """Return an answer of ListObjectsV2. The token of a page is its last key."""
    after = query.get("continuation-token") or query.get("start-after", "")
    entries, more = bucket.list(query["prefix"], after, int(query["max-keys"]))
    contents = "".join(
        f"<Contents><Key>{escape(each.key)}</Key><LastModified>{each.modified:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
        f"<ETag>{escape(each.token)}</ETag><Size>{each.size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for each in entries
    )
    token = f"<NextContinuationToken>{escape(entries[-1].key)}</NextContinuationToken>" if more else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{NAME}</Name>'
        f"<KeyCount>{len(entries)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>{token}{contents}</ListBucketResult>"
    ).encode()


@contextmanager
def serving(bucket: LargeBucket) -> Iterator[str]:
    """Serve a bucket on a free port of the loopback interface. Yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(bucket))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def main(old: str, new: str) -> None:
    """Serve until the standard input is closed."""
    with serving(LargeBucket(int(old), int(new))) as address:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
