"""A headless Chromium, driven over its own protocol: pages are opened, looked at and clicked as a user does it."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from websockets.sync.client import ClientConnection, connect

T = TypeVar("T")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PATIENCE_SECONDS = 120
_SECONDS_TO_FOLLOW = 10
# The innermost visible elements whose text is, or begins with, what is looked for.
_FIND = """(() => {
  const shows = e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0 };
  const text = e => (e.innerText || e.getAttribute('aria-label') || '').trim();
  const all = [...document.querySelectorAll('button, a, label, [role=menuitem], [role=checkbox], [role=tab], span, div')];
  const able = e => !e.closest('button:disabled, [aria-disabled=true]');
  return all.filter(e => shows(e) && able(e) && text(e).startsWith(WANTED) && text(e).length < WANTED.length + 12)
    .sort((a, b) => text(a).length - text(b).length || (a.contains(b) ? 1 : -1))[0];
})()"""

_PLACE = """(() => {
  const e = FOUND;
  if (!e) return null;
  e.scrollIntoView({block: 'center'});
  const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2, top = document.elementFromPoint(x, y);
  return top && (e.contains(top) || top.contains(e)) ? [x, y] : null;
})()"""


def _place_of(words: str) -> str:
    return _PLACE.replace("FOUND", _FIND.replace("WANTED", json.dumps(words)))


def find_chromium() -> str | None:
    """Return the browser's command, or None if there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page of a browser of its own. `close` ends it."""

    def __init__(self, command: str, profile: Path) -> None:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        options += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "--window-size=1500,1000", "about:blank"]
        self._ends, self._number = ExitStack(), 0
        process = subprocess.Popen([command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._ends.callback(_end, process)
        with ExitStack() as unless_open:
            unless_open.callback(self.close)
            self._port = self.wait_for("the browser to listen", lambda: _read_port(profile))
            target = self._targets()[0]
            self._socket: ClientConnection = self._ends.enter_context(
                connect(
                    target["webSocketDebuggerUrl"],
                    max_size=None,
                    proxy=None,
                    ping_interval=None,
                    open_timeout=_PATIENCE_SECONDS,
                )
            )
            self.ask("Page.enable")
            unless_open.pop_all()

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command of the protocol and return its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=_PATIENCE_SECONDS))
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                result: dict[str, Any] = answer["result"]
                return result

    def evaluate(self, script: str) -> Any:
        """Return the value of a script in the page, or of its promise."""
        return self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)["result"].get(
            "value"
        )

    def open(self, url: str) -> None:
        """Go to an address, and wait until what the page loads is there and its scripts have run."""
        if failed := self.ask("Page.navigate", url=url).get("errorText"):
            raise RuntimeError(f"{url} does not open: {failed}")
        self.wait_for(f"{url} to load", lambda: self.evaluate("document.readyState") == "complete" or None)

    def text(self) -> str:
        """Return all text in view."""
        return str(self.evaluate("document.body ? document.body.innerText : ''") or "")

    def click(self, words: str) -> None:
        """Click what begins with these words, as soon as it is there, enabled and stays where it is."""
        self._press(self._wait_until_still(f"{words!r} to click", _place_of(words)))

    def click_until(self, words: str, then: str) -> None:
        """Click what begins with these words until others are in view: a page that is still being built misses a click."""
        self._press_until(_place_of(words), f"a click on {words!r}", then)

    def click_beside(self, words: str, then: str) -> None:
        """Do the same with the button after the one that begins with these words, such as the arrow that opens its menu."""
        found = f"""(() => {{
          const all = [...document.querySelectorAll('button')];
          const one = all.findIndex(e => e.innerText.trim().startsWith({json.dumps(words)}));
          return one < 0 ? null : all[one + 1];
        }})()"""
        self._press_until(_PLACE.replace("FOUND", found), f"a click beside {words!r}", then)

    def resize(self, width: int, height: int = 1000) -> None:
        """Show the page in a window of this size, in pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def _targets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(_get(f"http://127.0.0.1:{self._port}/json/list"))
        return found

    def _press(self, where: Sequence[float]) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)

    def _press_until(self, place: str, what: str, then: str) -> None:
        due, last = time.monotonic(), None

        def follows() -> bool | None:
            nonlocal due, last
            if then in self.text():
                return True
            where, before = self.evaluate(place), last
            last = where
            if where and where == before and time.monotonic() >= due:
                self._press(where)
                due = time.monotonic() + _SECONDS_TO_FOLLOW
            return None

        self.wait_for(f"{then!r} to follow {what}", follows)

    def _wait_until_still(self, what: str, script: str) -> Sequence[float]:
        """Return where something is, once it has been there for a moment: a page that is still being built moves what is clicked."""
        places: list[Sequence[float] | None] = [None]

        def still() -> Sequence[float] | None:
            places.append(self.evaluate(script))
            return places[-1] if places[-1] == places[-2] else None

        return self.wait_for(what, still)

    def see(self, words: str) -> None:
        """Wait until these words are in view."""
        self.wait_for(f"{words!r} to be seen", lambda: words in self.text() or None)

    def see_tab(self, title: str) -> None:
        """Wait until a link has opened a page of this title in a tab of its own, and close that tab."""
        tab = self.wait_for(
            f"a tab {title!r}", lambda: next((each for each in self._targets() if each["title"] == title), None)
        )
        _get(f"http://127.0.0.1:{self._port}/json/close/{tab['id']}")

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.ask("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        """Save what is in view as a PNG."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))

    def wait_for(self, what: str, found: Callable[[], T | None]) -> T:
        """Return what `found` gives, as soon as it gives something. Raise AssertionError with the text in view if it never does."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            if (result := found()) is not None:
                return result
            time.sleep(0.3)
        raise AssertionError(f"waited for {what}; in view: {self.text()[:2000]}")

    def close(self) -> None:
        """End the browser."""
        self._ends.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


def _read_port(profile: Path) -> str | None:
    try:
        port, _ = (profile / "DevToolsActivePort").read_text().split("\n")[:2]
    except (OSError, ValueError):
        return None
    return port


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS) as answer:
        return str(answer.read().decode())
