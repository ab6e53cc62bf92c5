"""Tuning jobs that really search: as many training jobs as asked for, so many at once, with values within the ranges.

The service's own way of choosing values is not published. Optuna stands in for it.
"""

import re
import secrets
import threading
import time
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import optuna

from resources.aws.jobs.kinds import TRAINING
from tests.aws.sagemaker.service import Job

MODULE_COMMAND = """
import importlib, os, traceback
module, _, name = os.environ["SAGEMAKER_TRAINING_MODULE"].partition(":")
code = 0
try:
    getattr(importlib.import_module(module), name)()
except Exception:
    traceback.print_exc()
    code = 1
finally:
    os._exit(code)
"""
"""What the image's own entrypoint does with a module that its environment names. It takes SystemExit for success, whatever its code."""
_COUNTED = {"Completed": "Completed", "Failed": "NonRetryableError", "Stopped": "Stopped"}
_OWN = ("DefinitionName", "TuningObjective", "StaticHyperParameters", "HyperParameterRanges")


@dataclass
class Tuner:
    """Runs one tuning job.

    run       runs a training job to its end
    read_log  returns what it printed
    jobs      where its training jobs are known by kind and name
    """

    job: Job
    run: Callable[[Job], None]
    read_log: Callable[[Job], str]
    jobs: MutableMapping[tuple[str, str], Job]
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def tune(self) -> None:
        """Run the trials, and end the tuning job."""
        config = self.job.request["HyperParameterTuningJobConfig"]
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        definitions = [_Definition(each, config["RandomSeed"]) for each in self.job.request["TrainingJobDefinitions"]]
        count = config["ResourceLimits"]["MaxNumberOfTrainingJobs"]
        self._count()
        with ThreadPoolExecutor(config["ResourceLimits"]["MaxParallelTrainingJobs"]) as pool:
            running = [pool.submit(self._try, definitions[n % len(definitions)], n + 1) for n in range(count)]
            while wait(running, 0.05).not_done:
                if self.job.stopped.is_set():
                    for trial in list(self.job.trials):
                        trial.stopped.set()
        for future in running:
            future.result()
        statuses = {trial.status for trial in self.job.trials}
        status, why = "Completed", {}
        if self.job.stopped.is_set():
            status = "Stopped"
        elif "Completed" not in statuses:
            status, why = "Failed", {"FailureReason": "All training jobs failed. Please take a look at them."}
        self.job.to(status, HyperParameterTuningEndTime=time.time(), **why)

    def _try(self, definition: "_Definition", number: int) -> None:
        if self.job.stopped.is_set():
            return
        with self._lock:
            question, values = definition.ask()
            name = f"{self.job.name}-{number:03d}-{secrets.token_hex(4)}"
            request = {key: value for key, value in definition.raw.items() if key not in _OWN}
            metric = definition.raw["TuningObjective"]["MetricName"]
            hyperparameters = {**definition.raw["StaticHyperParameters"], **values, "_tuning_objective_metric": metric}
            more = {"TrainingJobName": name, "HyperParameters": hyperparameters, "Tags": self.job.request["Tags"]}
            trial = Job(TRAINING, {**request, **more})
            trial.to("InProgress", CreationTime=time.time(), TrainingJobArn=trial.arn)
            trial.fields |= {
                "TrainingJobDefinitionName": definition.raw["DefinitionName"],
                "TunedHyperParameters": values,
                "TuningJobName": self.job.name,
            }
            self.job.trials.append(trial)
            self.jobs["TrainingJob", name] = trial
            self._count()
        self.run(trial)
        with self._lock:
            found = self._objective(definition, trial)
            definition.tell(question, found)
            self._count()

    def _objective(self, definition: "_Definition", trial: Job) -> float | None:
        """Return the last figure that the metric's expression finds in a trial's log."""
        (metric,) = definition.raw["AlgorithmSpecification"]["MetricDefinitions"]
        figures = re.findall(metric["Regex"], self.read_log(trial)) if trial.status == "Completed" else []
        if not figures:
            return None
        found = {"MetricName": metric["Name"], "Value": float(figures[-1])}
        trial.fields["FinalHyperParameterTuningJobObjectiveMetric"] = found
        best = self.job.fields.get("BestTrainingJob")
        sign = -1 if definition.is_maximized else 1
        if not best or sign * found["Value"] < sign * best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]:
            self.job.fields["BestTrainingJob"] = {"TrainingJobName": trial.name, **trial.fields}
        return float(figures[-1])

    def _count(self) -> None:
        counts = dict.fromkeys(("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"), 0)
        for trial in self.job.trials:
            counts[_COUNTED.get(trial.status, "InProgress")] += 1
        self.job.fields |= {"TrainingJobStatusCounters": counts, "ObjectiveStatusCounters": {}}


class _Definition:
    """One definition of training jobs, and what chooses their values."""

    def __init__(self, raw: dict[str, Any], seed: int) -> None:
        self.raw, self.is_maximized = raw, raw["TuningObjective"]["Type"] == "Maximize"
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._study = optuna.create_study(direction="maximize" if self.is_maximized else "minimize", sampler=sampler)
        ranges = raw["HyperParameterRanges"]
        self._distributions: dict[str, Any] = {
            **{
                each["Name"]: optuna.distributions.IntDistribution(
                    int(each["MinValue"]), int(each["MaxValue"]), log=each["ScalingType"] == "Logarithmic"
                )
                for each in ranges.get("IntegerParameterRanges", [])
            },
            **{
                each["Name"]: optuna.distributions.FloatDistribution(
                    float(each["MinValue"]), float(each["MaxValue"]), log=each["ScalingType"] == "Logarithmic"
                )
                for each in ranges.get("ContinuousParameterRanges", [])
            },
        }

    def ask(self) -> tuple[Any, dict[str, str]]:
        question = self._study.ask(self._distributions)
        return question, {name: str(value) for name, value in question.params.items()}

    def tell(self, question: Any, figure: float | None) -> None:
        self._study.tell(question, figure, None if figure is not None else optuna.trial.TrialState.FAIL)
