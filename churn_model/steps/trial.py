"""Step `trial`: judge one set of hyperparameters, as a trial of the search does. A tuner runs it as many jobs.

Input: `splits` (published `preprocessed_splits`), and the hyperparameters in `input/config/hyperparameters.json`, where SageMaker puts them.
Result: one line of the log, from which the tuner reads the metric that trials are ranked by.
"""

import json
from typing import get_args

from churn_model.errors import InputError, problem
from churn_model.reports.step_report import Report
from churn_model.reports.trial import TrialReport
from churn_model.spec.sections.search import Family
from churn_model.steps.contract import Layout
from churn_model.steps.training_rows import read_training_rows
from churn_model.training.search_space import Proposal
from churn_model.training.train import run_trial
from churn_model.training.tuning import FAMILY, format_objective, read_values


def step(layout: Layout) -> Report:
    """Fit on parts of the rows, judge on the others."""
    rows = read_training_rows(layout)
    trial = run_trial(
        rows.train, rows.validation, rows.dataset, _read_proposal(layout), threads=int(layout.request["threads"])
    )
    print(format_objective(trial.metrics[rows.dataset.search.metric]), flush=True)  # noqa: T201
    hyper = trial.hyperparameters
    metrics = {f"held_out_{name}": value for name, value in trial.metrics.items()}
    return Report(
        content=TrialReport(family=hyper.family, rounds=hyper.rounds, values=hyper.values, metrics=metrics),
    )


def _read_proposal(layout: Layout) -> Proposal:
    texts = json.loads((layout.root / "input" / "config" / "hyperparameters.json").read_text("utf-8"))
    family = next((name for name in get_args(Family) if name == texts.get(FAMILY)), None)
    if family is None:
        raise InputError(
            problem(
                expected=f"a hyperparameter {FAMILY} that is one of {', '.join(get_args(Family))}",
                found=repr(texts.get(FAMILY)),
                todo="run the job again; this is a bug in the request of the tuning job",
            )
        )
    return Proposal(0, family, read_values(family, texts))
