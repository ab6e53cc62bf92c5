import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from resources.local.alerts import LocalAlerts


def test_a_line_reaches_the_log_the_command_and_the_webhook(tmp_path: Path) -> None:
    posted: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        alerts = LocalAlerts(
            log=str(tmp_path / "no folder yet" / "alerts.log"),
            command=f"tee {tmp_path / 'heard'}",
            webhook=f"http://127.0.0.1:{server.server_port}/hook",
        )
        assert alerts.send("shop: failed; $(touch x)") == []
        thread.join()
    assert (tmp_path / "no folder yet" / "alerts.log").read_text().endswith(" shop: failed; $(touch x)\n")
    assert (tmp_path / "heard").read_text() == "shop: failed; $(touch x)"
    assert posted == [{"text": "shop: failed; $(touch x)"}]


def test_a_destination_that_is_not_reached_is_named_without_its_address_and_stops_no_other(tmp_path: Path) -> None:
    alerts = LocalAlerts(log=str(tmp_path / "alerts.log"), command="false", webhook="http://127.0.0.1:1/secret")
    failed = alerts.send("shop: failed")
    assert failed == ["CHURN_ALERT_COMMAND: CalledProcessError", "CHURN_ALERT_WEBHOOK: URLError"]
    assert (tmp_path / "alerts.log").exists()


@pytest.mark.parametrize("webhook", ["http://host:abc/", "http://a b/"])
def test_an_address_that_is_none_is_named_and_raises_nothing(tmp_path: Path, webhook: str) -> None:
    failed = LocalAlerts(log=str(tmp_path / "alerts.log"), webhook=webhook).send("shop: failed")
    assert failed == ["CHURN_ALERT_WEBHOOK: InvalidURL"]
