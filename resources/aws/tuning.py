"""The search as a tuning job: its request, its trials, and why it failed.

A tuning job takes no entrypoint. The image imports `start.py` from the channel with the code, and calls `run_trial` in it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from churn_model.errors import problem
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.search import Family, Search
from resources.aws.job_requests import CODE, ROOT, JobPlan, training_request
from resources.aws.jobs.failures import Ending, JobFailed
from resources.aws.jobs.kinds import COMPLETED, FAILED, TRAINING, TUNING, Description
from resources.aws.session import aws_errors
from resources.errors import StepFailed
from resources.ports.runner import StepRequest

TRIAL = "trial"
"""The step that each job of a tuning job runs."""
_MODULE = "start:run_trial"
_SHARED = (
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "VpcConfig",
)


def is_tuned(request: StepRequest) -> bool:
    """Return whether a step's search is to run as a tuning job."""
    return request.step == "train" and request.dataset.search.engine == "tuner"


def most_trials_at_once(search: Search) -> int:
    """Return how many trials of a tuning job run at the same time, each on an instance of its own."""
    return min(search.parallel, _count_trials(search))


def _count_trials(search: Search) -> int:
    return max(search.trials, len(search.families))


def tuning_request(plan: JobPlan, dataset: Dataset) -> dict[str, Any]:
    """Return the request of a tuning job, but for its name: a definition for each family, all within one number of trials."""
    search = dataset.search
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": _count_trials(search),
                "MaxParallelTrainingJobs": most_trials_at_once(search),
            },
            "TrainingJobEarlyStoppingType": "Off",
            "RandomSeed": dataset.split.seed,
        },
        "TrainingJobDefinitions": [_define(plan, dataset, family) for family in search.families],
        "Tags": plan.tags,
    }


def _define(plan: JobPlan, dataset: Dataset, family: Family) -> dict[str, Any]:
    """Return the definition of the trials of a family."""
    from churn_model.training import tuning  # which imports XGBoost

    metric = dataset.search.metric
    training = training_request(plan)
    cluster = {key: value for key, value in training["ResourceConfig"].items() if key != "KeepAlivePeriodInSeconds"}
    return {
        **{key: training[key] for key in _SHARED if key in training},
        "DefinitionName": _definition_name(family),
        "TuningObjective": {
            "Type": "Maximize" if tuning.is_maximized(metric) else "Minimize",
            "MetricName": tuning.name_objective(metric),
        },
        "StaticHyperParameters": {tuning.FAMILY: family},
        "HyperParameterRanges": _ranges(family),
        "AlgorithmSpecification": {
            "TrainingImage": plan.image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": tuning.name_objective(metric), "Regex": tuning.OBJECTIVE_REGEX}],
        },
        "ResourceConfig": cluster,
        "Environment": {
            **plan.environment,
            "SAGEMAKER_TRAINING_MODULE": _MODULE,
            "PYTHONPATH": f"{ROOT}/input/data/{CODE}",
        },
    }


def _ranges(family: Family) -> dict[str, list[dict[str, str]]]:
    from churn_model.training.tuning import combine_ranges

    found: dict[str, list[dict[str, str]]] = {}
    for name, each in combine_ranges(family).items():
        low, high = (str(int(end)) if each.whole else repr(float(end)) for end in (each.low, each.high))
        kind = "IntegerParameterRanges" if each.whole else "ContinuousParameterRanges"
        found.setdefault(kind, []).append(
            {
                "Name": name,
                "MinValue": low,
                "MaxValue": high,
                "ScalingType": "Logarithmic" if each.log else "Linear",
            }
        )
    return found


def _definition_name(family: Family) -> str:
    return family.replace("_", "-")


def read_tuned(trials: Sequence[Description], dataset: Dataset) -> dict[str, Any] | None:
    """Return what the trials of a tuning job have found, as the step `train` reads it of its request; None if none has given the metric."""
    from churn_model.records import to_plain
    from churn_model.training.search import BEST_TRIALS
    from churn_model.training.tuning import INTERNAL, Tuned, TunedTrial, is_maximized

    families = {_definition_name(family): family for family in dataset.search.families}
    sign = -1 if is_maximized(dataset.search.metric) else 1
    completed = [trial for trial in trials if TRAINING.status_of(trial) == COMPLETED]
    ranked = sorted(
        (sign * trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"], number, trial)
        for number, trial in enumerate(sorted(completed, key=TRAINING.name_of))
        if "FinalHyperParameterTuningJobObjectiveMetric" in trial
    )
    if not ranked:
        return None
    best = tuple(
        TunedTrial(
            number=number,
            family=families[trial["TrainingJobDefinitionName"]],
            values={key: value for key, value in trial["TunedHyperParameters"].items() if not key.startswith(INTERNAL)},
        )
        for _, number, trial in ranked[:BEST_TRIALS]
    )
    found: dict[str, Any] = to_plain(Tuned(trials=len(ranked), best=best))
    return found


def sum_billed(trials: Sequence[Description]) -> float:
    """Return the seconds that are billed for the trials of a tuning job together, each of one instance, however they ended."""
    return sum(
        float((trial["TrainingEndTime"] - trial["TrainingStartTime"]).total_seconds())
        for trial in trials
        if "TrainingStartTime" in trial and "TrainingEndTime" in trial
    )


def explain_failure(sagemaker: Any, failure: JobFailed, read_tail: Any) -> JobFailed:
    """Return the error of a tuning job with why its first failed trial failed: the trial's words alone if it refused its input.

    read_tail: takes the name of a trial, and returns the last lines of its log.
    """
    if failure.status == COMPLETED:
        text = problem(
            expected=f"a trial of tuning job {failure.job} with the metric in its log",
            found="none",
            todo="look at the logs of its trials, then run the job again",
        )
        return JobFailed(f"{text}\n{failure.link}", job=failure.job, status=COMPLETED, reason=text, link=failure.link)
    trial = next(list_trials(sagemaker, failure.job, FAILED), None)
    if trial is None:
        return failure
    ending, name = Ending.of(TRAINING, trial), TRAINING.name_of(trial)
    log = tuple(read_tail(name))
    text = ending.refusal or "\n".join([str(failure), f"Its trial {name} failed: {ending.reason}", *log])
    return JobFailed(text, job=failure.job, status=failure.status, reason=ending.reason, link=failure.link, log=log)


def list_trials(sagemaker: Any, name: str, status: str = "") -> Iterator[Description]:
    """Yield the trials of a tuning job, all or those that have ended in a status. Raise StepFailed."""
    arguments = {"HyperParameterTuningJobName": name, "MaxResults": 100, **({"StatusEquals": status} if status else {})}
    with aws_errors(StepFailed, f"to list the trials of {TUNING.words} {name}"):
        while True:
            page = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(**arguments)
            yield from page["TrainingJobSummaries"]
            if not page.get("NextToken"):
                return
            arguments["NextToken"] = page["NextToken"]
