"""What is S3's own: pages, ranges, markers of folders, and what its errors mean to a user."""

from collections.abc import Callable
from pathlib import Path

import pytest

from resources.aws.lake import S3Lake
from resources.aws.session import forget_clients
from resources.errors import LakeError, NotInLake


def test_a_listing_goes_on_past_s3s_own_pages_and_the_markers_of_folders(aws_lake: S3Lake) -> None:
    s3 = aws_lake.session.client("s3")
    keys = [f"p/{number:04}" for number in range(1005)]
    for key in keys:
        aws_lake.put(key, b"")
    for marker in ("p/", "p/0000/", "p/0001/"):
        s3.put_object(Bucket=aws_lake.bucket, Key=aws_lake.prefix + marker)
    assert [entry.key for entry in aws_lake.entries("p/")] == keys
    assert [entry.key for entry in aws_lake.list("p/", limit=2)] == keys[:2]


def test_a_large_object_is_read_by_ranges_from_anywhere(aws_lake: S3Lake) -> None:
    content = bytes(range(256)) * (40 << 10)  # 10 MB: three blocks
    aws_lake.put("large", content)
    with aws_lake.open("large") as stream:
        assert stream.read() == content
        for start, length in (
            (0, 10),
            (len(content) - 5, 100),
            (5_000_000, 6_000_000),
            (4 << 20, 1),
            (len(content), 1),
        ):
            stream.seek(start)
            assert stream.read(length) == content[start : start + length]


def test_an_object_that_is_replaced_while_it_is_read_is_an_error(aws_lake: S3Lake) -> None:
    aws_lake.put("large", bytes(9 << 20))
    with aws_lake.open("large") as stream:
        stream.read(10)
        aws_lake.put("large", b"1" * (9 << 20))
        with pytest.raises(LakeError, match="found that it was replaced meanwhile"):
            stream.read()


def test_whatever_is_written_is_encrypted_with_the_key_that_is_named(aws_lake: S3Lake, tmp_path: Path) -> None:
    key = aws_lake.session.client("kms").create_key()["KeyMetadata"]["Arn"]
    lake = S3Lake(session=aws_lake.session, bucket=aws_lake.bucket, prefix="encrypted/", kms_key=key)
    large = tmp_path / "large"
    large.write_bytes(bytes(20 << 20))  # in several parts
    lake.put("bytes", b"rows")
    lake.put("file", large)
    lake.swap("pointer", None, b"1")
    lake.swap("pointer", b"1", b"2")
    lake.copy_object(next(entry for entry in lake.entries("") if entry.key == "bytes"), "copy")
    s3 = aws_lake.session.client("s3")
    heads = {entry.key: s3.head_object(Bucket=lake.bucket, Key=f"encrypted/{entry.key}") for entry in lake.entries("")}
    encrypted = {name: (head["ServerSideEncryption"], head["SSEKMSKeyId"]) for name, head in heads.items()}
    assert encrypted == dict.fromkeys(("bytes", "file", "pointer", "copy"), ("aws:kms", key))
    assert lake.read("copy") == b"rows"


def test_copies_and_removals_stay_within_the_lake(aws_lake: S3Lake) -> None:
    aws_lake.put("jobs/a/rows", b"rows")
    (rows,) = aws_lake.entries("")
    aws_lake.copy_object(rows, "d/a/v1/rows")
    aws_lake.remove(["jobs/a/rows"])
    assert [entry.key for entry in aws_lake.entries("")] == ["d/a/v1/rows"]
    with pytest.raises(LakeError, match="a key inside the lake"):
        aws_lake.copy_object(rows, "../x")
    with pytest.raises(LakeError, match="a key inside the lake"):
        aws_lake.remove(["../x"])


def test_a_bucket_that_does_not_exist_is_no_empty_lake(aws_lake: S3Lake) -> None:
    absent = S3Lake(session=aws_lake.session, bucket="no-such-bucket-here")
    acts: list[Callable[[], object]] = [
        lambda: absent.list(""),
        lambda: absent.read("x"),
        lambda: absent.swap("x", None, b""),
    ]
    for act in acts:
        with pytest.raises(LakeError, match=r"found NoSuchBucket.*[Cc]orrect CHURN_LAKE") as raised:
            act()
        assert not isinstance(raised.value, NotInLake)


def test_a_file_that_cannot_be_written_is_explained_as_bytes_are(aws_lake: S3Lake, tmp_path: Path) -> None:
    absent = S3Lake(session=aws_lake.session, bucket="no-such-bucket-here")
    (tmp_path / "rows").write_bytes(b"rows")
    for content in (b"rows", tmp_path / "rows"):
        with pytest.raises(LakeError, match=r"found NoSuchBucket.*Create the bucket, or correct CHURN_LAKE"):
            absent.put("rows", content)


def test_missing_credentials_are_reported_with_what_to_do(aws_lake: S3Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    forget_clients()
    with pytest.raises(LakeError, match=r"Unable to locate credentials\. Log in"):
        aws_lake.read("x")
