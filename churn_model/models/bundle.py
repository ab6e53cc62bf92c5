"""A model with all that scoring needs, as one file that anybody can open and nobody has to trust.

Belongs here: what a bundle holds, writing and reading `model.tar.gz`, and the check that it computes what it did when it was made.
Does not belong here: scoring (`scoring`), where bundles are kept. No pickle: JSON, read by name with size limits; `code/` is never read.
"""

import dataclasses
import gzip
import io
import json
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np
import pyarrow as pa
import xgboost as xgb

from churn_model.arrays import FloatArray
from churn_model.column_types.number import NUMBER
from churn_model.column_types.registry import column_type, type_of
from churn_model.decisions.costs import outcome_costs
from churn_model.decisions.policy import bayes_cutoff
from churn_model.errors import BundleError, ChurnError, listed, problem
from churn_model.features.encoding import encode
from churn_model.features.schema import FeatureSchema, column_named
from churn_model.models.calibration import Calibration
from churn_model.models.families import Model
from churn_model.models.reasons import Explainer, make_explainer
from churn_model.spec.column_names import name_key
from churn_model.spec.dataset import Contact, Costs, Dataset, Family, Kind, ValueColumn

FORMAT = 1
CANARIES = 32
AGREE = 1e-6
MEGABYTE = 1 << 20
LIMITS = {
    "model.json": 512 * MEGABYTE,
    "features.json": 64 * MEGABYTE,
    "decision.json": MEGABYTE,
    "about.json": 64 * MEGABYTE,
    "canary.json": 64 * MEGABYTE,
}
MOST_CODE = 64 * MEGABYTE
SOURCES = frozenset({".py", ".txt", ".json", ".toml", ".yaml", ".yml", ".md", ".cfg"})
REFIT = "refit: run `churn retrain` on this dataset"


