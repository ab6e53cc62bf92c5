"""The real `churn serve`: swaps, a worker that is killed, a supervisor that is killed, and the page in a browser."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.reliability.home import Home, Homes

pytestmark = pytest.mark.prove

CLIENTS = 4
HEADLESS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=20000")
PATIENCE_SECONDS = 120.0


class Server:
    """`churn serve` of a home on a free port, in a process of its own."""

    def __init__(self, home: Home, *arguments: str) -> None:
        self.output = home.root / "served.txt"
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "churn_assets.cli", "serve", "shop", "--port", "0", *arguments],
                env=home.environment,
                cwd=home.code,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.url = waited(lambda: re.findall(r"http://\S+:[0-9]+", self.output.read_text()), "an address")[0]
        waited(lambda: self.answers("/ping"), "a first answer")

    def answers(self, path: str) -> Any:
        try:
            answer = httpx.get(self.url + path, timeout=10)
        except httpx.TransportError:
            return None
        return answer.json() if answer.status_code == 200 else None

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def waited(look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    pytest.fail(f"waited in vain for {what}")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def served(home: Home, *arguments: str) -> Iterator[Server]:
    server = Server(home, *arguments)
    try:
        yield server
    finally:
        for pid in (*server.workers(), server.process.pid) if server.process.poll() is None else ():
            os.kill(pid, signal.SIGKILL)
        server.process.wait()


def test_swaps_and_a_killed_worker_give_no_wrong_answer(homes: Homes, copied: Callable[[Home], Home]) -> None:
    home = copied(homes.twice_retrained)
    with served(home, "--workers", "2") as server:
        usual = server.answers("/page-data/example")
        before = server.answers("/ping")["model_version"]
        seen: Counter[tuple[int, str, float]] = Counter()
        broken: Counter[int] = Counter()
        stop = time.monotonic() + PATIENCE_SECONDS
        is_over: list[bool] = []

        def ask(client: int) -> None:
            with httpx.Client(base_url=server.url, timeout=30) as http:
                while not is_over and time.monotonic() < stop:
                    try:
                        answer = http.post("/invocations", json=usual)
                    except httpx.TransportError:
                        broken[client] += 1
                        continue
                    seen[answer.status_code, answer.json()["model_version"], answer.json()["churn_probability"]] += 1

        with ThreadPoolExecutor(CLIENTS) as pool:
            asking = [pool.submit(ask, client) for client in range(CLIENTS)]
            waited(lambda: seen.total() > 200, "answers")
            home.require(0, "rollback", "shop")
            waited(lambda: len(seen) == 2, "answers of the other champion")
            calm = seen.total()
            assert not broken
            (victim, _) = server.workers()
            os.kill(victim, signal.SIGKILL)
            waited(lambda: len(server.workers()) == 2 and victim not in server.workers(), "another worker")
            waited(lambda: seen.total() > calm + 200, "answers after the kill")
            is_over.append(True)
            for each in asking:
                each.result()
        after = server.answers("/ping")["model_version"]
        assert {(status, version) for status, version, _ in seen} == {(200, before), (200, after)}
        assert len(seen) == 2  # one probability a model
        assert max(broken.values(), default=0) <= 2  # the request in flight, and the connection that went with it
        counted = httpx.get(server.url + "/metrics").text
        answered = int(float(re.findall(r'churn_requests_total\{status="200"\} (\S+)', counted)[0]))
        assert seen.total() <= answered <= seen.total() + sum(broken.values())
        server.process.terminate()
        assert server.process.wait(60) == 0
    assert "Traceback" not in server.output.read_text()


def test_workers_end_with_a_supervisor_that_is_killed(retrained_home: Home, copied: Callable[[Home], Home]) -> None:
    with served(copied(retrained_home), "--workers", "2") as server:
        workers = waited(lambda: len(found := server.workers()) == 2 and found, "two workers")
        server.process.kill()
        server.process.wait()
        waited(lambda: not any(map(is_alive, workers)), "the end of the workers")


def test_the_page_answers_in_a_browser(retrained_home: Home, copied: Callable[[Home], Home], tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("needs Chromium")
    with served(copied(retrained_home), "--workers", "1") as server:
        usual = server.answers("/page-data/example")
        answer = httpx.post(server.url + "/invocations", json=usual).json()
        shown = subprocess.run(
            [browser, *HEADLESS, f"--user-data-dir={tmp_path}", "--dump-dom", server.url],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    percent = f"{100 * answer['churn_probability']:.1f}%"
    assert f'<strong id="probability">{percent}</strong>' in shown.stdout
    assert 'class="bar"' in shown.stdout
    assert "Content Security Policy" not in shown.stderr
    assert "Uncaught" not in shown.stderr
    assert json.dumps(answer["model_version"]).strip('"') in shown.stdout
