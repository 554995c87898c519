"""A leaderboard served on this machine, and a real Chromium to open it in."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
START_S = 60
# The page notes when it last sent to the server, heard from it and changed, from before its own scripts run.
WATCH = """
window.__last = {sent: 0, heard: 0, changed: 0};
const mark = name => { window.__last[name] = performance.now(); };
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (...given) {
    if (!this.__watched) { this.__watched = true; this.addEventListener('message', () => mark('heard')); }
    mark('sent');
    return send.apply(this, given);
};
new MutationObserver(() => mark('changed')).observe(
    document, {subtree: true, childList: true, characterData: true, attributes: true});
"""
# Idle: what was sent last is answered, the script has ended, all that draws elements has been fetched (until then a
# skeleton stands there), and nothing has changed for a while (a table tells a screen reader its cells 200 ms late).
IDLE = """() => {
    const {sent, heard, changed} = window.__last, now = performance.now();
    return sent > 0 && heard >= sent && now - Math.max(sent, heard, changed) > 600
        && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
        && !document.querySelector('[data-testid=stSkeleton]');
}"""
SOON_S = 20


def chromium() -> str:
    """Returns Chromium's path, or skips the test with what is missing."""
    pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install -e '.[test]')")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("needs Chromium (apt-get install chromium, or $CHROMIUM)")
    return found


@contextmanager
def served(store: Path) -> Iterator[str]:
    """Serves the leaderboard over a store; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "streamlit", "run", str(ROOT / "leaderboard" / "app.py")),
        *("--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"),
        *("--server.fileWatcherType", "none", "--", "--store", str(store)),
    ]
    address = f"http://127.0.0.1:{port}"
    # A folder of its own: a stray configuration of the user's must not matter.
    with subprocess.Popen(command, cwd=store.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(10 * START_S):
                if server.poll() is not None:
                    raise RuntimeError(f"the leaderboard ended with exit code {server.returncode}")
                try:
                    urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield address
        finally:
            server.terminate()


@contextmanager
def launched() -> Iterator[Any]:
    """Yields a browser; only one can be open at a time."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def window(browser: Any, *, scheme: str = "light", width: int = 1280, height: int = 900) -> Any:
    """Returns a fresh window of this size, which shares nothing with others."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(20_000)
    context.add_init_script(WATCH)
    return context.new_page()


def settle(page: Any) -> None:
    """Waits until the page is drawn and nothing runs any more."""
    page.wait_for_selector("h1")
    page.wait_for_function(IDLE)


def soon(read: Callable[[], T], holds: Callable[[T], bool]) -> T:
    """Reads until it holds, or for a while; returns what was read last, for the test to assert."""
    end = time.monotonic() + SOON_S
    while not holds(found := read()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def open_at(page: Any, address: str) -> None:
    """Goes to an address and waits until its page is drawn."""
    page.goto(address)
    settle(page)


def choose(page: Any, label: str, option: str) -> None:
    """Picks an option of a select box by its label."""
    page.get_by_role("combobox", name=label, exact=True).first.click()
    page.get_by_role("option", name=option, exact=True).first.click()
    settle(page)


def cells(page: Any, number: int = 0) -> list[list[str]]:
    """Returns the texts of a table that is drawn on a canvas, from what it tells a screen reader."""
    grid = page.locator("[data-testid=stDataFrame]").nth(number).locator("table[role=grid]")
    script = "t => [...t.querySelectorAll('tbody tr')].map(r => [...r.querySelectorAll('td')].map(c => c.textContent))"
    rows: list[list[str]] = grid.evaluate(script)
    return rows


def names(page: Any, wanted: list[str]) -> list[str]:
    """Returns the first column of the first table, once it is as wanted or after a while whatever it is."""
    return soon(lambda: [row[0] for row in cells(page)], lambda found: found == wanted)
