"""What we assume of AWS that only an account can show. docs/tasks/run_on_aws.md lists them; `make test-aws` looks for each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumption:
    """One assumption.

    claim      what we take for true
    otherwise  what happens if it is not
    shown_by   the command of `make test-aws` whose success shows it; "" if none does, and a person has to look
    """

    claim: str
    otherwise: str
    shown_by: str = ""


ASSUMPTIONS = (
    Assumption(
        "A manifest input lays objects under their whole keys in the container",
        "files have other names, and ingest refuses the job; a map of names in `config/` would replace it",
        "churn retrain sample",
    ),
    Assumption(
        "`ContainerEntrypoint` of a training job in the managed image runs `start.py`",
        "the job fails at its start, with the image's own message",
        "churn retrain sample",
    ),
    Assumption(
        "Training without compression uploads the model's folder file by file",
        "the result is not found, and the run fails with words",
        "churn retrain sample",
    ),
    Assumption(
        "Processing and training run without a network, and with the releases of requirements-image.lock",
        "the job fails at its start; another XGBoost is refused by `start.py`",
        "churn retrain sample",
    ),
    Assumption(
        "The bucket takes conditional writes, also with its own KMS key",
        "`churn doctor` says so",
        "churn doctor",
    ),
    Assumption(
        "A model of SageMaker's without data may be made, for nothing, and asks for the right to pass its role as a job does",
        "`churn doctor` says so of a role with which jobs run; nothing else depends on it",
        "churn doctor",
    ),
    Assumption(
        "The roles' policies are enough, with KMS and with tags",
        "an access-denied error names the action",
        "churn score sample 2025-09",
    ),
    Assumption(
        "`sagemaker:InstanceTypes`, by which the role refuses other types, is there also for types named in order of preference",
        "such a job is refused; name one type, or remove the condition `Null` from the template",
    ),
    Assumption(
        "Topics take a condition on `aws:SourceAccount` from EventBridge and CloudWatch",
        "no e-mail of an alarm arrives; remove the condition from the template",
    ),
    Assumption(
        "`SAGEMAKER_TRAINING_MODULE` and `PYTHONPATH` of a tuning job's environment make the managed image call `run_trial` of `start.py`",
        "every trial fails at its start, with the image's own message; write `search: {engine: job}`",
    ),
    Assumption(
        "A tuning job starts its trials without a right of its caller's to create training jobs, and tags them with its own tags",
        "an access-denied error names the action; add the names of trials to the statement of the template",
    ),
    Assumption(
        "A tuning job with several definitions lists its trials with the definition and the values of each",
        "the run fails after the search with the missing field; write `search: {engine: job}`",
    ),
    Assumption(
        "With `ec2:Vpc` of the stack's VPC as a condition, the jobs' role may make and remove the network interfaces that SageMaker needs there",
        "a job in a VPC fails at its start with an access-denied error; remove the condition from the template",
    ),
    Assumption(
        "SIGTERM reaches `start.py` when a job is stopped",
        "the job ends 120 s later instead",
    ),
    Assumption(
        "SageMaker lays out the checkpoints of an interrupted spot job again, also without a network, with the rights to read, list and write below `jobs/`",
        "the search begins anew after an interruption, or an access-denied error names the action",
    ),
    Assumption(
        "Athena answers a `ClientRequestToken` that it knows with the same query for an hour",
        "a copy of your own table is paid for twice if the run is killed meanwhile",
    ),
    Assumption(
        "The managed image's server imports the application that `SAGEMAKER_SERVING_MODULE` names, from the model's folder by `PYTHONPATH`",
        "a transform job fails at its start; write `scoring: {engine: job}`",
    ),
    Assumption(
        "A transform job's environment reaches the model's server beside the model's own",
        "the server does not import, and the job fails at its start; write `scoring: {engine: job}`",
    ),
    Assumption(
        "Batch Transform names the predictions of `rows/part-00000.parquet` `part-00000.parquet.out`, and stores them as they were answered, of any size",
        "the run fails with `no report of this version`; write `scoring: {engine: job}`",
    ),
    Assumption(
        "A failed transform job's log holds what the server answered",
        "the error shows the end of the server's own log instead",
    ),
    Assumption(
        "The managed image answers pings for an endpoint through its own server, also as a serverless one, with the status that our application gives",
        "the update fails, the one before goes on, and the error shows the end of the endpoint's log",
    ),
    Assumption(
        "`InvokeEndpoint` passes on `Accept` as it was sent, with its parameters, and the custom attributes of the answer",
        "the check `endpoint_answers_as_the_champion_does` fails, or databases get all columns",
    ),
    Assumption(
        "An endpoint without machines may be configured by a role whose condition on `sagemaker:InstanceTypes` is `ForAllValues`",
        "an access-denied error names the action; use engine: instance",
    ),
    Assumption(
        "The right of the models' role to grants on the key is enough for the disks of an endpoint's machines",
        "the endpoint is not made, with AWS's words about the key",
    ),
    Assumption(
        "A model's archive is loaded with `s3:GetObject` alone: the models' role may not list the bucket",
        "the endpoint is not made, with SageMaker's words about the archive; set CHURN_MODEL_ROLE to the jobs' role, which may",
    ),
    Assumption(
        "While an endpoint is updated, `UpdateEndpoint` and `DeleteEndpoint` are refused as in-progress",
        "a call whose answer was lost is an error; run the command again",
    ),
    Assumption(
        "`UpdateEndpoint` adds a variant to an endpoint of machines, a shadow too, and takes it away",
        "the update is refused with SageMaker's words, and the champion goes on; delete the endpoint, then deploy with --variant",
    ),
    Assumption(
        "Each machine of an endpoint reports `CPUUtilization` once a minute",
        "the dashboard shows another number of machines; nothing else depends on it",
    ),
    Assumption(
        "Application Auto Scaling asks for our rights to no alarms but `TargetTracking-endpoint/<stack>-...`",
        "an endpoint with `scaling` is made and not scaled: the deployment ends with AWS's words; set `count` instead",
    ),
    Assumption(
        "Athena reads tables whose column names have apostrophes and blanks",
        "those columns cannot be queried by name; scoring does not use Athena",
    ),
    Assumption(
        "A model package of a group needs no inference specification if it has a `SourceUri`",
        "the check `registry_shows_the_decision` warns with SageMaker's words; promotions go on",
    ),
    Assumption(
        "UNLOAD's files come back in any order, with no ending",
        "only the order is assumed",
    ),
    Assumption(
        "The price list names an instance's use in `platoinstancetype` or `component`",
        "`churn plan` shows no dollars",
        "churn plan sample",
    ),
    Assumption(
        "CloudFormation's tag of the stack is on its key and its bucket, so that `churn destroy` lists them",
        "what is left is not listed; look for it in the console",
        "churn destroy",
    ),
)
