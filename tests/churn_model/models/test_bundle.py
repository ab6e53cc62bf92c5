"""A model as one file."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost as xgb

import churn_model
from churn_model.errors import BundleError
from churn_model.features.encoding import encode
from churn_model.features.schema import fit_schema
from churn_model.models.bundle import AGREE, Bundle, check_canaries, make_bundle, read_bundle, write_bundle
from churn_model.models.bundle_file import LIMITS, read_required_columns
from churn_model.models.calibration import Calibration
from churn_model.models.families import Hyperparameters, fit_model
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.search import Family

VALUES: dict[Family, dict[str, float]] = {
    "boosted_trees": {"eta": 0.3, "max_depth": 3},
    "random_forest": {"num_parallel_tree": 10, "max_depth": 4, "subsample": 0.8},
    "linear": {"eta": 0.5, "lambda": 0.1},
}


def rows(n: int = 300, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    minutes, worth = rng.normal(100, 30, n), rng.uniform(200, 900, n)
    plan = rng.choice(["basic", "größer", 'pro "x"'], n)
    y = rng.random(n) < 1 / (1 + np.exp(-((minutes - 100) / 30 + (plan == "basic") - 1)))
    columns = {
        "_id": pa.array([f"C{number}" for number in range(n)]),
        "_label": pa.array(y.astype(np.int8)),
        "minutes": pa.array(minutes, mask=rng.random(n) < 0.1),
        "plan": pa.array(plan, mask=rng.random(n) < 0.1).dictionary_encode(),
        "worth": pa.array(worth),
    }
    return pa.table(columns)


@cache
def bundle(family: Family = "boosted_trees") -> Bundle:
    dataset = Dataset(
        name="sample",
        label=Label(column="Churn", positive=("Yes",)),
        id="id",
        ignore=("worth",),
        derived={"hours": "`minutes` / 60"},
    )
    table = rows()
    schema = fit_schema(table, dataset)
    hyper = Hyperparameters(family=family, rounds=1 if family == "random_forest" else 20, values=VALUES[family])
    model = fit_model(encode(table, schema, family), np.asarray(table["_label"]), hyper, seed=0, threads=1)
    calibration = Calibration(kind="beta", a=1.1, b=0.9, c=-0.05)
    return make_bundle(model, schema, calibration, about={"version": "0123abcd", "metrics": {"auc": 0.8}}, rows=table)


def written(path: Path, of: Bundle | None = None, **more: Any) -> Path:
    target = path / "model.tar.gz"
    write_bundle(of or bundle(), target, **more)
    return target


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def packed(path: Path, contents: dict[str, bytes], extra: list[tarfile.TarInfo] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in extra or []:
            archive.addfile(member, io.BytesIO(b"x" * member.size) if member.isfile() else None)
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("family", ["boosted_trees", "random_forest", "linear"])
def test_what_was_written_is_read_and_gives_the_same_probabilities(tmp_path: Path, family: Family) -> None:
    before = bundle(family)
    after = read_bundle(written(tmp_path, before))
    assert after.model.family == family
    assert (after.schema, after.calibration, after.about) == (before.schema, before.calibration, before.about)
    assert after.version == "0123abcd"
    assert (after.margins(rows(seed=1)) == before.margins(rows(seed=1))).all()
    assert (after.probabilities(rows(seed=1)) == before.probabilities(rows(seed=1))).all()


def test_the_columns_that_scoring_needs_are_read_without_the_model(tmp_path: Path) -> None:
    assert read_required_columns(written(tmp_path)) == {"minutes": "number", "plan": "category"}
    found = {**members(written(tmp_path)), "features.json": b'{"required": {"plan": 1}}'}
    with pytest.raises(BundleError, match=r"contents that do not fit"):
        read_required_columns(packed(tmp_path / "odd.tar.gz", found))


def test_ingest_imports_no_model() -> None:
    script = "import sys, churn_model.steps.ingest; print([m for m in ('xgboost', 'sklearn') if m in sys.modules])"
    assert _python(script) == "[]"


def test_the_code_in_a_bundle_can_be_imported_alone(tmp_path: Path) -> None:
    path = written(tmp_path, package=Path(churn_model.__file__).parent)
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path / "opened", filter="data")
    script = "import churn_model.models.bundle as b, churn_model.steps.score; print(b.__file__)"
    code = tmp_path / "opened" / "code"
    assert _python(script, code) == str(code / "churn_model" / "models" / "bundle.py")


def _python(script: str, path: Path | None = None) -> str:
    """What a new process prints, with that folder alone on its path."""
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    command = [sys.executable, *(["-P"] if path else []), "-c", script]
    ended = subprocess.run(  # our own words
        command, env=environment, cwd=path, check=True, capture_output=True, text=True
    )
    return ended.stdout.strip()


def test_the_same_bundle_and_code_are_the_same_bytes(tmp_path: Path) -> None:
    code = tmp_path / "churn"
    (code / "inner" / "__pycache__").mkdir(parents=True)
    (code / "inner" / "b.py").write_text("b = 1\n")
    (code / "inner" / "__pycache__" / "b.py").write_text("junk")
    (code / "a.py").write_text("a = 1\n")
    (code / "data.bin").write_bytes(b"\0")
    (code / "link.py").symlink_to(code / "a.py")
    first = written(tmp_path, package=code).read_bytes()
    assert first[4:8] == b"\0\0\0\0", "gzip would note the time there"
    (code / "a.py").touch()
    path = written(tmp_path, package=code)
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(first).digest()
    assert sorted(members(path)) == [
        "about.json",
        "calibration.json",
        "canary.json",
        "code/churn/a.py",
        "code/churn/inner/b.py",
        "features.json",
        "model.json",
    ]
    with tarfile.open(path) as archive:
        assert {(member.mtime, member.uid, member.gid, member.uname) for member in archive} == {(0, 0, 0, "")}
    read_bundle(path)


def test_members_are_plain_json_and_hold_no_clock_and_no_path(tmp_path: Path) -> None:
    found = members(written(tmp_path))
    assert json.loads(found["calibration.json"]) == {"kind": "beta", "a": 1.1, "b": 0.9, "c": -0.05}
    assert json.loads(found["features.json"])["required"] == {"minutes": "number", "plan": "category"}
    assert len(json.loads(found["canary.json"])["margins"]) == 32
    assert json.loads(found["about.json"])["metrics"] == {"auc": 0.8}
    assert str(tmp_path).encode() not in b"".join(found.values())


def test_a_table_smaller_than_the_canaries_is_enough(tmp_path: Path) -> None:
    small = bundle()
    few = replace(
        small.canary,
        rows=small.canary.rows.slice(0, 3),
        margins=small.canary.margins[:3],
        probabilities=small.canary.probabilities[:3],
    )
    assert len(read_bundle(written(tmp_path, replace(small, canary=few))).canary.margins) == 3


def test_a_bundle_without_a_version_is_not_made() -> None:
    whole = bundle()
    with pytest.raises(BundleError, match="`about` to name the version"):
        make_bundle(whole.model, whole.schema, whole.calibration, about={}, rows=rows())


def test_canaries_that_come_out_otherwise_refuse_the_bundle_and_say_how_to_refit(tmp_path: Path) -> None:
    whole = bundle()
    off = replace(whole.canary, margins=whole.canary.margins + 1e-4)
    with pytest.raises(
        BundleError,
        match=r"margins of 32 canaries within 1e-06; found a difference of .*(?s:.*)Retrain the model: run `churn retrain`",
    ):
        read_bundle(written(tmp_path, replace(whole, canary=off)))
    check_canaries(replace(whole, canary=replace(whole.canary, margins=whole.canary.margins + AGREE / 2)))
    with pytest.raises(BundleError, match="probabilities of 32 canaries"):
        check_canaries(replace(whole, calibration=Calibration()))
    with pytest.raises(BundleError, match="found a difference of nan"):
        check_canaries(replace(whole, canary=replace(whole.canary, margins=np.full(32, np.nan))))


@pytest.mark.parametrize(
    "version",
    [[99, 0, 0], [int(part) + (place == 2) for place, part in enumerate(xgb.__version__.split("+")[0].split(".")[:3])]],
)
def test_a_model_of_a_newer_xgboost_is_refused(tmp_path: Path, version: list[int]) -> None:
    found = members(written(tmp_path))
    model = json.loads(found["model.json"])
    model["version"] = version
    path = packed(tmp_path / "newer.tar.gz", {**found, "model.json": json.dumps(model).encode()})
    with pytest.raises(
        BundleError,
        match=rf"a model written by XGBoost .* or older; found one written by {'.'.join(map(str, version))}",
    ):
        read_bundle(path)


def test_a_model_of_an_older_xgboost_is_read_if_the_canaries_agree(tmp_path: Path) -> None:
    found = members(written(tmp_path))
    model = json.loads(found["model.json"])
    model["version"] = [3, 1, 0]
    read_bundle(
        packed(tmp_path / "older.tar.gz", {**found, "model.json": json.dumps(model, separators=(",", ":")).encode()})
    )


def odd(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size, "/etc/passwd" if kind != tarfile.REGTYPE else ""
    return member


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (odd("model.json", tarfile.SYMTYPE), "plain files; found a link"),
        (odd("code/hard", tarfile.LNKTYPE), "plain files; found a link"),
        (odd("pipe", tarfile.FIFOTYPE), "plain files"),
        (odd("/etc/passwd"), "names inside the bundle; found one that leads out"),
        (odd("code/../../x"), "names inside the bundle"),
        (odd("calibration.json", size=LIMITS["calibration.json"] + 1), "calibration.json of at most 1 MB"),
    ],
)
def test_links_absolute_names_and_oversize_members_are_refused(
    tmp_path: Path, member: tarfile.TarInfo, message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        read_bundle(packed(tmp_path / "odd.tar.gz", members(written(tmp_path)), [member]))


def test_more_beside_the_model_than_code_ever_needs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("churn_model.models.bundle_file.MOST_CODE", 1000)
    with pytest.raises(BundleError, match="beside the model; found more"):
        read_bundle(
            packed(
                tmp_path / "much.tar.gz",
                members(written(tmp_path)),
                [odd("code/churn/a.py", size=600), odd("code/b.py", size=600)],
            )
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"canary.json": None}, "found no canary.json"),
        ({"calibration.json": b"{}"}, "contents that do not fit"),
        ({"about.json": None}, "a bundle with about.json"),
        ({"about.json": b"[]"}, "contents that do not fit"),
        ({"about.json": b'{"format":1}', "calibration.json": None}, "of schema 2; found one of schema 1(?s:.*)retrain"),
        ({"about.json": b'{"schema":3}'}, "of schema 2; found one of schema 3(?s:.*)Update this project"),
        ({"features.json": b"not json"}, "contents that do not fit"),
        ({"model.json": b"{}"}, "a model that names the XGBoost that wrote it"),
        ({"model.json": b'{"version":[3,0,0]}'}, "contents that do not fit"),
    ],
)
def test_missing_or_unfitting_members_are_refused(
    tmp_path: Path, change: dict[str, bytes | None], message: str
) -> None:
    found = {name: content for name, content in {**members(written(tmp_path)), **change}.items() if content is not None}
    with pytest.raises(BundleError, match=message):
        read_bundle(packed(tmp_path / "changed.tar.gz", found))


@pytest.mark.parametrize("content", [b"", b"not a tar", gzip.compress(b"not a tar" * 100, mtime=0)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"a tar.gz file|a bundle with about.json"):
        read_bundle(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BundleError, match=r"a tar.gz file"):
        read_bundle(path)
