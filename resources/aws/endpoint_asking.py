"""Asking an endpoint for a load test: once, without another try, by as many connections as are needed."""

from collections.abc import Callable

from resources.aws.endpoint_requests import endpoint_name
from resources.aws.jobs.names import check_stack_name
from resources.aws.session import code_of, open_session
from resources.settings import AwsSettings

_JSON = "application/json"


def open_endpoint_asking(
    settings: AwsSettings, dataset: str, *, connections: int, seconds: float
) -> Callable[[bytes], tuple[str | None, int]]:
    """Return a function that asks InvokeEndpoint with a body of JSON, and returns the kind of its error, None for an answer, and the answer's length."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(
        retries={"total_max_attempts": 1},  # a refused request is a result here
        connect_timeout=seconds,
        read_timeout=seconds,
        max_pool_connections=connections,
    )
    client = open_session(settings.region).client("sagemaker-runtime", config=config)
    endpoint = endpoint_name(check_stack_name(settings.stack), dataset)

    def ask(body: bytes) -> tuple[str | None, int]:
        try:
            answer = client.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType=_JSON, Accept=_JSON)
            return None, len(answer["Body"].read())
        except ClientError as error:
            status = error.response.get("OriginalStatusCode")  # of the model's own server
            return f"{code_of(error)} {status}" if status else code_of(error), 0
        except BotoCoreError as error:
            return type(error).__name__, 0

    return ask
