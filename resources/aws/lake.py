"""The lake as a bucket, or as a prefix of one. Pointers move by conditional writes."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from uuid import uuid4

from churn_model.errors import listed, problem
from resources.aws.seen_objects import LARGEST, Seen, SeenObjects
from resources.aws.session import AwsSession, aws_errors, code_of
from resources.errors import LakeError, NotInLake, PublishError, SwapConflict
from resources.ports.lake import MANIFEST, Entry, Lake, Manifest

_BLOCK_BYTES = LARGEST
_PAGE_KEYS = 1000  # S3's own limit
_LARGEST_COPY_BYTES = 5 * 10**9  # in one request; S3's limit is 5 GiB
_ABSENT = frozenset({"NoSuchKey", "404"})
# 412: another object is there. 409: another conditional write is under way. 404: the object to be replaced is gone.
_LOST = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409", *_ABSENT})
# Enough for as many writers as can move a pointer between a write and its repetition.
_NONCES = "nonces"
_REMEMBERED_NONCES = 32
_seen = SeenObjects()  # of all lakes: Dagster makes resources anew for each run


class S3Lake(Lake):
    """A general-purpose bucket, which lists keys in the order of their bytes and takes conditional writes."""

    session: AwsSession
    bucket: str
    prefix: str = ""  # "" or a prefix that ends with `/`
    kms_key: str = ""  # "" for the bucket's own default encryption

    @property
    def is_shared(self) -> bool:
        return True

    def list(self, prefix: str, after: str = "", limit: int = _PAGE_KEYS) -> Sequence[Entry]:
        return [*islice(self._pages(prefix, after, min(limit, _PAGE_KEYS)), limit)]

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        return self._pages(prefix, after, _PAGE_KEYS)

    def _pages(self, prefix: str, after: str, keys: int) -> Iterator[Entry]:
        """Iterate over the listing, `keys` objects a request, as far as it is asked for."""
        begin = {"StartAfter": self.prefix + after} if after else {}
        while True:
            with aws_errors(LakeError, f"to list {self.uri(prefix)}"):
                page = self._s3.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix + prefix, MaxKeys=keys, **begin)
            # The console marks a folder with an empty object whose key ends with `/`.
            yield from (self._entry(each) for each in page.get("Contents", []) if not each["Key"].endswith("/"))
            if not page["IsTruncated"]:
                return
            begin = {"ContinuationToken": page["NextContinuationToken"]}

    def open(self, key: str) -> BinaryIO:
        first = self._get(key, Range=f"bytes=0-{_BLOCK_BYTES - 1}")
        size = int(first["ContentRange"].rpartition("/")[2])
        block = self._body(key, first)  # not remembered: parts of tables would leave no room for what is read again
        if size <= len(block):
            return io.BytesIO(block)
        return io.BufferedReader(_ObjectReader(self, key, size, first["ETag"], block), _BLOCK_BYTES)

    def read(self, key: str) -> bytes:
        return self._body(key, self._get(key), whole=True)

    def read_listed(self, entry: Entry) -> bytes:
        seen = _seen.recall(self.uri(entry.key))
        return seen.content if seen and seen.tag == entry.token else self.read(entry.key)

    def digests(self, entries: Iterable[Entry]) -> Mapping[str, str]:
        """Return the ETags of the listing: no object is read."""
        return {entry.key: entry.token.strip('"') for entry in entries}

    def put(self, key: str, content: bytes | Path) -> None:
        target = self._full(key)
        with aws_errors(LakeError, f"to write {self.uri(key)}"):
            if isinstance(content, bytes):
                answer = self._s3.put_object(Bucket=self.bucket, Key=target, Body=content, **self._encryption)
                _seen.remember(self.uri(key), Seen(answer["ETag"], content))
            else:
                # `upload_file` would hide S3's error in one of boto3's own.
                with content.open("rb") as stream:
                    self._s3.upload_fileobj(stream, self.bucket, target, ExtraArgs=self._encryption)

    def publish(self, prefix: str, manifest: Manifest) -> None:
        sizes = {entry.key: entry.size for entry in self.entries(prefix)}
        if prefix + MANIFEST in sizes:
            return
        problems = [
            problem(
                expected=f"{file.size} bytes in {prefix}{name}",
                found="no file" if (size := sizes.get(prefix + name)) is None else f"{size} bytes",
                todo="run the job again; incomplete results are made again",
            )
            for name, file in manifest.files.items()
            if sizes.get(prefix + name) != file.size
        ]
        if problems:
            raise PublishError(listed(problems))
        with suppress(SwapConflict):  # another run has just published it
            self.swap(prefix + MANIFEST, None, manifest.to_json())

    def withdraw(self, prefix: str) -> None:
        with aws_errors(LakeError, f"to remove {self.uri(prefix + MANIFEST)}"):
            self._s3.delete_object(Bucket=self.bucket, Key=self._full(prefix + MANIFEST))

    def discard(self, prefix: str) -> None:
        entries = list(self.entries(prefix))
        if any(entry.key == prefix + MANIFEST for entry in entries):
            raise LakeError(
                problem(
                    expected=f"an unpublished prefix {prefix}", found="a manifest", todo="withdraw the version first"
                )
            )
        self.remove([entry.key for entry in entries])

    def swap(self, key: str, expected: bytes | None, new: bytes) -> None:
        if expected is None:  # its write alone shows whether an object is there
            moved = self._replace(key, None, new)
        else:
            seen = _seen.recall(self.uri(key))
            # What was read a moment ago need not be read again: the write is refused if it is another object by now.
            moved = seen is not None and seen.content == expected and self._replace(key, seen, new)
            if not moved:
                current = self._look(key)
                moved = current is not None and current.content == expected and self._replace(key, current, new)
        if not moved:
            raise _conflict(key)

    def _replace(self, key: str, seen: Seen | None, new: bytes) -> bool:
        """Write an object if it is still the one that was seen, or none. Return whether it was."""
        nonce = uuid4().hex[:16]
        condition = {"IfNoneMatch": "*"} if seen is None else {"IfMatch": seen.tag}
        nonces = [*(seen.nonces if seen else ()), nonce][-_REMEMBERED_NONCES:]
        from botocore.exceptions import ClientError

        with aws_errors(LakeError, f"to move {self.uri(key)}"):
            try:
                answer = self._s3.put_object(
                    Bucket=self.bucket,
                    Key=self._full(key),
                    Body=new,
                    Metadata={_NONCES: ",".join(nonces)},
                    **condition,
                    **self._encryption,
                )
            except ClientError as error:
                if code_of(error) not in _LOST:
                    raise
                # A write whose response was lost is sent again, and then meets itself. Equal bytes would not show that it is ours.
                current = self._look(key)
                return current is not None and nonce in current.nonces
        _seen.remember(self.uri(key), Seen(answer["ETag"], new, nonces))
        return True

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def copy_object(self, source: Entry, target: str) -> None:
        """Copy an object, as a listing shows it, within the bucket, without reading it. Raise LakeError if it is another one by now."""
        origin, key = {"Bucket": self.bucket, "Key": self._full(source.key)}, self._full(target)
        same = {"CopySourceIfMatch": source.token, **self._encryption}
        with aws_errors(LakeError, f"to copy {self.uri(source.key)}"):
            if source.size > _LARGEST_COPY_BYTES:
                self._s3.copy(origin, self.bucket, key, ExtraArgs=same)
                return
            answer = self._s3.copy_object(CopySource=origin, Bucket=self.bucket, Key=key, **same)
        seen = _seen.recall(self.uri(source.key))
        if seen and seen.tag == source.token:
            _seen.remember(self.uri(target), Seen(answer["CopyObjectResult"]["ETag"], seen.content))

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects that no manifest names."""
        for start in range(0, len(keys), _PAGE_KEYS):
            objects = [{"Key": self._full(key)} for key in keys[start : start + _PAGE_KEYS]]
            with aws_errors(LakeError, f"to remove {len(objects)} objects of {self.uri('')}"):
                answer = self._s3.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
            if failures := answer.get("Errors"):
                raise LakeError(
                    problem(
                        expected=f"to remove {len(objects)} objects of {self.uri('')}",
                        found=f"{len(failures)} failures, the first of them {failures[0].get('Code')}",
                        todo="see to the permissions of the bucket, then run the same command again",
                    )
                )

    def read_range(self, key: str, start: int, stop: int, tag: str) -> bytes:
        """Return the bytes from `start` up to `stop` of an object that is still the one with this ETag. Raise LakeError if it is not."""
        return self._body(key, self._get(key, Range=f"bytes={start}-{stop - 1}", IfMatch=tag))

    @property
    def _s3(self) -> Any:
        return self.session.client("s3")

    @property
    def _encryption(self) -> dict[str, str]:
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key} if self.kms_key else {}

    def _entry(self, found: Mapping[str, Any]) -> Entry:
        return Entry(
            key=found["Key"].removeprefix(self.prefix),
            size=found["Size"],
            modified=found["LastModified"],
            token=found["ETag"],
        )

    def _full(self, key: str) -> str:
        if key.startswith("/") or ".." in PurePosixPath(key).parts:
            raise LakeError(
                problem(expected="a key inside the lake", found=repr(key), todo="use names without .. or a leading /")
            )
        return self.prefix + key

    def _get(self, key: str, **conditions: str) -> dict[str, Any]:
        """Return S3's answer. An empty object has no range: S3 refuses that, and it is answered here."""
        from botocore.exceptions import ClientError

        with aws_errors(LakeError, f"to read {self.uri(key)}"):
            try:
                return dict(self._s3.get_object(Bucket=self.bucket, Key=self._full(key), **conditions))
            except ClientError as error:
                if code_of(error) in ("InvalidRange", "416"):
                    return {"ContentRange": "bytes */0", "ETag": "", "Body": io.BytesIO()}
                if code_of(error) in ("PreconditionFailed", "412"):
                    raise LakeError(
                        problem(
                            expected=f"{self.uri(key)} to stay as it was when it was opened",
                            found="that it was replaced meanwhile",
                            todo="run the job again when nobody writes to it",
                        )
                    ) from error
                if code_of(error) in _ABSENT:
                    raise NotInLake(
                        problem(
                            expected=f"{key} in the lake",
                            found=f"nothing at {self.uri(key)}",
                            todo="restore it, or run the job again",
                        )
                    ) from error
                raise

    def _body(self, key: str, answer: Mapping[str, Any], *, whole: bool = False) -> bytes:
        """Return the bytes of an answer. `whole`: they are all of the object's, and are remembered."""
        with aws_errors(LakeError, f"to read {self.uri(key)}"), answer["Body"] as body:
            content = bytes(body.read())
        if whole:
            _seen.remember(self.uri(key), Seen(answer["ETag"], content, _nonces_of(answer)))
        return content

    def _look(self, key: str) -> Seen | None:
        """Return an object with its ETag and the nonces of its last writers; None if there is none."""
        try:
            answer = self._get(key)
        except NotInLake:
            return None
        return Seen(answer["ETag"], self._body(key, answer, whole=True), _nonces_of(answer))


class _ObjectReader(io.RawIOBase):
    """Reads an object by ranges, as one that nobody replaces."""

    def __init__(self, lake: S3Lake, key: str, size: int, tag: str, first: bytes) -> None:
        super().__init__()
        self._lake, self._key, self._size, self._tag, self._first = lake, key, size, tag, first
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        start, stop = self._position, min(self._position + len(buffer), self._size)
        if start >= stop:
            return 0
        inside = stop <= len(self._first)
        found = self._first[start:stop] if inside else self._lake.read_range(self._key, start, stop, self._tag)
        buffer[: len(found)] = found
        self._position = start + len(found)
        return len(found)


def _nonces_of(answer: Mapping[str, Any]) -> Sequence[str]:
    return [nonce for nonce in answer.get("Metadata", {}).get(_NONCES, "").split(",") if nonce]


def _conflict(key: str) -> SwapConflict:
    return SwapConflict(
        problem(
            expected=f"{key} to be unchanged",
            found="that another run has changed it",
            todo="run the job again; published results are reused",
        )
    )
