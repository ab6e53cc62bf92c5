"""HTTP/1.1 as uvicorn speaks it, with bounds on the head of a request: without them one client fills the memory, or holds all connections.

The body of a request is bounded by the application, which knows how long one may be.
"""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class BoundedHttp(HttpToolsProtocol):
    """Close a connection whose request line and headers are too long or take too long."""

    most_bytes: ClassVar[int] = 65_536
    most_seconds: ClassVar[float] = 20.0
    _in_head = False
    _read = 0  # bytes of the head, without those of the read in which it began
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a head."""
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head."""
        was_in_head, self._read = self._in_head, self._read + len(data)
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        if not was_in_head:
            self._read = 0
        if self._read > self.most_bytes:
            self._refuse()
        elif self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._in_head, self._read = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the head has ended."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to wait for."""
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.most_seconds, self._refuse)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _refuse(self) -> None:
        self._stop_timer()
        self.send_400_response("Expected the head of a request, small and at once.")
