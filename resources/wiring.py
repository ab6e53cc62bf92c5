"""The choice of adapters: which implementation of each port the assets, jobs and commands get."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from churn_model.errors import problem
from resources.aws.doctor import Finding, examine_aws
from resources.aws.endpoint import SageMakerEndpoint
from resources.aws.endpoint_asking import open_endpoint_asking
from resources.aws.job_requests import JobOptions
from resources.aws.lake import S3Lake
from resources.aws.landing_events import SqsLandingEvents
from resources.aws.prices import Prices
from resources.aws.queries import Athena
from resources.aws.registry import ModelRegistry
from resources.aws.runner import KINDS, SageMakerRunner
from resources.aws.session import AwsSession
from resources.aws.stack import Stack, read_parameters
from resources.aws.tables import AthenaTables
from resources.errors import CommandError, SettingsError
from resources.local.alerts import LocalAlerts
from resources.local.endpoint import LocalEndpoint
from resources.local.lake import LocalLake
from resources.local.landing_events import LocalLandingEvents
from resources.local.outputs import LocalOutputs
from resources.local.registry import LocalRegistry
from resources.local.run_locks import LocalRunLocks
from resources.local.runner import LocalRunner
from resources.local.tables import LocalTables
from resources.ports.alerts import Alerts
from resources.ports.endpoint import Endpoint
from resources.ports.lake import Lake
from resources.ports.landing_events import LandingEvents
from resources.ports.outputs import Outputs
from resources.ports.registry import Registry
from resources.ports.run_locks import RunLocks
from resources.ports.runner import Runner
from resources.ports.tables import Tables
from resources.settings import AwsSettings, Settings
from resources.specs.loader import load_specs


@dataclass(frozen=True)
class Ports:
    """One adapter for each port. The names of the fields are the resource keys that assets require."""

    lake: Lake
    outputs: Outputs
    tables: Tables
    runner: Runner
    registry: Registry
    endpoint: Endpoint
    landing_events: LandingEvents
    run_locks: RunLocks
    alerts: Alerts


def wire(settings: Settings) -> Ports:
    """Return the adapters for these settings."""
    wired = _wire_aws(settings.aws) if settings.aws else _wire_local(settings)
    lake, tables, runner, registry, endpoint, landing_events = wired
    return Ports(
        lake=lake,
        # In the working folder on AWS too, where the people are who open them.
        outputs=LocalOutputs(folder=str(settings.out), served=settings.owns_dagster_home),
        tables=tables,
        runner=runner,
        registry=registry,
        endpoint=endpoint,
        landing_events=landing_events,
        # Those of one machine on AWS too: they save work, and no result depends on them.
        run_locks=LocalRunLocks(folder=str(settings.home / "locks")),
        alerts=LocalAlerts(log=str(settings.home / "alerts.log"), **vars(settings.alerts)),
    )


def examine(settings: Settings) -> Iterator[Finding]:
    """Return what was found of each thing that the adapters need. Raise CommandError for a laptop, which needs nothing."""
    if settings.aws is None:
        raise CommandError(
            problem(
                expected="the settings of an installation on AWS",
                found="CHURN_TARGET=local, which needs nothing",
                todo="set CHURN_TARGET=aws and the settings that docs/tasks/run_on_aws.md names",
            )
        )
    specs = load_specs(settings.datasets)
    return examine_aws(settings.aws, _read_job_options(settings.aws), specs.datasets.values())


def open_stack(settings: Settings, name: str, say: Callable[[str], None]) -> Stack:
    """Return the stack of this name in the account and region of the credentials, whether it is there or not."""
    return Stack(AwsSession(region=settings.aws_region), name, say)


def read_stack_parameters(texts: Sequence[str]) -> Mapping[str, str]:
    """Return `NAME=VALUE` texts as parameters of the stack's template. Raise CommandError with every problem at once."""
    return read_parameters(texts)


