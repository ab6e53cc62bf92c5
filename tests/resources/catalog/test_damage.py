"""Whatever happens to a file of a home, it is noticed and said in words: no stack trace, no other champion, nobody contacted twice."""

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn_model.errors import ChurnError
from churn_model.reports.step_report import PublishedFile, Report, StepReport
from resources.catalog.decisions import Decision, list_decisions, record_decision
from resources.catalog.digests import digest_object
from resources.catalog.integrity import list_manifests
from resources.catalog.layout import require_layout
from resources.catalog.ledger import Entry, Ledger, read_ledger
from resources.catalog.names import batch_key, champion_key, current_key, ledger_key
from resources.catalog.pointers import (
    BatchRecord,
    Champion,
    Current,
    point_to,
    read_batch,
    read_champion,
    read_current,
    read_pointer,
    record_batch,
    to_bytes,
)
from resources.catalog.publish import read_published
from resources.catalog.published_tables import open_published_table
from resources.catalog.verification import repair_dataset, replay_decisions, verify_dataset
from resources.errors import DamagedError
from resources.local.lake import LocalLake
from resources.ports.lake import MANIFEST, Manifest

TIME = "2026-01-01T00:00:00+00:00"
MODEL = Current("m1", "shop/tuned_model/m1/")
EVALUATION = Current("e1", "shop/evaluation_report/e1/")
ROWS = Current("r1", "shop/raw_batch/monday/r1/")
LIST = Current("l1", "shop/retention_list/monday/l1/")
CHAMPION = Champion("m1", MODEL.prefix, EVALUATION.prefix, TIME, "first", "It is the first.")
RECORD = BatchRecord("monday", "content", "listing", TIME, ROWS, MODEL, LIST)
FILES = {
    "champion": "shop/champion.json",
    "pointer at a version": "shop/tuned_model/current.json",
    "batch's record": "shop/batches/monday.json",
    "ledger": "shop/retention_list/ledger.json",
    "decision": "shop/decisions/000001.json",
    "layout": "lake.json",
    "manifest of the model": MODEL.prefix + MANIFEST,
    "model": MODEL.prefix + "model.tar.gz",
    "report of the model": MODEL.prefix + "report.json",
    "rows of the batch": ROWS.prefix + "rows/part-00000.parquet",
    "list": LIST.prefix + "list/list.csv",
    "contacts": LIST.prefix + "contacts/part-00000.parquet",
}
HARMS: dict[str, Callable[[bytes], bytes | None]] = {
    "empty": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "garbage": lambda data: bytes(each ^ 0x5A for each in data),
    "zeros": lambda data: bytes(len(data)),
    "another value": lambda _: b"[1, 2]",
    "nested without end": lambda _: b"[" * 100_000,
    "missing": lambda _: None,
}
# Of these one that is missing is one that is not there yet; the next run writes it.
MAY_BE_MISSING = ("pointer at a version", "batch's record", "decision")


def table() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"x": list(range(1000))}), out)
    return out.getvalue()


def publish(lake: LocalLake, at: Current, contents: dict[str, bytes]) -> None:
    contents = {**contents, "report.json": StepReport.of("any", Report(), {}).to_json()}
    for name, data in contents.items():
        lake.put(at.prefix + name, data)
    files = {name: PublishedFile(len(data), digest_object(lake, at.prefix + name)) for name, data in contents.items()}
    lake.publish(at.prefix, Manifest(at.version, files, {"inputs": "i1"}, TIME))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> LocalLake:
    """A small lake with one of everything."""
    lake = LocalLake(root=str(tmp_path_factory.mktemp("whole")))
    require_layout(lake)
    publish(lake, MODEL, {"model.tar.gz": b"a bundle"})
    publish(lake, EVALUATION, {})
    publish(lake, ROWS, {"rows/part-00000.parquet": table()})
    publish(lake, LIST, {"list/list.csv": b"id\n1\n", "contacts/part-00000.parquet": table()})
    point_to(lake, current_key("shop", "tuned_model"), MODEL)
    point_to(lake, current_key("shop", "retention_list", "monday"), LIST)
    lake.swap(champion_key("shop"), None, to_bytes(CHAMPION))
    record_decision(lake, "shop", Decision("m1", "e1", "first", CHAMPION.reason, TIME, {}))
    lake.swap(ledger_key("shop"), None, Ledger((Entry("monday", "l1", LIST.prefix, "i1", TIME),)).to_json())
    point_to(lake, batch_key("shop", "monday"), RECORD)
    return lake


@pytest.fixture
def home(whole: LocalLake, lake: LocalLake) -> LocalLake:
    shutil.copytree(whole.root, lake.root)
    return lake


def harm(lake: LocalLake, kind: str, how: str) -> None:
    path = Path(lake.uri(FILES[kind]))
    data = HARMS[how](path.read_bytes())
    path.unlink() if data is None else path.write_bytes(data)


