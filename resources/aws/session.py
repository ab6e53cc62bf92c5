"""Clients of AWS's services, created when they are first used, and what their errors mean to a user."""

import functools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from churn_model.errors import ChurnError, problem

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_ATTEMPTS = 8
_MOST_OF_A_MESSAGE = 1_000  # characters
_creating = threading.Lock()  # boto3 creates clients in one thread at a time


class AwsSession(dg.ConfigurableResource):
    """Credentials, region and endpoints as AWS's own tools find them: environment variables, profiles, the role of a task."""

    region: str = ""  # "" for the one that AWS's own settings name

    def client(self, service: str) -> Any:
        """Return the process's client of a service, such as "s3". Clients may be used by several threads."""
        with _creating:
            return _client(service, self.region)


@functools.cache
def _client(service: str, region: str) -> Any:
    from botocore.config import Config

    config = Config(
        retries={"max_attempts": _ATTEMPTS, "mode": "standard"},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=25,
    )
    return open_session(region).client(service, config=config)


def open_session(region: str) -> Any:
    """Return a new boto3 session. All of them read botocore's service models, some megabytes of JSON each, through one loader, and so once."""
    import boto3
    import botocore.session

    core = botocore.session.get_session()
    core.register_component("data_loader", _model_loader(core.get_config_variable("data_path")))
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_parse_timestamp)
    return boto3.session.Session(botocore_session=core, region_name=region or None)


@functools.cache
def _model_loader(search_path: str | None) -> Any:
    from botocore.loaders import create_loader

    return create_loader(search_path)


def _parse_timestamp(value: Any) -> datetime:
    """Return the time that an answer names. botocore's own parser knows every notation, and took two thirds of the time of a listing."""
    from botocore.utils import parse_timestamp

    if isinstance(value, str) and value.endswith("Z"):
        with suppress(ValueError):
            return datetime.fromisoformat(value)
    found: datetime = parse_timestamp(value)
    return found


def forget_clients() -> None:
    """Create clients anew at their next use, after credentials or endpoints have changed."""
    _client.cache_clear()


def code_of(error: "ClientError") -> str:
    """Return the service's code of an error, such as "NoSuchKey". For a HEAD request, which has no body, it is the HTTP status."""
    return str(error.response.get("Error", {}).get("Code", ""))


_LOG_IN = "log in again (`aws sso login`, or new keys), or choose another AWS_PROFILE"
_ANOTHER_REGION = "set AWS_REGION to the region of the bucket, and run the job again"
_TRY_LATER = "wait a little and run the job again; published results are reused"
_GRANT = "grant it to the role or user that runs this (infra/ has the policy), then run the job again"

# What to do about an error, by the service's code.
_REMEDIES = {
    "ExpiredToken": _LOG_IN,
    "ExpiredTokenException": _LOG_IN,
    "RequestExpired": _LOG_IN,
    "InvalidAccessKeyId": _LOG_IN,
    "InvalidClientTokenId": _LOG_IN,
    "SignatureDoesNotMatch": _LOG_IN,
    "UnrecognizedClientException": _LOG_IN,
    "AccessDenied": _GRANT,
    "AccessDeniedException": _GRANT,
    "403": _GRANT,
    "NoSuchBucket": "create the bucket, or correct CHURN_LAKE",
    "PermanentRedirect": _ANOTHER_REGION,
    "AuthorizationHeaderMalformed": _ANOTHER_REGION,
    "IllegalLocationConstraintException": _ANOTHER_REGION,
    "301": _ANOTHER_REGION,
    "400": _LOG_IN,
    "SlowDown": _TRY_LATER,
    "ThrottlingException": _TRY_LATER,
    "Throttling": _TRY_LATER,
    "TooManyRequestsException": _TRY_LATER,
    "InternalError": _TRY_LATER,
    "ServiceUnavailable": _TRY_LATER,
    "500": _TRY_LATER,
    "503": _TRY_LATER,
    "ResourceLimitExceeded": "ask for a higher quota in the console under Service Quotas, or name another instance type",
    "KMS.DisabledException": "enable the KMS key, or name another one",
    "KMS.NotFoundException": "correct the KMS key of the bucket",
}
# And about an error that never reached a service, by the name of botocore's exception.
_LOCAL_REMEDIES = {
    "NoCredentialsError": "log in (`aws sso login`), or set AWS_PROFILE or the keys' variables",
    "PartialCredentialsError": "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ProfileNotFound": "correct AWS_PROFILE",
    "NoRegionError": "set AWS_REGION, or `region` in the profile",
    "SSOTokenLoadError": _LOG_IN,
    "UnauthorizedSSOTokenError": _LOG_IN,
    "TokenRetrievalError": _LOG_IN,
}
# Words about a role or a key, which say more than their code: of services' answers, and of the reasons why jobs failed.
_NOT_ALLOWED = re.compile(
    r"not authorized to perform: (?P<action>[\w:*]+)(?: on (?:the )?resource: [\"']?(?P<resource>[^\s\"',]+))?"
)
_NOT_ASSUMED = re.compile(r"(?:Could not|unable to) assume (?:the )?role [\"']?(?P<role>[^\s\"',]+)")
_NETWORK = "check the network, the region and, in a private VPC, the endpoints, then run the job again"


def _shorten(text: str) -> str:
    """Return a service's words on one line, without their end if they are long: a proxy in between may answer with a page."""
    words = " ".join(text.split())
    return words if len(words) <= _MOST_OF_A_MESSAGE else f"{words[:_MOST_OF_A_MESSAGE]}..."


def find_remedy(words: str) -> str:
    """Return what to do about AWS's words about a role or a key, by its name and the setting that holds it; "" if they are about neither."""
    if denied := _NOT_ALLOWED.search(words):
        action, resource = denied["action"], (denied["resource"] or "the one that is named").rstrip(".")
        if action == "iam:PassRole":
            return (
                f"allow who runs this iam:PassRole on {resource} to sagemaker.amazonaws.com, as the stack's own policies do for its roles, or correct "
                "CHURN_ROLE or CHURN_MODEL_ROLE"
            )
        if action.startswith("kms:"):
            return (
                f"allow {action} on the key {resource} to the role or user that AWS names, by its own policy and the key's, or name another key in "
                "CHURN_KMS_KEY"
            )
    if refused := _NOT_ASSUMED.search(words):
        role = refused["role"].rstrip(".")
        return (
            f"let sagemaker.amazonaws.com assume {role} by its trust policy, or correct CHURN_ROLE or CHURN_MODEL_ROLE"
        )
    return ""


@contextmanager
def aws_errors(translated: type[ChurnError], expected: str) -> Iterator[None]:
    """Translate whatever botocore raises, `from error`, with what to do about it."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = code_of(error)
        message = _shorten(str(error.response.get("Error", {}).get("Message", ""))).rstrip(".")
        found = f"{code}: {message}" if message and message != code else f"the answer {code}"
        todo = find_remedy(message) or _REMEDIES.get(code, "see what AWS says, then run the job again")
        raise translated(problem(expected=expected, found=found, todo=todo)) from error
    except BotoCoreError as error:
        todo = _LOCAL_REMEDIES.get(type(error).__name__, _NETWORK)
        raise translated(problem(expected=expected, found=str(error).rstrip("."), todo=todo)) from error
