"""A version says what a thing was made from: the step, its code, the lock, the sections of the spec it reads, and the versions upstream.

It is known before anything runs, so that work already published is found again instead of done again.
"""

import ast
import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from churn_model.spec.dataset import Contact, Costs, Dataset, Label, RetentionList, Split, ValueColumn
from resources.settings import PROJECT


def _names_of_label(label: Label) -> Label:
    return Label(column=label.column, positive=label.positive, negative=label.negative)


def _seed_and_column(split: Split) -> Split:
    return Split(seed=split.seed, by="column", column=split.column) if split.column else Split(seed=split.seed)


def _worth_column(costs: Costs) -> Costs:
    return (
        Costs(contact=Contact(cost=1, value=ValueColumn(column=costs.value_column))) if costs.value_column else Costs()
    )


def _opt_out(targets: RetentionList) -> RetentionList:
    return RetentionList(opt_out=targets.opt_out)


def _whole(section: Any) -> Any:
    return section


# What each step reads of a spec, and how much of a section. A step is given no more than this: `restrict_dataset` leaves everything else at its
# default, so what is missing here cannot influence a result without changing its version. So costs touch no split, and a schedule nothing.
_Reduced = dict[str, Callable[[Any], Any]]
_ALWAYS: _Reduced = {"name": _whole, "id": _whole, "as_of": _whole, "list": _opt_out}
_FEATURES: _Reduced = {**_ALWAYS, "label": _names_of_label, "ignore": _whole, "known": _whole, "derived": _whole}
_INGEST: _Reduced = {
    **_ALWAYS,
    "label": _names_of_label,
    "types": _whole,
    "split": _seed_and_column,
    "costs": _worth_column,
}
_MODEL: _Reduced = {**_FEATURES, "types": _whole, "groups": _whole, "words": _whole, "split": _whole, "costs": _whole}
READS: dict[str, _Reduced] = {
    "ingest": _INGEST,
    "explore": {**_ALWAYS, "label": _whole, "ignore": _whole},
    "preprocess": {**_FEATURES, "horizon": _whole, "split": _whole},
    "train": {**_MODEL, "search": _whole},
    "evaluate": {**_MODEL, "label": _whole, "gate": _whole},
    "compare": {**_ALWAYS, "label": _names_of_label, "split": _whole, "costs": _whole},
    "score": {**_ALWAYS, "label": _names_of_label, "costs": _whole},
    "list": {**_ALWAYS, "label": _whole, "costs": _whole, "list": _whole},
}


def restrict_dataset(dataset: Dataset, step: str) -> Dataset:
    """The dataset as `step` may see it: what it reads, and defaults."""
    seen = {"label": _names_of_label(dataset.label)} | {
        name: part(getattr(dataset, name)) for name, part in READS[step].items()
    }
    return Dataset(**seen)


_OURS = frozenset({"churn_model", "churn_assets"})
# What is made without a step's process: the module that does the work.
_MADE_HERE = {
    "list": "churn_model/decisions/retention_list.py",
    "explore": "churn_assets/reporting/exploration_page.py",
}


def version_of(step: str, dataset: Dataset, upstream: Sequence[str]) -> str:
    """Sixteen hex digits that differ wherever the step's result could differ. `upstream` is ordered."""
    parts = (step, code_digest(step), lock_digest(), restrict_dataset(dataset, step).to_json(), *upstream)
    return digest_of("\x00".join(parts).encode())


def digest_of(data: bytes) -> str:
    """The digest that versions are made of."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


@functools.cache
def lock_digest(project: Path = PROJECT) -> str:
    """The digest of the pinned libraries."""
    return digest_of((project / "requirements.lock").read_bytes())


@functools.cache
def code_digest(step: str, project: Path = PROJECT) -> str:
    """The digest of the step's module and of every module of ours that it imports, directly or not."""
    start = project / _MADE_HERE.get(step, f"churn_model/steps/{step}.py")
    found: dict[str, bytes] = {}
    waiting = [start]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(project).as_posix()
        if name in found:
            continue
        found[name] = path.read_bytes()
        waiting.extend(_imports(found[name], project))
    return digest_of(b"\x00".join(name.encode() + b"\x00" + found[name] for name in sorted(found)))


@functools.cache  # steps share most modules, and parsing them is what takes the time
def _imports(source: bytes, project: Path) -> tuple[Path, ...]:
    """The files of ours that a module's source imports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    ours = [project / (name.replace(".", "/") + ".py") for name in sorted(names) if name.split(".")[0] in _OURS]
    return tuple(path for path in ours if path.exists())
