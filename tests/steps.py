"""Steps run in this process, in folders as a runner would prepare them, and a program that stands in for all of them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from churn_model.reports.step_report import Report
from churn_model.spec.dataset import Dataset
from churn_model.steps.contract import Layout


def run_in_folder(
    step: Callable[[Layout], Report],
    root: Path,
    dataset: Dataset,
    *,
    columns: Mapping[str, str] | None = None,
    **inputs: Path,
) -> Path:
    """Run a step below `root` and return the folder of its result, with its report. `inputs`: folders by name; `columns`: of a batch."""
    config = root / "processing" / "input" / "config"
    config.mkdir(parents=True)
    (config / "dataset.json").write_text(dataset.to_json(), "utf-8")
    (config / "request.json").write_text(json.dumps({"version": "v1", "threads": 2, "columns": columns}), "utf-8")
    for name, folder in inputs.items():
        (config.parent / name).symlink_to(folder)
    layout = Layout(root)
    layout.result.mkdir(parents=True)
    layout.write_report(root.name, step(layout))
    return layout.result


def write_stand_in(code: Path, program: str) -> Path:
    """Write a package `churn_model` below `code` whose steps are all `program`, which finds the step's name in `sys.argv[1]`. Return `code`."""
    steps = code / "churn_model" / "steps"
    steps.mkdir(parents=True)
    (steps / "__main__.py").write_text(program)
    for package in (steps.parent, steps):  # else the project's own, where the interpreter knows it, comes before ours
        (package / "__init__.py").touch()
    return code
