"""The pages and lists in `out/`, read-only, beside the UI: `/out/<dataset>/report.html`, `/out/<dataset>/lists/<batch>.csv`,
`/out/<dataset>/shadows/<batch>.csv`.

Nothing else is served. A path is a dataset and a page of it, opened part by part without following links, so none leads out of the folder.
"""

import os
import re
from functools import partial
from pathlib import Path
from stat import S_ISREG
from typing import IO

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from resources.ports.outputs import SERVED_BELOW

_CHUNK = 1 << 20
_PATH = re.compile(
    r"[a-z][a-z0-9]{1,11}/(lists/[A-Za-z0-9][A-Za-z0-9._=-]{0,80}\.(csv|html)|shadows/[A-Za-z0-9][A-Za-z0-9._=-]{0,80}\.csv|plots/[a-z][a-z0-9_]{0,40}\.png|[a-z][a-z0-9_]{0,40}\.html)"
)
_KINDS = {"html": "text/html", "csv": "text/csv", "png": "image/png"}
_NOT_FOUND = "Expected a report or list that has been made; found none. See which there are with `churn status`."
# In the sandbox a page has an origin of its own: whatever is in it, it cannot ask the UI beside it for anything.
_POLICY = (
    "sandbox allow-scripts allow-popups allow-downloads allow-top-navigation-by-user-activation; default-src 'none'; img-src data:; "
    "font-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class PublishedPages:
    """Serve the files in `folder` below SERVED_BELOW, by GET and HEAD."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a page, or that there is none."""
        request = Request(scope)
        if request.method not in ("GET", "HEAD"):
            await PlainTextResponse("Expected GET.", 405, {**_HEADERS, "Allow": "GET, HEAD"})(scope, receive, send)
            return
        path = request.url.path.removeprefix(SERVED_BELOW)
        stream = await run_in_threadpool(open_page, self.folder, path) if _PATH.fullmatch(path) else None
        if stream is None:
            await PlainTextResponse(_NOT_FOUND, 404, _HEADERS)(scope, receive, send)
            return
        headers = {**_HEADERS, "Content-Length": str(os.fstat(stream.fileno()).st_size)}
        if path.endswith(".csv"):
            name = path.replace("/lists/", "-").replace("/shadows/", "-shadow-")
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        with stream:
            chunks = iter(partial(stream.read, _CHUNK), b"")
            await StreamingResponse(chunks, headers=headers, media_type=_KINDS[path.rpartition(".")[2]])(
                scope, receive, send
            )


def open_page(folder: Path, path: str) -> IO[bytes] | None:
    """Return a regular file below `folder`, opened for reading, or None if there is none without following a link."""
    *folders, name = path.split("/")
    opened: list[int] = []
    try:
        opened.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
        for part in folders:
            opened.append(os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened[-1]))
        # A pipe is opened without waiting for a writer.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=opened[-1])
    except OSError:
        return None
    finally:
        for handle in opened:
            os.close(handle)
    if S_ISREG(os.fstat(file).st_mode):
        return os.fdopen(file, "rb")
    os.close(file)
    return None
