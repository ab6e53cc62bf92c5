"""What every lake promises. A new adapter joins by adding itself to both tables."""

import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn_model.reports.step_report import PublishedFile
from resources.aws.lake import S3Lake
from resources.errors import LakeError, NotInLake, PublishError, SwapConflict
from resources.local.folders import to_time
from resources.local.lake import LocalLake
from resources.ports.lake import MANIFEST, Entry, Lake, Manifest, Unreadable
from resources.settings import PROJECT
from tests.harness.machine import UNPRIVILEGED

# Each adapter as a fixture that gives an empty lake.
LAKES = ["local_lake", "aws_lake"]


class UnreliableFolder(LocalLake):
    """A folder that repeats every second write, and loses the response to every third so that it is sent again."""

    def put(self, key: str, content: bytes | Path) -> None:
        number = next(_REQUESTS)
        for _ in range(1 + (number % 2 == 0) + (number % 3 == 0)):
            super().put(key, content)


_REQUESTS = count(1)
# The same adapters over a transport that sends writes twice and loses responses.
UNRELIABLE_LAKES = ["unreliable_folder", "unreliable_bucket"]


def run_at_once(*calls: Callable[[], object]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def local_lake(tmp_path: Path) -> Lake:
    return LocalLake(root=str(tmp_path / "lake"))


@pytest.fixture
def unreliable_folder(tmp_path: Path) -> Lake:
    return UnreliableFolder(root=str(tmp_path / "lake"))


@pytest.fixture
def unreliable_bucket(aws_lake: S3Lake) -> Lake:
    """Return a lake whose every second write is sent again once it has succeeded: its first response is lost."""
    events = aws_lake.session.client("s3").meta.events

    def lose_response(response: object, attempts: int, **_: object) -> float | None:
        return 0.0 if response is not None and attempts == 1 and next(_REQUESTS) % 2 else None

    events.register_first("needs-retry.s3.PutObject", lose_response)
    return aws_lake


@pytest.fixture(params=LAKES)
def any_lake(request: pytest.FixtureRequest) -> Lake:
    found: Lake = request.getfixturevalue(request.param)
    return found


def keys(lake: Lake, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
    return [entry.key for entry in lake.list(prefix, after, limit)]


def test_an_empty_lake_lists_nothing(any_lake: Lake) -> None:
    assert keys(any_lake, "landing/") == []


def test_what_was_put_is_read_back(any_lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"from a file")
    any_lake.put("a/b.txt", b"bytes")
    any_lake.put("a/c.txt", tmp_path / "file")
    assert any_lake.read("a/b.txt") == b"bytes"
    assert any_lake.read("a/c.txt") == b"from a file"


def test_a_listing_is_in_the_order_of_the_keys_bytes_as_in_a_bucket(any_lake: Lake) -> None:
    # "." sorts before "/", so a file beside a folder of the same stem comes first; "-" before both; "é" after "z".
    written = ["p/b1/x", "p/b1.csv", "p/b1-2/y", "p/a", "p/z", "p/é", "p/b10/q", "p/B"]
    for key in written:
        any_lake.put(key, b"")
    assert keys(any_lake, "p/") == sorted(written, key=str.encode)


@given(
    names=st.lists(st.text(alphabet="ab./-é0", min_size=1, max_size=8), min_size=1, max_size=12), page=st.integers(1, 4)
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_pages_give_every_key_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], page: int
) -> None:
    lake = LocalLake(root=str(tmp_path_factory.mktemp("lake")))
    written: set[str] = set()
    for name in names:
        parts = [part for part in name.split("/") if part.strip(".")]
        key = "p/" + "/".join(parts)
        if not parts or any(key.startswith(other + "/") or other.startswith(key + "/") for other in written):
            continue  # a folder cannot be a file as well
        lake.put(key, b"x")
        written.add(key)
    found: list[str] = []
    while part := keys(lake, "p/", found[-1] if found else "", page):
        assert len(part) <= page
        found += part
    assert found == sorted(written, key=str.encode)


def test_a_prefix_may_end_within_a_name(any_lake: Lake) -> None:
    for key in ("a/today/1", "a/today.csv", "a/tomorrow/1"):
        any_lake.put(key, b"")
    assert keys(any_lake, "a/today") == ["a/today.csv", "a/today/1"]


def test_an_entry_tells_size_time_and_a_token_that_changes_with_the_content(any_lake: Lake) -> None:
    any_lake.put("k", b"12345")
    (first,) = any_lake.list("k")
    any_lake.put("k", b"123456")
    (second,) = any_lake.list("k")
    assert (first.size, second.size) == (5, 6)
    assert first.token != second.token
    assert abs(datetime.now(UTC) - second.modified) < timedelta(minutes=5)


def test_a_stream_is_seekable_as_readers_of_parquet_need_it(any_lake: Lake) -> None:
    any_lake.put("digits", b"0123456789")
    with any_lake.open("digits") as stream:
        assert stream.seekable()
        assert stream.read(3) == b"012"
        assert stream.seek(-2, io.SEEK_END) == stream.tell() == 8
        assert stream.read() == b"89"
        assert stream.seek(4) == 4
        assert stream.read(2) == b"45"
    written = io.BytesIO()
    pq.write_table(pa.table({"x": range(1000)}), written, row_group_size=100)
    any_lake.put("rows.parquet", written.getvalue())
    with any_lake.open("rows.parquet") as stream, pq.ParquetFile(stream) as file:
        assert file.read_row_group(7).column("x").to_pylist() == list(range(700, 800))


def test_digests_of_a_listing_differ_if_the_contents_differ(any_lake: Lake) -> None:
    for key, content in (("d/a", b"one"), ("d/b", b"two"), ("d/empty", b"")):
        any_lake.put(key, content)
    listing = any_lake.list("d/")
    before = any_lake.digests(listing)
    assert before == any_lake.digests(listing)
    assert len(set(before.values())) == len(before) == 3
    any_lake.put("d/a", b"six")  # of the same size
    after = any_lake.digests(any_lake.list("d/"))
    assert [key for key in before if after[key] != before[key]] == ["d/a"]
    assert any_lake.digests([]) == {}


def test_a_missing_key_is_reported_with_what_to_do(any_lake: Lake) -> None:
    for act in (any_lake.read, any_lake.open):
        with pytest.raises(NotInLake, match=r"no/such in the lake.*nothing"):
            act("no/such")


def test_a_folder_notices_that_an_object_of_the_listing_is_gone(local_lake: Lake) -> None:
    local_lake.put("d/a", b"1")
    (entry,) = local_lake.list("d/")
    with pytest.raises(NotInLake, match=r"no/such in the lake.*nothing"):
        local_lake.digests([entry, replace(entry, key="no/such")])


@pytest.mark.parametrize("key", ["../outside", "/absolute", "a/../../outside"])
def test_no_key_leaves_the_lake(any_lake: Lake, key: str) -> None:
    with pytest.raises(LakeError, match="a key inside the lake"):
        any_lake.put(key, b"")


def test_a_version_is_published_once_its_files_are_whole(any_lake: Lake) -> None:
    any_lake.put("d/a/v1/rows.parquet", b"1234")
    manifest = Manifest("v1", {"rows.parquet": PublishedFile(4, "x", 2)}, {"up": "v0"}, "2026-01-01T00:00:00+00:00")
    any_lake.publish("d/a/v1/", manifest)
    any_lake.publish("d/a/v1/", manifest)
    assert Manifest.from_json(any_lake.read("d/a/v1/" + MANIFEST)) == manifest


def test_a_published_version_is_never_published_over(any_lake: Lake) -> None:
    any_lake.put("d/a/v1/rows.parquet", b"1234")
    seen = set()

    def publish_and_read(number: int) -> None:
        any_lake.publish("d/a/v1/", Manifest("v1", {"rows.parquet": PublishedFile(4, "x")}, made_at=str(number)))
        seen.add(any_lake.read("d/a/v1/" + MANIFEST))

    run_at_once(*(partial(publish_and_read, number) for number in range(20)))
    publish_and_read(20)
    assert len(seen) == 1


@pytest.mark.parametrize(("content", "found"), [(None, "no file"), (b"12", "2 bytes")])
def test_what_is_not_whole_is_not_published(any_lake: Lake, content: bytes | None, found: str) -> None:
    if content is not None:
        any_lake.put("d/a/v1/rows.parquet", content)
    with pytest.raises(PublishError, match=f"4 bytes in d/a/v1/rows.parquet.*{found}"):
        any_lake.publish("d/a/v1/", Manifest("v1", {"rows.parquet": PublishedFile(4, "x")}))
    assert keys(any_lake, "d/a/v1/" + MANIFEST) == []


def test_a_withdrawn_version_can_be_published_again(any_lake: Lake) -> None:
    any_lake.put("d/a/v1/rows.parquet", b"rows")
    for size in (4, 5):
        any_lake.put("d/a/v1/rows.parquet", b"x" * size)
        any_lake.publish("d/a/v1/", Manifest("v1", {"rows.parquet": PublishedFile(size, "x")}))
        assert Manifest.from_json(any_lake.read("d/a/v1/" + MANIFEST)).files["rows.parquet"].size == size
        any_lake.withdraw("d/a/v1/")
        any_lake.withdraw("d/a/v1/")
        assert keys(any_lake, "d/a/v1/") == ["d/a/v1/rows.parquet"]


def test_a_pointer_moves_only_from_what_was_read(any_lake: Lake) -> None:
    any_lake.swap("p.json", None, b"one")
    any_lake.swap("p.json", b"one", b"two")
    for stale in (None, b"one"):
        with pytest.raises(SwapConflict, match="another run has changed it"):
            any_lake.swap("p.json", stale, b"three")
    assert any_lake.read("p.json") == b"two"


@pytest.mark.parametrize("unreliable", UNRELIABLE_LAKES)
def test_no_increment_is_lost_or_counted_twice_if_requests_are_repeated_and_responses_lost(
    unreliable: str, request: pytest.FixtureRequest
) -> None:
    lake: Lake = request.getfixturevalue(unreliable)
    lake.swap("n", None, b"0")

    def add_ten() -> None:
        added = 0
        while added < 10:
            before = lake.read("n")
            try:
                lake.swap("n", before, str(int(before) + 1).encode())
            except SwapConflict:
                continue
            added += 1

    run_at_once(*[add_ten] * 4)
    assert lake.read("n") == b"40"


def test_of_many_who_create_the_same_pointer_with_the_same_bytes_one_succeeds(any_lake: Lake) -> None:
    conflicts: list[SwapConflict] = []

    def create() -> None:
        try:
            any_lake.swap("p.json", None, b"same")
        except SwapConflict as conflict:
            conflicts.append(conflict)

    run_at_once(*[create] * 8)
    assert len(conflicts) == 7


def test_a_pointer_that_is_gone_is_a_conflict(any_lake: Lake) -> None:
    with pytest.raises(SwapConflict, match=r"p\.json"):
        any_lake.swap("p.json", b"what was there", b"new")
    assert keys(any_lake, "p.json") == []


def test_locks_and_writes_in_progress_are_not_listed(any_lake: Lake) -> None:
    any_lake.swap("d/champion.json", None, b"{}")
    any_lake.put("d/x", b"")
    assert keys(any_lake, "d/") == ["d/champion.json", "d/x"]


@pytest.fixture
def strange_folder(tmp_path: Path) -> Iterator[Path]:
    """A landing area with everything that is no plain file, beside one that is."""
    folder = tmp_path / "lake" / "landing"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "good.csv").write_text("id\n1\n")
    (folder / "b" / ".partial-x").write_text("half")
    os.mkfifo(folder / "b" / "pipe.csv")
    (folder / "device").symlink_to("/dev/zero")
    (folder / "loop").symlink_to("loop")
    (folder / "up").symlink_to(folder)
    (folder / "outside.csv").symlink_to(tmp_path / "outside.csv")
    (tmp_path / "outside.csv").write_text("id\n2\n")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(folder)  # a socket's address is short
        try:
            listening.bind("socket")
            Path(os.fsdecode(b"donn\xe9es.csv")).write_text("id\n3\n")
            for _ in range(600):
                Path("deep").mkdir()
                os.chdir("deep")
            Path("lost.csv").write_text("id\n4\n")
        finally:
            os.chdir(here)
        yield folder


