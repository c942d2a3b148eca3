"""The live page in a real browser: it shows what is, hears what comes, and runs nothing of a stranger's."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import api_kit
import httpx
import pytest
from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-dev-shm-usage", "--remote-debugging-port=0",
)  # fmt: skip
EVIL = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"

#: Every text on the page against the background behind it, by WCAG 2.2's formula.
CONTRASTS = """
(() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const poor = [];
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color).slice(0, 3)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) poor.push(`${e.tagName} ${e.className}: ${ratio.toFixed(2)}`);
  }
  return poor;
})()
"""  # noqa: E501 - one expression


class Browser:
    """A tab, over the DevTools protocol."""

    def __init__(self, socket) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        #: What the page complained of: exceptions, refused resources, violations of its policy.
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=20))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._listen(message)

    def _listen(self, message: dict[str, Any]) -> None:
        if message["method"] == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(message["params"]))
        elif message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.complaints.append(message["params"]["entry"]["text"])

    def value(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def text(self) -> str:
        return self.value("document.body.innerText") or ""

    def wait(self, expression: str, seconds: float = 10.0) -> None:
        """Until the expression is true; its last value when it does not become so."""
        end = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < end, f"{expression} did not become true:\n{self.text()}"
            time.sleep(0.05)


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, gone at the end."""
    assert CHROMIUM
    with (profile.parent / "chromium.log").open("w") as log:
        process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--window-size=1280,1600", "about:blank"],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        with connect(_debugger(profile), max_size=None, ping_interval=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        process.wait(20)


def _debugger(profile: Path) -> str:
    told = profile / "DevToolsActivePort"
    end = time.monotonic() + 30
    while not (told.exists() and told.read_text().count("\n")):
        assert time.monotonic() < end, "the browser did not start"
        time.sleep(0.1)
    port = told.read_text().split()[0]
    tabs = httpx.get(f"http://127.0.0.1:{port}/json/list").json()
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")


def test_the_page_shows_what_is_and_hears_what_comes(tmp_path):
    """One visit, from the first look to the moment when the service goes away."""
    home = api_kit.make_home(tmp_path)
    with (
        api_kit.service("status_api", home) as api,
        api.client("status") as client,
        browser(tmp_path / "profile") as tab,
    ):

        def submit(id: str, **more: str) -> None:
            answer = client.post("/api/patches", content=api_kit.patch(id, **more), headers=home.bearer("submit"))
            assert answer.status_code == 202, answer.text

        submit("first-patch", description=EVIL)
        tab.call("Page.navigate", url=api.url("dashboard") + "/")
        tab.wait("document.getElementById('live')?.textContent === 'live'")
        assert "first-patch" in tab.text()
        assert "<script>document.title" in tab.text()
        assert "queued" in tab.text()

        submit("second-patch")
        tab.wait("document.querySelector('#patches tbody tr').innerText.includes('second-patch')", 3.0)
        tab.wait("document.querySelector('#events').innerText.includes('second-patch')", 3.0)

        for scheme in ("light", "dark"):
            tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            assert tab.value(CONTRASTS) == []
        assert tab.value("document.title").endswith("ghost")
        assert tab.value("document.images.length") == 1
        assert tab.complaints == []

        api.process.terminate()
        tab.wait("document.getElementById('live').textContent.includes('lost')")


def test_the_page_reads_without_javascript(tmp_path):
    """A table of what is, written by the server."""
    home = api_kit.make_home(tmp_path)
    with api_kit.service("status_api", home) as api, browser(tmp_path / "profile") as tab:
        with api.client("status") as client:
            client.post("/api/patches", content=api_kit.patch("plain"), headers=home.bearer("submit"))
        tab.call("Emulation.setScriptExecutionDisabled", value=True)
        tab.call("Page.navigate", url=api.url("monitor") + "/")
        tab.wait("document.querySelector('#patches tbody tr')?.innerText.includes('plain')")
        assert "Without JavaScript" in tab.text()
        assert tab.value("document.getElementById('live').hidden")