@dataclass(frozen=True)
class Machine:
    """What a step runs on: the use that the price list knows, and the instance type that is tried first.

    small_megabytes   the run's own process instead, if the inputs are less; 0 for no such size, and where it is known that they are not
    warm_minutes      how long the instance is kept, and billed, after the job
    """

    use: str
    instance: str
    small_megabytes: int = 0
    warm_minutes: int = 0


def machine_of(settings: Settings, step: str, input_bytes: int | None = None) -> Machine | None:
    """Return what a step runs on, or None for this machine or the run's own process. `input_bytes`: None if the inputs are not there yet."""
    if settings.aws is None:
        return None
    options = _read_job_options(settings.aws)
    if input_bytes is not None and options.is_small(input_bytes):
        return None
    unknown = options.small_megabytes if input_bytes is None else 0
    if KINDS[step].resource == "TrainingJob":
        return Machine("Training", options.training_types[0], unknown, options.warm_minutes)
    return Machine("Processing", options.instances[0], unknown)


def open_prices(settings: Settings) -> Prices:
    """Return the prices of instances in the region of the jobs."""
    region = AwsSession(region=settings.aws_region).client("sagemaker").meta.region_name
    return Prices(region, settings.home / "prices.json")


def open_asking(
    settings: Settings, dataset: str, *, connections: int, seconds: float
) -> Callable[[bytes], tuple[str | None, int]]:
    """Return a function that asks a dataset's endpoint once. Raise CommandError for a laptop, where no server stands behind an endpoint."""
    if settings.aws is None:
        todo = "set CHURN_TARGET=aws and its settings, or ask a server by its address"
        raise CommandError(problem(expected="an endpoint on SageMaker", found="CHURN_TARGET=local", todo=todo))
    return open_endpoint_asking(settings.aws, dataset, connections=connections, seconds=seconds)


_Wired = tuple[Lake, Tables, Runner, Registry, Endpoint, LandingEvents]


def _wire_local(settings: Settings) -> _Wired:
    lake = LocalLake(root=str(settings.lake))
    runner = LocalRunner(
        lake=lake, runs=str(settings.home / "runs"), python=str(settings.step_python), threads=settings.threads
    )
    tables = LocalTables(lake=lake, database=str(settings.tables))
    endpoint = LocalEndpoint(lake=lake, folder=str(settings.home / "endpoints"))
    return lake, tables, runner, LocalRegistry(), endpoint, LocalLandingEvents()


def _wire_aws(settings: AwsSettings) -> _Wired:
    session, options = AwsSession(region=settings.region), _read_job_options(settings)
    lake = S3Lake(session=session, bucket=settings.bucket, prefix=settings.prefix, kms_key=settings.kms_key)
    athena = Athena(session=session, workgroup=settings.stack)
    runner = SageMakerRunner(
        session=session,
        lake=lake,
        stack=settings.stack,
        role=settings.role,
        image=settings.image,
        options=options,
    )
    tables = AthenaTables(session=session, lake=lake, athena=athena, database=settings.stack)
    registry = ModelRegistry(session=session, lake=lake, stack=settings.stack)
    endpoint = SageMakerEndpoint(
        session=session,
        lake=lake,
        stack=settings.stack,
        role=settings.model_role,
        image=settings.image,
        options=options,
    )
    return lake, tables, runner, registry, endpoint, SqsLandingEvents(session=session, lake=lake)


def _read_job_options(settings: AwsSettings) -> JobOptions:
    """Return how jobs run. Raise SettingsError with every problem of CHURN_JOBS at once."""
    problems = [f"{name}: no option" for name in settings.job_options if name not in JobOptions.model_fields]
    try:
        options = JobOptions(**{"kms_key": settings.kms_key, **settings.job_options})
    except ValidationError as error:
        problems += [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    if problems:
        raise SettingsError(
            problem(
                expected=f"options of jobs in CHURN_JOBS ({', '.join(JobOptions.model_fields)})",
                found="; ".join(problems),
                todo="correct them: docs/tasks/run_on_aws.md",
            )
        )
    return options
