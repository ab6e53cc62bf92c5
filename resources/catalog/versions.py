"""A version identifies what a result is made from: its maker's code, templates and libraries, the sections of the spec that it reads, and the
versions upstream.

It is known before anything runs, so that a published result is found again instead of made again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn
from churn_model.spec.sections.endpoint import Endpoint, Idle
from churn_model.spec.sections.gate import Gate
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList
from churn_model.spec.sections.source import Source
from churn_model.spec.sections.split import Split
from resources.catalog.digests import digest_of_parts
from resources.catalog.source_code import SourceCode, digest_files, trace_source
from resources.settings import PROJECT


def _names_of_label(label: Label) -> Label:
    return Label(column=label.column, positive=label.positive, negative=label.negative)


def _seed_and_column(split: Split) -> Split:
    return Split(seed=split.seed, by="column", column=split.column) if split.column else Split(seed=split.seed)


def _worth_column(costs: Costs) -> Costs:
    return (
        Costs(contact=Contact(cost=1, value=ValueColumn(column=costs.value_column))) if costs.value_column else Costs()
    )


def _sheet(source: Source) -> Source:
    return Source(sheet=source.sheet)


def _id_column(id_: str | None) -> str | None:
    """`id: none` reads the same rows as no id: only the gate tells them apart."""
    return Dataset(name="", id=id_, label=Label(column="", positive=("",))).id_column


def _gate_rule(gate: Gate) -> Gate:
    """Return the rule that the evaluation answers. Whether a person has to approve what it says is no part of it."""
    return replace(gate, promotion="better") if gate.promotion == "manual" else gate


def _who_approves(gate: Gate) -> Gate:
    return Gate(promotion="manual") if gate.promotion == "manual" else Gate()


def _opt_out(targets: RetentionList) -> RetentionList:
    return RetentionList(opt_out=targets.opt_out)


def _excel(targets: RetentionList) -> RetentionList:
    return RetentionList(opt_out=targets.opt_out, excel=targets.excel)


def _who_is_listed(targets: RetentionList) -> RetentionList:
    """Return all that decides who is on a list. How it is laid out is left out: another column must not make another list, which the cooldown
    would leave mostly empty."""
    return replace(targets, columns=(), excel=False)


def _layout(targets: RetentionList) -> RetentionList:
    return RetentionList(opt_out=targets.opt_out, columns=targets.columns, excel=targets.excel)


def _machines(endpoint: Endpoint | None) -> Endpoint | None:
    """Return what another configuration is made for. How many machines there are, and what happens if nobody asks, is changed in place."""
    return endpoint and replace(endpoint, idle=Idle(), count=None, scaling=None)


def _whole(section: Any) -> Any:
    return section


# What each maker reads of a spec, and how much of a section. A maker is given no more than this: `restrict_dataset` leaves everything else at its
# default, so that what is missing here cannot influence a result. So costs influence no split, and a schedule influences nothing.
_Reduced = dict[str, Callable[[Any], Any]]
_ALWAYS: _Reduced = {"name": _whole, "id": _id_column, "as_of": _whole, "list": _opt_out}
_FEATURES: _Reduced = {**_ALWAYS, "label": _names_of_label, "ignore": _whole, "known": _whole, "derived": _whole}
_INGEST: _Reduced = {
    **_ALWAYS,
    "label": _names_of_label,
    "types": _whole,
    "split": _seed_and_column,
    "source": _sheet,
    "format": _whole,
    "costs": _worth_column,
}
_MODEL: _Reduced = {**_FEATURES, "types": _whole, "split": _whole}
_REASONS: _Reduced = {"groups": _whole, "words": _whole}
READS: dict[str, _Reduced] = {
    "ingest": _INGEST,
    "explore": {**_ALWAYS, "label": _whole, "ignore": _whole},
    "preprocess": {**_FEATURES, "horizon": _whole, "split": _whole},
    "train": {**_MODEL, "search": _whole},
    "evaluate": {**_MODEL, **_REASONS, "id": _whole, "label": _whole, "costs": _whole, "gate": _gate_rule},
    "evaluation_page": {
        **_ALWAYS,
        "label": _whole,
        "known": _whole,
        "costs": _whole,
        "search": _whole,
        "gate": _who_approves,
    },
    "compare": {**_ALWAYS, "label": _names_of_label, "split": _whole, "costs": _whole},
    "shadow": {**_ALWAYS, "label": _names_of_label, "list": _excel, "costs": _whole},
    "score": {**_ALWAYS, **_REASONS, "label": _names_of_label, "costs": _whole},
    "endpoint": {
        **_ALWAYS,
        **_REASONS,
        "label": _names_of_label,
        "types": _whole,
        "costs": _whole,
        "endpoint": _machines,
    },
    "retention_list": {**_ALWAYS, "costs": _whole, "list": _who_is_listed},
    "comparison_page": {**_ALWAYS, "label": _whole},
    "batch_page": {**_ALWAYS, "label": _whole, "costs": _whole, "list": _whole},
    "list_layout": {**_ALWAYS, "types": _whole, "source": _sheet, "format": _whole, "list": _layout},
}


def restrict_dataset(dataset: Dataset, maker: str) -> Dataset:
    """Return the dataset as the maker of this name may see it: what it reads, and defaults."""
    reads = READS[maker]
    if maker == "train" and dataset.search.metric == "cost":
        reads = {**reads, "costs": _whole}  # the only way that costs reach a model
    seen = {"label": _names_of_label(dataset.label)} | {
        name: part(getattr(dataset, name)) for name, part in reads.items()
    }
    return Dataset(**seen)


@dataclass(frozen=True)
class Maker:
    """What makes results of one kind: its code roots and the files whose every byte counts.

    name       of a step, or of what is made in the process; a key of READS
    modules    code roots: the modules whose imports are followed
    templates  paths below the project
    """

    name: str
    modules: tuple[str, ...]
    templates: tuple[str, ...] = ()

    def source(self, project: Path = PROJECT) -> SourceCode:
        """Return the code that is reached from the code roots."""
        return trace_source(self.modules, project)


def step_maker(step: str) -> Maker:
    """Return the maker that is a step."""
    return Maker(step, (f"churn_model.steps.{step}",))


def version_of(
    maker: Maker, dataset: Dataset, upstream: Mapping[str, str], *, libraries: str, project: Path = PROJECT
) -> str:
    """Return sixteen hex digits that differ if the result could differ.

    upstream   what the result is made from, by name
    libraries  the releases that it is computed with: `Runner.libraries` for a step, `locked_releases` in this process
    """
    return digest_of_parts(
        (
            maker.name,
            maker.source(project).digest,
            digest_files(maker.templates, project),
            libraries,
            restrict_dataset(dataset, maker.name).to_json(),
            *(f"{name}={value}" for name, value in sorted(upstream.items())),
        )
    )