@dataclass(frozen=True, kw_only=True)
class Canary:
    """Some rows as they landed, with the margin and the probability that they had when the bundle was made."""

    rows: pa.Table
    margins: FloatArray
    probabilities: FloatArray


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A model, its schema, its calibration and the costs that make its cutoff. `about` is plain values for JSON, without a clock.

    `about["version"]` is the version that predictions name.
    """

    model: Model
    schema: FeatureSchema
    calibration: Calibration
    costs: Costs
    about: Mapping[str, Any]
    canary: Canary
    words: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """What the model was made from."""
        return str(self.about["version"])

    @property
    def required(self) -> dict[str, Kind]:
        """The landed columns that scoring needs, with their kinds: those of the schema and the worth."""
        needed = dict(self.schema.required)
        worth = self.costs.value_column
        if worth is not None and name_key(worth) not in {name_key(name) for name in needed}:
            needed[worth] = NUMBER.name
        return needed

    @property
    def cutoff(self) -> float | None:
        """The cutoff for everybody; None where it differs by customer."""
        return None if self.costs.value_column else float(bayes_cutoff(outcome_costs(self.costs)))

    @cached_property
    def explainer(self) -> Explainer:
        """What puts contributions into words."""
        return make_explainer(self.schema, self.model.family, words=self.words, groups=self.groups)

    def margins(self, rows: pa.Table) -> FloatArray:
        """Log odds before calibration, (n,)."""
        return self.model.margins(encode(rows, self.schema, self.model.family))


def make_bundle(
    model: Model,
    schema: FeatureSchema,
    calibration: Calibration,
    dataset: Dataset,
    *,
    about: Mapping[str, Any],
    rows: pa.Table,
) -> Bundle:
    """The bundle of a fitted model. The first 32 of `rows`, canonical and in hash order, become its canaries."""
    if not isinstance(about.get("version"), str):
        raise BundleError(
            problem(expected="about to name the version", found="none", todo='pass about={"version": ..., ...}')
        )
    canaries = _needed_columns(rows.slice(0, CANARIES), schema)
    margins = model.margins(encode(canaries, schema, model.family))
    p = calibration.apply(model.probabilities(encode(canaries, schema, model.family)))
    return Bundle(
        model=model,
        schema=schema,
        calibration=calibration,
        costs=dataset.costs,
        about=dict(about),
        canary=Canary(rows=canaries, margins=margins, probabilities=p),
        words=dict(dataset.words),
        groups=dict(dataset.groups),
    )


def _needed_columns(rows: pa.Table, schema: FeatureSchema) -> pa.Table:
    return pa.table(
        {name: column_named(rows, name).cast(column_type(kind).arrow_type) for name, kind in schema.required.items()}
    )


def write_bundle(bundle: Bundle, path: Path, *, code: Path | None = None) -> None:
    """`bundle` as `model.tar.gz`: the same bytes for the same bundle and code. `code`: a folder of source files, kept under `code/`."""
    members = {
        "model.json": bundle.model.to_json(),
        "features.json": _json(
            {"schema": bundle.schema.to_dict(), "words": dict(bundle.words), "groups": dict(bundle.groups)}
        ),
        "decision.json": _json(
            {
                "calibration": dataclasses.asdict(bundle.calibration),
                "costs": dataclasses.asdict(bundle.costs),
                "cutoff": _finite(bundle.cutoff),
            }
        ),
        "about.json": _json({**bundle.about, "format": FORMAT, "family": bundle.model.family}),
        "canary.json": _json(_canary_to_dict(bundle.canary)),
    } | _sources(code)
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(members):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(members[name]), 0o644, 0
            archive.addfile(member, io.BytesIO(members[name]))


def _json(values: Any) -> bytes:
    return json.dumps(values, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _finite(number: float | None) -> float | None:
    return number if number is not None and np.isfinite(number) else None


def _sources(folder: Path | None) -> dict[str, bytes]:
    """Source files below a folder, by their name in the bundle."""
    if folder is None:
        return {}
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.suffix in SOURCES
    ]
    return {
        f"code/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in files
        if "__pycache__" not in path.parts
    }


def _canary_to_dict(canary: Canary) -> dict[str, Any]:
    columns = {name: type_of(canary.rows[name].type).to_json(canary.rows[name]) for name in canary.rows.column_names}
    kinds: dict[str, Kind] = {name: type_of(canary.rows[name].type).name for name in canary.rows.column_names}
    return {
        "kinds": kinds,
        "columns": columns,
        "margins": canary.margins.tolist(),
        "probabilities": canary.probabilities.tolist(),
    }


def _canary_from_dict(values: Mapping[str, Any]) -> Canary:
    columns = {name: column_type(kind).from_json(values["columns"][name]) for name, kind in values["kinds"].items()}
    return Canary(
        rows=pa.table(columns),
        margins=np.array(values["margins"], dtype=np.float64),
        probabilities=np.array(values["probabilities"], dtype=np.float64),
    )


def read_bundle(path: Path, *, threads: int = 1) -> Bundle:
    """The bundle in a file.

    Raises BundleError where it is no bundle, was written by a newer xgboost, or computes something else than when it was made.
    """
    members = _members(path)
    _refuse_newer(members["model.json"])
    try:
        bundle = _built(members, threads)
    except (ChurnError, KeyError, TypeError, ValueError) as error:
        found = f"contents that do not fit ({type(error).__name__}: {str(error)[:200]})"
        raise BundleError(problem(expected="a bundle of this format", found=found, todo=REFIT)) from error
    check_canaries(bundle)
    return bundle


def _members(path: Path) -> dict[str, bytes]:
    """The members by name. Nothing is unpacked to disk."""
    found: dict[str, bytes] = {}
    code = 0
    try:
        with tarfile.open(path, mode="r|gz") as archive:
            for member in archive:
                _refuse_unsafe(member)
                if member.name in LIMITS and member.name not in found:
                    stream = archive.extractfile(member)
                    found[member.name] = stream.read(LIMITS[member.name]) if stream else b""
                else:
                    code += member.size
                    _refuse(code > MOST_CODE, f"at most {MOST_CODE // MEGABYTE} MB beside the model", "more")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BundleError(
            problem(expected="a tar.gz file", found=f"something else ({type(error).__name__})", todo=REFIT)
        ) from error
    absent = sorted(set(LIMITS) - set(found))
    _refuse(bool(absent), "model, features, decision, about and canary", f"no {', '.join(absent)}")
    return found


def _refuse(wrong: bool, expected: str, found: str) -> None:
    if wrong:
        raise BundleError(problem(expected=expected, found=found, todo=REFIT))


def _refuse_unsafe(member: tarfile.TarInfo) -> None:
    name = PurePosixPath(member.name)
    _refuse(name.is_absolute() or ".." in name.parts, "names inside the bundle", "an absolute name or one with ..")
    _refuse(not (member.isfile() or member.isdir()), "plain files", "a link or a device")
    limit = LIMITS.get(member.name, MOST_CODE)
    _refuse(
        member.size > limit, f"{member.name[:40]} of at most {limit // MEGABYTE} MB", f"{member.size // MEGABYTE} MB"
    )


def _refuse_newer(model: bytes) -> None:
    """Other releases read a newer file without a word and compute something else."""
    written = re.findall(rb'"version"\s*:\s*\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]', model[-200:])
    _refuse(not written, "a model that names the xgboost that wrote it", "none")
    version = tuple(int(part) for part in written[-1])
    ours = tuple(int(part) for part in re.findall(r"\d+", xgb.__version__)[:3])
    if version > ours:
        raise BundleError(
            problem(
                expected=f"a model written by xgboost {'.'.join(map(str, ours))} or older",
                found=".".join(map(str, version)),
                todo=f"install that xgboost, or {REFIT}",
            )
        )


def _built(members: Mapping[str, bytes], threads: int) -> Bundle:
    features, decision, about, canary = (
        json.loads(members[name]) for name in ("features.json", "decision.json", "about.json", "canary.json")
    )
    if about["format"] != FORMAT:
        raise ValueError(f"format {about['format']}, expected {FORMAT}")
    family = cast(Family, about["family"])
    return Bundle(
        model=Model.from_json(family, members["model.json"], threads=threads),
        schema=FeatureSchema.from_dict(features["schema"]),
        calibration=Calibration(**decision["calibration"]),
        costs=_costs(decision["costs"]),
        about={name: value for name, value in about.items() if name not in ("format", "family")},
        canary=_canary_from_dict(canary),
        words=dict(features["words"]),
        groups={name: tuple(members) for name, members in features["groups"].items()},
    )


def _costs(values: Mapping[str, Any]) -> Costs:
    contact = values["contact"]
    if contact is not None:
        value = contact["value"]
        contact = Contact(**{**contact, "value": ValueColumn(**value) if isinstance(value, dict) else value})
    return Costs(**{**values, "contact": contact})


def check_canaries(bundle: Bundle) -> None:
    """Raises BundleError unless the bundle gives its canaries the margins and probabilities that they had, to 1e-6."""
    canary = bundle.canary
    margins = bundle.margins(canary.rows)
    p = bundle.calibration.apply(bundle.model.probabilities(encode(canary.rows, bundle.schema, bundle.model.family)))
    problems = []
    for name, now, then in (("margins", margins, canary.margins), ("probabilities", p, canary.probabilities)):
        off = (
            float((np.abs(now - then) / np.maximum(1.0, np.abs(then))).max())
            if len(then) == len(now) and len(then)
            else np.inf
        )
        if not off <= AGREE:
            problems.append(
                problem(
                    expected=f"{name} of {len(then)} canaries within {AGREE:g}", found=f"off by {off:.2g}", todo=REFIT
                )
            )
    if problems:
        raise BundleError(listed(problems))
