"""A model as one file."""

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost as xgb

from churn_model.errors import BundleError
from churn_model.features.encoding import encode
from churn_model.features.schema import fit_schema
from churn_model.models.bundle import AGREE, LIMITS, Bundle, check_canaries, make_bundle, read_bundle, write_bundle
from churn_model.models.calibration import Calibration
from churn_model.models.families import Hyperparameters, fit_model
from churn_model.spec.dataset import Contact, Costs, Dataset, Family, Label, ValueColumn

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
def bundle(family: Family = "boosted_trees", *, by_worth: bool = False) -> Bundle:
    costs = Costs(contact=Contact(cost=100, value=ValueColumn(column="Worth"))) if by_worth else Costs()
    dataset = Dataset(
        name="sample",
        label=Label(column="Churn", positive=("Yes",)),
        id="id",
        ignore=("worth",),
        derived={"hours": "`minutes` / 60"},
        groups={"use": ("minutes", "hours")},
        words={"plan": "the {value} plan"},
        costs=costs,
    )
    table = rows()
    schema = fit_schema(table, dataset)
    hyper = Hyperparameters(family=family, rounds=1 if family == "random_forest" else 20, values=VALUES[family])
    model = fit_model(encode(table, schema, family), np.asarray(table["_label"]), hyper, seed=0, threads=1)
    calibration = Calibration(kind="beta", a=1.1, b=0.9, c=-0.05)
    return make_bundle(
        model, schema, calibration, dataset, about={"version": "0123abcd", "metrics": {"auc": 0.8}}, rows=table
    )


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
    assert (after.schema, after.calibration, after.costs) == (before.schema, before.calibration, before.costs)
    assert (after.about, after.words, after.groups) == (before.about, before.words, before.groups)
    assert after.version == "0123abcd"
    assert (after.margins(rows(seed=1)) == before.margins(rows(seed=1))).all()
    assert after.cutoff == pytest.approx(0.2)


def test_costs_by_worth_travel_too_and_name_the_column_that_scoring_needs(tmp_path: Path) -> None:
    after = read_bundle(written(tmp_path, bundle(by_worth=True)))
    assert after.costs == bundle(by_worth=True).costs
    assert after.cutoff is None
    assert after.required == {"minutes": "number", "plan": "category", "Worth": "number"}
    assert bundle().required == {"minutes": "number", "plan": "category"}


def test_a_cutoff_that_never_pays_is_kept_as_such(tmp_path: Path) -> None:
    never = replace(bundle(), costs=replace(Costs(), contact=Contact(cost=100, value=500.0, success=0.20001)))
    assert read_bundle(written(tmp_path, never)).cutoff == pytest.approx(1.0, abs=1e-3)


def test_the_same_bundle_and_code_are_the_same_bytes(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "inner" / "__pycache__").mkdir(parents=True)
    (code / "inner" / "b.py").write_text("b = 1\n")
    (code / "inner" / "__pycache__" / "b.py").write_text("junk")
    (code / "a.py").write_text("a = 1\n")
    (code / "data.bin").write_bytes(b"\0")
    (code / "link.py").symlink_to(code / "a.py")
    first = written(tmp_path, code=code).read_bytes()
    assert first[4:8] == b"\0\0\0\0", "gzip would note the time there"
    (code / "a.py").touch()
    path = written(tmp_path, code=code)
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(first).digest()
    assert sorted(members(path)) == [
        "about.json",
        "canary.json",
        "code/a.py",
        "code/inner/b.py",
        "decision.json",
        "features.json",
        "model.json",
    ]
    with tarfile.open(path) as archive:
        assert {(member.mtime, member.uid, member.gid, member.uname) for member in archive} == {(0, 0, 0, "")}
    read_bundle(path)


def test_members_are_plain_json_and_hold_no_clock_and_no_path(tmp_path: Path) -> None:
    found = members(written(tmp_path))
    assert json.loads(found["decision.json"])["cutoff"] == pytest.approx(0.2)
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
    read_bundle(written(tmp_path, replace(small, canary=few)))


def test_a_bundle_without_a_version_is_not_made() -> None:
    whole = bundle()
    with pytest.raises(BundleError, match="expected about to name the version; found none"):
        make_bundle(
            whole.model,
            whole.schema,
            whole.calibration,
            Dataset(name="x", label=Label(column="y", positive=("1",))),
            about={},
            rows=rows(),
        )


def test_canaries_that_come_out_otherwise_refuse_the_bundle_and_say_how_to_refit(tmp_path: Path) -> None:
    whole = bundle()
    off = replace(whole.canary, margins=whole.canary.margins + 1e-4)
    with pytest.raises(
        BundleError, match=r"expected margins of 32 canaries within 1e-06; found off by .*refit: run `churn retrain`"
    ):
        read_bundle(written(tmp_path, replace(whole, canary=off)))
    check_canaries(replace(whole, canary=replace(whole.canary, margins=whole.canary.margins + AGREE / 2)))
    with pytest.raises(BundleError, match="expected probabilities of 32 canaries"):
        check_canaries(replace(whole, calibration=Calibration()))
    with pytest.raises(BundleError, match="found off by nan"):
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
        BundleError, match=rf"expected a model written by xgboost .* or older; found {'.'.join(map(str, version))}"
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
        (odd("model.json", tarfile.SYMTYPE), "expected plain files; found a link"),
        (odd("code/hard", tarfile.LNKTYPE), "expected plain files; found a link"),
        (odd("pipe", tarfile.FIFOTYPE), "expected plain files"),
        (odd("/etc/passwd"), "expected names inside the bundle; found an absolute name"),
        (odd("code/../../x"), "expected names inside the bundle"),
        (odd("decision.json", size=LIMITS["decision.json"] + 1), "expected decision.json of at most 1 MB"),
    ],
)
def test_links_absolute_names_and_oversize_members_are_refused(
    tmp_path: Path, member: tarfile.TarInfo, message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        read_bundle(packed(tmp_path / "odd.tar.gz", members(written(tmp_path)), [member]))


def test_more_beside_the_model_than_code_ever_needs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("churn_model.models.bundle.MOST_CODE", 1000)
    with pytest.raises(BundleError, match="beside the model; found more"):
        read_bundle(
            packed(
                tmp_path / "much.tar.gz",
                members(written(tmp_path)),
                [odd("code/a.py", size=600), odd("code/b.py", size=600)],
            )
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"canary.json": None}, "expected model, features, decision, about and canary; found no canary.json"),
        ({"decision.json": b"{}"}, "contents that do not fit"),
        ({"about.json": b'{"format":2,"family":"boosted_trees","version":"x"}'}, "format 2, expected 1"),
        ({"features.json": b"not json"}, "contents that do not fit"),
        ({"model.json": b"{}"}, "expected a model that names the xgboost that wrote it"),
        ({"model.json": b'{"version":[3,0,0]}'}, "contents that do not fit"),
    ],
)
def test_missing_or_unfitting_members_are_refused(
    tmp_path: Path, change: dict[str, bytes | None], message: str
) -> None:
    found = {name: content for name, content in {**members(written(tmp_path)), **change}.items() if content is not None}
    with pytest.raises(BundleError, match=message):
        read_bundle(packed(tmp_path / "changed.tar.gz", found))


@pytest.mark.parametrize("content", [b"", b"not a tar", gzip.compress(b"not a tar" * 100)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"expected a tar.gz file|expected model, features"):
        read_bundle(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BundleError, match=r"expected a tar.gz file"):
        read_bundle(path)
