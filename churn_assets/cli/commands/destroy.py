"""`churn destroy`: delete the stack of an installation on AWS, keep its data, and list what is left."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode
from churn_assets.console.safe_text import say
from resources.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("stack", metavar="STACK", help="its name, as in CHURN_STACK")
    bucket_help = "remove this bucket too, with all that it ever held: landed data, models, lists"
    parser.add_argument("--bucket", default="", metavar="NAME", help=bucket_help)
    parser.add_argument("--yes", action="store_true", help="delete; without this it is only said what would be deleted")


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Say what would be deleted and what stays; with --yes delete it, and list what is left."""
    from resources.wiring import open_stack

    stack = open_stack(settings, arguments.stack, lambda line: say(console, line))
    if arguments.bucket:  # before anything is deleted
        stack.require_own_bucket(arguments.bucket)
    if not arguments.yes:
        gone = "roles, policies, Glue database with its tables, Athena workgroup, alarms and queue"
        say(console, f"The stack {stack.cloud_name} would be deleted: {gone}.")
        bucket = (
            f"removed, with every version of every object in it: {arguments.bucket}" if arguments.bucket else "kept"
        )
        say(
            console,
            f"Its key would be kept. Its bucket would be {bucket}. Nothing was deleted. To delete it, add --yes.",
        )
        return ExitCode.DONE
    is_gone = stack.delete()
    say(console, f"The stack {stack.cloud_name} is deleted." if is_gone else f"There is no stack {stack.cloud_name}.")
    if arguments.bucket:
        say(
            console,
            f"The bucket {arguments.bucket} is removed: {stack.remove_bucket(arguments.bucket):,} versions of objects.",
        )
    left = stack.left()
    say(console, "Left of it:" if left else "Nothing of it is left but the logs of its jobs, in /aws/sagemaker/.")
    for arn in left:
        say(console, f"  {arn}")
    return ExitCode.DONE


COMMAND = Command(
    name="destroy",
    summary="On AWS: say what deleting a stack would delete; with --yes do it. Its bucket is kept unless it is named; what is left is listed.",
    example="churn destroy churn --yes",
    add_arguments=add_arguments,
    run=run,
)