def unreadable(lake: LocalLake, prefix: str) -> list[Unreadable]:
    return [each for each in lake.scan(prefix) if isinstance(each, Unreadable)]


def test_what_is_no_plain_file_is_named_and_never_opened(strange_folder: Path) -> None:
    lake = LocalLake(root=str(strange_folder.parent))
    assert keys(lake, "") == ["landing/b/good.csv"]
    found = {each.key.removeprefix("landing/"): each for each in unreadable(lake, "landing/")}
    assert sorted(found)[:1] == ["b/pipe.csv"]
    assert {key for key, each in found.items() if not each.may_hold_data} == {"b/pipe.csv", "socket"}
    deep = next(key for key in found if key.startswith("deep/"))
    assert sorted(found.keys() - {deep}) == [
        "b/pipe.csv",
        "device",
        "donn\\xe9es.csv",
        "loop",
        "outside.csv",
        "socket",
        "up",
    ]
    assert "more than 64 folders deep" in found[deep].reason


def test_a_closed_folder_is_named_and_what_is_beside_it_is_listed(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if os.geteuid() == 0 and not os.environ.get(
        "WITHOUT_RIGHTS"
    ):  # nothing is closed to the superuser: once more, as others are
        again = [*UNPRIVILEGED, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", request.node.nodeid]
        done = subprocess.run(
            again, env={**os.environ, "WITHOUT_RIGHTS": "1"}, cwd=PROJECT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
        return
    lake = LocalLake(root=str(tmp_path))
    for key in ("d/a/x", "d/b/x", "d/c/x"):
        lake.put(key, b"x")
    for name, mode in (("a", 0o000), ("b", 0o444)):  # not listed; listed and not entered
        (tmp_path / "d" / name).chmod(mode)
    try:
        assert keys(lake, "d/") == ["d/c/x"]
        assert [each.key for each in unreadable(lake, "d/")] == ["d/a/", "d/b/x"]
        with pytest.raises(LakeError, match="Expected to list d/a/"):
            lake.list("d/a/")
    finally:
        for name in ("a", "b"):
            (tmp_path / "d" / name).chmod(0o755)


@pytest.mark.parametrize("seconds", [1e14, -1e14, 4e11, float(2**63)])
def test_a_time_that_no_calendar_has_stops_no_listing(seconds: float) -> None:
    assert abs(to_time(seconds).timestamp()) > 2e9


@given(
    names=st.lists(st.text(st.sampled_from("ab/-."), min_size=1, max_size=6), max_size=12, unique=True), data=st.data()
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_one_walk_lists_what_pages_list(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data: st.DataObject
) -> None:
    lake = LocalLake(root=str(tmp_path_factory.mktemp("lake")))
    for name in names:
        with suppress(LakeError, OSError):  # some are no keys, and some are folders of others
            lake.put(name, b"x")
    every = [entry.key for entry in lake.entries("")]
    prefix = data.draw(st.sampled_from([key[:end] for key in ["", *every] for end in range(len(key) + 1)]))
    after = data.draw(st.sampled_from(["", *every]))
    expected = [key for key in every if key.startswith(prefix) and key > after]
    assert every == sorted(every)
    assert [entry.key for entry in lake.entries(prefix, after)] == expected
    assert [entry.key for entry in Lake.entries(lake, prefix, after)] == expected


def test_one_key_is_found_by_itself(any_lake: Lake) -> None:
    for key in ("d/a", "d/ab", "d/b/c"):
        any_lake.put(key, b"x")
    found = any_lake.find("d/a")
    assert isinstance(found, Entry)
    assert found == any_lake.list("d/a", limit=1)[0]
    assert [any_lake.find(key) for key in ("d", "d/b", "d/c", "no/such", "d/a/b")] == [None] * 5


def test_one_key_that_is_no_file_is_found_as_what_it_is(strange_folder: Path) -> None:
    lake = LocalLake(root=str(strange_folder.parent))
    for key in ("landing/loop", "landing/up", "landing/b/pipe.csv"):
        assert [lake.find(key)] == [each for each in unreadable(lake, "landing/") if each.key == key]
