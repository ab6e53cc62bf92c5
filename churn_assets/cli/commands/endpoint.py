"""`churn endpoint`: the champion's endpoint, deployed, looked at, deleted."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.cli.run_job import run_job
from churn_assets.cli.variant import add_variant_arguments, read_variant
from churn_assets.console.safe_text import say
from churn_model.errors import SpecError, problem
from churn_model.spec.dataset import Dataset
from resources.errors import CommandError
from resources.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_dataset_argument(parser)
    action_help = (
        "deploy: make it serve the champion at today's costs, alone without --variant; delete it; status: what it serves, and whether "
        "that is the champion"
    )
    add_variant_arguments(parser)
    parser.add_argument("action", choices=("deploy", "delete", "status"), help=action_help)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Run the job of the action, and print what there is then."""
    from jobs.deploy import deletion_of, deployment_of
    from resources.catalog.names import deploy_job_name, undeploy_job_name
    from resources.ports.endpoint import Candidate
    from resources.wiring import wire

    dataset, variant = find_dataset(settings, arguments.dataset), read_variant(arguments)
    if variant and arguments.action != "deploy":
        raise CommandError("A candidate is deployed beside the champion: --variant goes with `deploy`, or is left out.")
    if arguments.action == "deploy":
        _require_section(dataset)
        name, model, share = variant or ("", "", 0.0)
        candidate = Candidate(name=name, model=model, share=share, shadow=arguments.shadow) if variant else None
        ops = deployment_of(dataset, candidate)
        done = run_job(settings, console, dataset, deploy_job_name(dataset.name), ops=ops) is not None
    elif arguments.action == "delete" and dataset.endpoint is not None:
        done = (
            run_job(settings, console, dataset, undeploy_job_name(dataset.name), ops=deletion_of(dataset)) is not None
        )
    else:
        done = True
        if arguments.action == "delete":  # the section is gone, and with it the job; the endpoint may still be there
            wire(settings).endpoint.delete(dataset.name)
    if not done:
        return ExitCode.FAILED
    say(console, _describe(settings, dataset))
    return ExitCode.DONE


def _require_section(dataset: Dataset) -> None:
    if dataset.endpoint is None:
        raise SpecError(
            problem(
                expected=f"a section `endpoint` in the spec of {dataset.name}",
                found="none",
                todo="write `endpoint: {engine: serverless}` in it; see docs/tasks/endpoint.md",
            )
        )


def _describe(settings: Settings, dataset: Dataset) -> str:
    """Return what the endpoint serves, and whether a deployment would change it."""
    from churn_assets.assets.endpoint import describe_candidate, plan_deployment
    from resources.catalog.pointers import read_champion
    from resources.wiring import wire

    ports = wire(settings)
    served, champion = ports.endpoint.find(dataset.name), read_champion(ports.lake, dataset.name)
    if served is None:
        return f"There is no endpoint of {dataset.name}."
    wanted = plan_deployment(ports.lake, ports.runner, dataset, champion) if champion and dataset.endpoint else None
    what = f"serves model {served.model or 'unknown'}" if served.version else "serves nothing"
    lines = [f"The endpoint {served.name} is {served.status} and {what}."]
    if served.candidate:
        lines.append(
            f"Beside it {describe_candidate(served.candidate)}: `churn endpoint {dataset.name} deploy` takes it back."
        )
    if dataset.endpoint is None:
        lines.append(f"The spec has no section `endpoint` any more: `churn endpoint {dataset.name} delete` removes it.")
    if wanted and wanted.version != served.version:
        what = "the champion" if wanted.model != served.model else "today's spec or code"
        lines.append(f"That is not {what} ({wanted.model}): `churn endpoint {dataset.name} deploy` changes it.")
    return "\n".join([*lines, *(link for link in (served.link, served.dashboard) if link)])


COMMAND = Command(
    name="endpoint",
    summary="Deploy the champion to its SageMaker endpoint, delete it, or say what it serves.",
    example="churn endpoint telco deploy",
    add_arguments=add_arguments,
    run=run,
)
