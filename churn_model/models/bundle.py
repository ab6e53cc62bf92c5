"""A model with all that a probability is computed from, as one file that anybody can open and nobody has to trust.

A bundle is JSON, no pickle. Reading one checks that it computes today what it computed when it was made.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import xgboost as xgb

from churn_model.arrays import FloatArray
from churn_model.column_types.registry import column_type, type_of
from churn_model.errors import BundleError, ChurnError, listed, problem
from churn_model.features.encoding import encode
from churn_model.features.schema import FeatureSchema, Rows, column_named
from churn_model.models.bundle_file import REFIT, SCHEMA, encode_json, read_members, unreadable, write_members
from churn_model.models.calibration import Calibration
from churn_model.models.families import Model
from churn_model.records import from_plain, to_plain
from churn_model.spec.column_names import AS_OF
from churn_model.spec.dataset import Kind
from churn_model.spec.sections.search import Family

CANARIES = 32
AGREE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Canary:
    """Some rows as they landed, with the margins and probabilities (n,) that they had when the bundle was made."""

    rows: pa.Table
    margins: FloatArray
    probabilities: FloatArray


@dataclass(frozen=True, kw_only=True)
class _CanaryRecord:
    """Canaries as JSON holds them: by column its type and its values."""

    kinds: Mapping[str, Kind]
    columns: Mapping[str, list[Any]]
    margins: FloatArray
    probabilities: FloatArray


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A model, the schema of its features, and its calibration.

    `about` holds plain values for JSON, without a clock; `about["version"]` is the version that predictions name. Costs and the words of
    reasons are not in a bundle: they are read from today's spec, so that changing them refits nothing.
    """

    model: Model
    schema: FeatureSchema
    calibration: Calibration
    about: Mapping[str, Any]
    canary: Canary

    @property
    def version(self) -> str:
        """The version of the model: what it was made from."""
        return str(self.about["version"])

    def margins(self, rows: Rows) -> FloatArray:
        """Return the log odds of canonical rows before calibration, (n,)."""
        return self.model.margins(encode(rows, self.schema, self.model.family))

    def probabilities(self, rows: Rows) -> FloatArray:
        """Return the calibrated probabilities of canonical rows, (n,). Raise InputError if they lack a column."""
        return self.calibration.apply(self.model.probabilities(encode(rows, self.schema, self.model.family)))


def make_bundle(
    model: Model, schema: FeatureSchema, calibration: Calibration, *, about: Mapping[str, Any], rows: pa.Table
) -> Bundle:
    """Return the bundle of a fitted model. The first 32 of `rows`, canonical and in hash order, become its canaries."""
    if not isinstance(about.get("version"), str):
        raise BundleError(
            problem(expected="`about` to name the version", found="none", todo='pass about={"version": ..., ...}')
        )
    canaries = _select_needed(rows.slice(0, CANARIES), schema)
    margins = model.margins(encode(canaries, schema, model.family))
    p = calibration.apply(model.probabilities(encode(canaries, schema, model.family)))
    canary = Canary(rows=canaries, margins=margins, probabilities=p)
    return Bundle(model=model, schema=schema, calibration=calibration, about=dict(about), canary=canary)


def _select_needed(rows: pa.Table, schema: FeatureSchema) -> pa.Table:
    needed = {
        name: column_named(rows, name).cast(column_type(kind).arrow_type) for name, kind in schema.required.items()
    }
    as_of = column_named(rows, AS_OF)
    return pa.table(needed if as_of is None else needed | {AS_OF: as_of})


def write_bundle(bundle: Bundle, path: Path, *, package: Path | None = None) -> None:
    """Write `bundle` as `model.tar.gz`: the same bytes for the same bundle and sources. `package`: see `bundle_file.write_members`."""
    members = {
        "about.json": {**bundle.about, "schema": SCHEMA, "family": bundle.model.family},
        "calibration.json": to_plain(bundle.calibration),
        "canary.json": to_plain(_record(bundle.canary)),
        "features.json": {"required": dict(bundle.schema.required), "schema": to_plain(bundle.schema)},
    }
    encoded = {name: encode_json(values) for name, values in members.items()}
    write_members({**encoded, "model.json": bundle.model.to_json()}, path, package=package)


def _record(canary: Canary) -> _CanaryRecord:
    types = {name: type_of(canary.rows[name].type) for name in canary.rows.column_names}
    return _CanaryRecord(
        kinds={name: one.name for name, one in types.items()},
        columns={name: one.to_json(canary.rows[name]) for name, one in types.items()},
        margins=canary.margins,
        probabilities=canary.probabilities,
    )


def _restore(record: _CanaryRecord) -> Canary:
    columns = {name: column_type(kind).from_json(record.columns[name]) for name, kind in record.kinds.items()}
    return Canary(rows=pa.table(columns), margins=record.margins, probabilities=record.probabilities)


def read_bundle(path: Path, *, threads: int = 1) -> Bundle:
    """Return the bundle in a file.

    Raise BundleError if it is no bundle, follows another schema, was written by a newer XGBoost, or computes something else than when it
    was made.
    """
    members = read_members(path)
    _require_readable_by_xgboost(members["model.json"])
    try:
        bundle = _decode(members, threads)
    except (ChurnError, KeyError, TypeError, ValueError) as error:
        raise unreadable(error) from error
    check_canaries(bundle)
    return bundle


def _require_readable_by_xgboost(model: bytes) -> None:
    """Raise if the booster is newer than the library: XGBoost reads it without a warning and may compute something else."""
    written = re.findall(rb'"version"\s*:\s*\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]', model[-200:])
    if not written:
        raise BundleError(problem(expected="a model that names the XGBoost that wrote it", found="none", todo=REFIT))
    version = tuple(int(part) for part in written[-1])
    ours = tuple(int(part) for part in re.findall(r"\d+", xgb.__version__)[:3])
    if version > ours:
        raise BundleError(
            problem(
                expected=f"a model written by XGBoost {'.'.join(map(str, ours))} or older",
                found=f"one written by {'.'.join(map(str, version))}",
                todo=f"install that XGBoost, or {REFIT}",
            )
        )


def _decode(members: Mapping[str, bytes], threads: int) -> Bundle:
    about, calibration, canary, features = (
        json.loads(members[name]) for name in ("about.json", "calibration.json", "canary.json", "features.json")
    )
    family = cast(Family, about["family"])
    return Bundle(
        model=Model.from_json(family, members["model.json"], threads=threads),
        schema=from_plain(FeatureSchema, features["schema"]),
        # A coefficient that is missing must not read as its default.
        calibration=from_plain(Calibration, {name: calibration[name] for name in ("kind", "a", "b", "c")}),
        about={name: value for name, value in about.items() if name not in ("schema", "family")},
        canary=_restore(from_plain(_CanaryRecord, canary)),
    )


def check_canaries(bundle: Bundle) -> None:
    """Raise BundleError unless the bundle gives its canaries the margins and probabilities that they had, to 1e-6."""
    canary = bundle.canary
    problems = []
    for name, now, then in (
        ("margins", bundle.margins(canary.rows), canary.margins),
        ("probabilities", bundle.probabilities(canary.rows), canary.probabilities),
    ):
        same_length = len(then) == len(now) and len(then) > 0
        off = float((np.abs(now - then) / np.maximum(1.0, np.abs(then))).max()) if same_length else np.inf
        if not off <= AGREE:
            expected = f"{name} of {len(then)} canaries within {AGREE:g}"
            problems.append(problem(expected=expected, found=f"a difference of {off:.2g}", todo=REFIT))
    if problems:
        raise BundleError(listed(problems))
