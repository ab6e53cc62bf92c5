"""Between Starlette and the protocol: the body of a request, bounded in size and time, and an answer as it is sent."""

import asyncio

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse

from churn_assets.model_server.options import ServerOptions
from churn_model.serving.protocol import Response, refuse
from churn_model.serving.requests import BadRequest

DRAINED = 32 << 20
"""Bytes beyond the limit that are read and dropped: many clients look for an answer only after they have sent all, and would see a reset."""


async def read_body(http: HttpRequest, options: ServerOptions) -> bytes:
    """Return the body. Raise BadRequest if it is too large, comes too slowly, or does not come to its end."""
    most = options.limits.body
    too_large = BadRequest(
        413, expected=f"a body of at most {most:,} bytes", found="more", todo="send fewer rows, or gzip"
    )
    declared = http.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > most + DRAINED:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(options.body_seconds):
            async for chunk in http.stream():
                size += len(chunk)
                if size > most + DRAINED:
                    raise too_large
                if size <= most:
                    chunks.append(chunk)
    except TimeoutError as error:
        if size > most:
            raise too_large from error
        expected = f"the whole body within {options.body_seconds:g} seconds"
        raise BadRequest(408, expected=expected, found="a part", todo="send it faster") from error
    except ClientDisconnect as error:
        raise BadRequest(400, expected="a whole body", found="a closed connection", todo="send it again") from error
    if size > most:
        raise too_large
    return b"".join(chunks)


def not_ready() -> Response:
    """Return the answer of a server without a model."""
    return refuse(
        BadRequest(503, expected="a model that is loaded", found="none yet", todo="try again; see the server's log")
    )


def too_late(options: ServerOptions) -> Response:
    """Return the answer to a request whose answer took too long."""
    expected = f"an answer within {options.answer_seconds:g} seconds"
    return refuse(BadRequest(503, expected=expected, found="none yet", todo="send fewer rows, or try again later"))


def to_http(response: Response) -> HttpResponse:
    """Return an answer as Starlette sends it. Where the rest of a body is not read, the connection is closed."""
    headers = dict(response.headers)
    if response.status in (408, 413):
        headers["connection"] = "close"
    if response.status == 503:
        headers["retry-after"] = "1"
    headers["content-type"] = response.content_type
    headers["x-content-type-options"] = "nosniff"
    return HttpResponse(response.body, response.status, headers)
