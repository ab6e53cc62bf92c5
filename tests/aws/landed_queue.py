"""A queue of events that takes no longer the more it holds, which moto's does: an SQS behind HTTP for one queue, with visibility timeouts.

`python -m tests.aws.landed_queue` serves one in a process of its own and prints its address.
"""

import hashlib
import heapq
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

Request = dict[str, Any]


@dataclass
class LandedQueue:
    """Messages that wait, and those that were given out, by receipt and in the order in which they come back."""

    visibility: float = 30.0
    url: str = ""
    _waiting: deque[str] = field(default_factory=deque)
    _out: dict[str, str] = field(default_factory=dict)
    _back: list[tuple[float, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, operation: str, request: Request) -> Request:
        """Return the response to a request. Raise KeyError for an operation that is not known."""
        known: dict[str, Callable[[Request], Request]] = {
            "CreateQueue": self._create,
            "GetQueueUrl": lambda _: {"QueueUrl": self.url},
            "SendMessageBatch": self._send,
            "ReceiveMessage": self._receive,
            "DeleteMessageBatch": self._delete,
            "ChangeMessageVisibilityBatch": self._change,
        }
        with self._lock:
            return known[operation](request)

    def _create(self, request: Request) -> Request:
        self.visibility = float(request.get("Attributes", {}).get("VisibilityTimeout", self.visibility))
        return {"QueueUrl": self.url}

    def _send(self, request: Request) -> Request:
        sent = []
        for each in request["Entries"]:
            self._waiting.append(each["MessageBody"])
            digest = hashlib.md5(each["MessageBody"].encode(), usedforsecurity=False).hexdigest()
            sent.append({"Id": each["Id"], "MessageId": uuid4().hex, "MD5OfMessageBody": digest})
        return {"Successful": sent, "Failed": []}

    def _receive(self, request: Request) -> Request:
        self._take_back()
        messages: list[dict[str, str]] = []
        while self._waiting and len(messages) < request.get("MaxNumberOfMessages", 1):
            body, receipt = self._waiting.popleft(), uuid4().hex
            self._out[receipt] = body
            heapq.heappush(self._back, (time.monotonic() + self.visibility, receipt))
            messages.append({"MessageId": receipt, "ReceiptHandle": receipt, "Body": body})
        return {"Messages": messages} if messages else {}

    def _take_back(self) -> None:
        while self._back and self._back[0][0] <= time.monotonic():
            body = self._out.pop(heapq.heappop(self._back)[1], None)
            if body is not None:  # neither removed nor given back before
                self._waiting.append(body)

    def _delete(self, request: Request) -> Request:
        for each in request["Entries"]:
            self._out.pop(each["ReceiptHandle"], None)
        return {"Successful": [{"Id": each["Id"]} for each in request["Entries"]], "Failed": []}

    def _change(self, request: Request) -> Request:
        for each in request["Entries"]:
            if each["ReceiptHandle"] in self._out:
                heapq.heappush(self._back, (time.monotonic() + each["VisibilityTimeout"], each["ReceiptHandle"]))
        return {"Successful": [{"Id": each["Id"]} for each in request["Entries"]], "Failed": []}


def main() -> None:
    """Serve until the standard input is closed."""
    queue = LandedQueue()

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(queue.answer(self.headers["X-Amz-Target"].partition(".")[2], request)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: Any) -> None:
            """Keep the output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    address = f"http://127.0.0.1:{server.server_address[1]}"
    queue.url = f"{address}/123456789012/landed"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