def use_everything(lake: LocalLake) -> list[str]:
    """Read as assets and commands do. Return what is said; anything but an expected error is a stack trace for a user."""
    uses: dict[str, Callable[[], object]] = {
        "layout": lambda: require_layout(lake),
        "champion": lambda: read_champion(lake, "shop"),
        "current": lambda: read_current(lake, "shop", "tuned_model"),
        "batch": lambda: read_batch(lake, "shop", "monday"),
        "ledger": lambda: read_ledger(lake, "shop", read_pointer(lake, ledger_key("shop"))),
        "decisions": lambda: list_decisions(lake, "shop"),
        "published": lambda: [read_published(lake, each.prefix) for each in (MODEL, EVALUATION, ROWS, LIST)],
        "rows": lambda: open_published_table(lake, ROWS.prefix + "rows/").read(),
        "contacts": lambda: open_published_table(lake, LIST.prefix + "contacts/").first(3),
        "manifests": lambda: list(list_manifests(lake, "shop/")),
        "record": lambda: record_batch(lake, "shop", replace(RECORD, listing="other")),
    }
    said = []
    for use in uses.values():
        try:
            use()
        except ChurnError as error:
            said.append(str(error))
    return said


def test_a_whole_home_is_whole(home: LocalLake) -> None:
    found = verify_dataset(home, "shop")
    assert (found.versions, found.problems) == (4, [])
    assert found.files == 8
    assert use_everything(home) == []
    assert repair_dataset(home, "shop") == []


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize("kind", FILES)
def test_damage_is_said_with_what_to_do(home: LocalLake, kind: str, how: str) -> None:
    harm(home, kind, how)
    if kind != "layout":
        problems = verify_dataset(home, "shop").problems
        noticed = [text for text in problems if home.uri(FILES[kind]) in text or home.uri(MODEL.prefix) in text]
        assert bool(noticed) == (how != "missing" or kind not in MAY_BE_MISSING)
        assert all(text.startswith("Expected ") and "; found " in text for text in problems)
    said = use_everything(home)
    assert all(text.startswith("Expected ") and "; found " in text for text in said)
    if kind in ("champion", "ledger", "layout", "decision", "model"):
        assert said or (kind, how) == ("decision", "missing")


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize("kind", ["champion", "ledger"])
def test_the_champion_and_the_ledger_are_restored_from_what_else_is_recorded(
    home: LocalLake, kind: str, how: str
) -> None:
    before = {kind: home.read(FILES[kind]) for kind in ("champion", "ledger")}
    harm(home, kind, how)
    assert len(repair_dataset(home, "shop")) == 1
    assert {kind: home.read(FILES[kind]) for kind in before} == before
    assert repair_dataset(home, "shop") == []
    assert verify_dataset(home, "shop").problems == []


def test_a_ledger_is_not_restored_without_a_list_whose_manifest_is_damaged(home: LocalLake) -> None:
    Path(home.uri(ledger_key("shop"))).unlink()
    Path(home.uri(LIST.prefix + MANIFEST)).write_bytes(b"")
    with pytest.raises(DamagedError, match=r"a manifest in .*retention_list"):
        repair_dataset(home, "shop")
    assert read_pointer(home, ledger_key("shop")) is None


def test_a_table_with_a_flipped_bit_is_made_again_after_what_verify_says_is_done(home: LocalLake) -> None:
    path = Path(home.uri(ROWS.prefix + "rows/part-00000.parquet"))
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    assert read_published(home, ROWS.prefix) is not None, "its size is right"
    (text,) = verify_dataset(home, "shop").problems
    assert "Run `churn verify shop --repair`, then run `churn score shop monday`" in text
    (repaired,) = repair_dataset(home, "shop")
    assert repaired.startswith(f"Withdrew {home.uri(ROWS.prefix)}, which is damaged: run `churn score shop monday`")
    assert read_published(home, ROWS.prefix) is None
    assert repair_dataset(home, "shop") == []


def test_a_list_whose_table_is_damaged_is_not_withdrawn(home: LocalLake) -> None:
    path = Path(home.uri(FILES["contacts"]))
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    assert repair_dataset(home, "shop") == []
    (text,) = verify_dataset(home, "shop").problems
    assert f"Remove {Path(home.uri(LIST.prefix + MANIFEST))}, then run" in text


def test_a_finder_s_file_among_the_decisions_is_none(home: LocalLake) -> None:
    home.put("shop/decisions/.DS_Store", b"\0")
    assert len(list_decisions(home, "shop")) == 1


def test_decisions_lead_to_the_champion_that_they_made() -> None:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    made = [("first", "m1"), ("promoted", "m2"), ("rolled_back", "m1"), ("promoted", "m3"), ("rolled_back", "m2")]
    decisions = [
        Decision(version, f"e{number}", outcome, "", (day + timedelta(number)).isoformat(), {})
        for number, (outcome, version) in enumerate(made)
    ]
    champions = [replay_decisions("shop", decisions[:count]) for count in range(6)]
    found = [champion and (champion.version, champion.previous, champion.barred) for champion in champions]
    assert found == [
        None,
        ("m1", None, ()),
        ("m2", "m1", ()),
        ("m1", "m2", ("m2",)),
        ("m3", "m1", ("m2",)),
        ("m2", "m3", ("m3",)),
    ]
    assert champions[1] is not None
    assert (champions[1].prefix, champions[1].evaluation) == (MODEL.prefix, "shop/evaluation_report/e0/")
