"""Read `datasets/<name>.yaml` into `churn_model.spec.dataset.Dataset`, or report all that is wrong with it, by line.

A message reads `telco.yaml:12: costs.false_positive: Expected ...; found .... What to do.` YAML itself is in `yaml_lines`, keys and types are in
`sections`, rules between sections in `rules`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from churn_model.errors import SpecError, problem
from churn_model.spec.dataset import Dataset
from resources.specs.rules import Finding, wrong
from resources.specs.sections import MOST_FINDINGS, check_sections
from resources.specs.yaml_lines import Document, SpecProblem, place_of, read_document

_NAME = re.compile(r"[a-z][a-z0-9]{1,11}")
_RESERVED = frozenset({"landing"})
_MOST_CHARACTERS = 1000  # of one message


@dataclass(frozen=True)
class Specs:
    """What a folder of specs holds: those that can be used by name, and what is wrong with each of the others."""

    datasets: Mapping[str, Dataset]
    bad: Mapping[str, SpecError]


def load_specs(folder: Path) -> Specs:
    """Return every spec in a folder, by name; a bad one stops no other. Raise SpecError if there is no such folder."""
    datasets: dict[str, Dataset] = {}
    bad: dict[str, SpecError] = {}
    for path in sorted(
        path for path in _inside(folder) if path.suffix in (".yaml", ".yml") and not path.name.startswith(".")
    ):
        try:
            datasets[path.stem] = load_spec(path)
        except SpecError as error:
            bad[path.stem if path.suffix == ".yaml" else path.name] = error
    return Specs(datasets, bad)


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError) as error:
        text = problem(
            expected=f"a folder of specs at {folder}",
            found="none",
            todo="make one with `churn new`, or set CHURN_DATASETS",
        )
        raise SpecError(text) from error
    except OSError as error:
        todo = "check its permissions, or set CHURN_DATASETS to another folder"
        raise SpecError(
            problem(expected=f"to read the folder of specs {folder}", found=error.strerror or str(error), todo=todo)
        ) from error


def load_spec(path: Path) -> Dataset:
    """Return the dataset that a file describes. Raise SpecError with every problem, one per line."""
    document = read_document(path)
    problems = list(document.problems)
    problems += [_problem(document, finding) for finding in _name_findings(path)]
    if isinstance(document.value, dict):
        dataset, found = check_sections(path.stem, document)
        problems += [_problem(document, finding) for finding in found]
        if not problems:
            return dataset
    elif not document.problems:
        found_text = (
            "a list" if isinstance(document.value, list) else "text" if document.value is not None else "nothing"
        )
        problems.append(
            _problem(
                document,
                wrong((), "`key: value` lines", found_text, "start with `label: {column: ..., positive: [...]}`"),
            )
        )
    ordered = sorted(dict.fromkeys(problems), key=lambda one: one.line)
    lines = [
        f"{path.name}:{one.line}: {_shorten(one.place) + ': ' if one.place else ''}{_shorten(one.text)}"
        for one in ordered[:MOST_FINDINGS]
    ]
    more = len(ordered) - len(lines)
    raise SpecError("\n".join([*lines, *([f"{path.name}: and more, at least {more:,}"] if more else [])]))


def _shorten(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def _problem(document: Document, finding: Finding) -> SpecProblem:
    return SpecProblem(document.line(finding.steps), place_of(finding.steps), finding.text)


def _name_findings(path: Path) -> Iterator[Finding]:
    if path.suffix != ".yaml":
        yield wrong((), "a file that ends with .yaml", path.name, f"rename it to {path.stem}.yaml")
    text = name_problem(path.stem)
    if text:
        yield Finding((), text)


def name_problem(name: str) -> str | None:
    """Return what is wrong with a dataset's name, or None."""
    if _NAME.fullmatch(name) and name not in _RESERVED:
        return None
    near = re.sub(r"^[0-9]+", "", re.sub(r"[^a-z0-9]", "", name.lower()))[:12]
    better = near if _NAME.fullmatch(near) and near not in _RESERVED else "customers"
    expected = "a dataset named by 2 to 12 lower-case letters and digits, a letter first, and not `landing`"
    return problem(expected=expected, found=repr(name[:40]), todo=f"name it {better}, and its file {better}.yaml")
