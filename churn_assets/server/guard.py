"""What every server of this project refuses: requests that a page of somebody else makes in the user's browser.

A server on 127.0.0.1 is reached by every page that the user opens. A page of another site may send it requests (their `Origin` is foreign), and
by a name of its own that it lets resolve to 127.0.0.1 it may read the answers, too (their `Host` is foreign). Put `RequestGuard` around the whole
application: it sees websockets as well. It imports starlette only.
"""

from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""The names of this machine for itself."""
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_FETCHES = frozenset({"same-origin", "none"})  # `none`: typed, or from a bookmark
_POLICY_VIOLATION = 1008  # how a refused websocket is closed
_MOST_SHOWN = 60
_LONGEST_HOST = 300  # a name has at most 253 characters


class RequestGuard:
    """Refuse requests with a foreign `Host`, `Origin` or fetch site, before the application sees them.

    hosts  names by which the server may be reached beside those of this machine, without ports. The port is not compared: it differs behind a
           proxy or a forwarded port.

    An `Origin` has to be the very host and port that the request names: a page of another server of this machine is foreign, too. Requests
    without one are those of programs, and of a browser that follows a link.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self.app = app
        self.hosts = LOOPBACK | {host.strip().lower() for host in hosts if host.strip()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused request; pass any other on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, _without_frames(send))
        elif scope["type"] == "websocket":
            await WebSocketClose(_POLICY_VIOLATION, refusal)(scope, receive, send)
        else:
            response = PlainTextResponse(refusal, 403, {"X-Content-Type-Options": "nosniff"})
            await response(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        """Return why a request is refused, or None."""
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or len(hosts[0]) > _LONGEST_HOST or _host_name(hosts[0]) not in self.hosts:
            found = ", ".join(map(_shown, hosts)) or "none"
            return f"Expected one of the server's own names as Host; found {found}. Open it as localhost, or name the host in CHURN_ALLOWED_HOSTS."
        if origins and [_host_of(origin) for origin in origins] != [hosts[0].lower()]:
            return f"Expected a request of the server's own pages; found the Origin {', '.join(map(_shown, origins))}. Open the server itself."
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        site = headers.get("sec-fetch-site")
        if changes and site is not None and site not in _OWN_FETCHES:
            return f"Expected a request of the server's own pages; found Sec-Fetch-Site {_shown(site)}. Open the server itself."
        return None


@lru_cache(maxsize=256)  # every request of a client has the same one
def _host_name(host: str) -> str | None:
    """Return the name in a `Host` header without its port, or None if it is no name."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


def _host_of(origin: str) -> str | None:
    """Return the host and port of an `Origin`, or None if it has none that can be read."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _shown(value: str) -> str:
    return repr(value[:_MOST_SHOWN])


def _without_frames(send: Send) -> Send:
    """Return `send` with a header that lets no other site show the answer in a frame, where a click may be stolen."""

    async def send_with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("X-Frame-Options", "SAMEORIGIN")
        await send(message)

    return send_with_header
