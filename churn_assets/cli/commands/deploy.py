"""`churn deploy`: the stack of an installation on AWS, made or changed after it was shown."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode
from churn_assets.console.safe_text import say
from resources.settings import Settings

# The setting that each output of the stack is for.
_SETTINGS = {"Lake": "CHURN_LAKE", "Role": "CHURN_ROLE", "ModelRole": "CHURN_MODEL_ROLE", "KmsKey": "CHURN_KMS_KEY"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("stack", metavar="STACK", help="its name, as in CHURN_STACK: at most 8 letters and digits")
    set_help = "a parameter of infra/stack.yaml, such as ExistingBucket=my-bucket; may be repeated"
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="parameters", help=set_help)
    parser.add_argument("--yes", action="store_true", help="make the changes; without this they are only shown")


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Show what would change; with --yes change it, and print the settings that name the stack."""
    from resources.wiring import open_stack, read_stack_parameters

    stack = open_stack(settings, arguments.stack, lambda line: say(console, line))
    proposal = stack.propose(read_stack_parameters(arguments.parameters))
    for change in proposal.changes if proposal else ():
        say(console, f"  {change}")
    if proposal and not arguments.yes:
        stack.withdraw(proposal)
        say(console, f"{len(proposal.changes)} changes. Nothing was made. To make them, add --yes.")
        return ExitCode.DONE
    outputs = stack.carry_out(proposal) if proposal else stack.outputs()
    say(
        console,
        f"The stack {stack.cloud_name} is " + ("made." if proposal else "as the template has it. Nothing to do."),
    )
    named = [f"{_SETTINGS[name]}={value}" for name, value in sorted(outputs.items()) if name in _SETTINGS]
    say(console, f"export CHURN_TARGET=aws CHURN_STACK={arguments.stack} {' '.join(named)}")
    say(console, "Next: churn doctor")
    return ExitCode.DONE


COMMAND = Command(
    name="deploy",
    summary="On AWS: show what making or changing a stack would do; with --yes do it, and print the settings that name it.",
    example="churn deploy churn --yes",
    add_arguments=add_arguments,
    run=run,
)
