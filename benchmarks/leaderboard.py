"""How long the leaderboard takes over a large store, in a real browser, and how much memory.

    python -m benchmarks.leaderboard                              # makes a store of 100,000 runs first, half a minute
    python -m benchmarks.leaderboard --store large.db --rounds 5

Title and paint: from asking for the address until the heading, and the first table, are drawn; `cold` is the first
visitor, in the moment the server answers, `warm` any later one. `alone` is a page that holds a heading and a table of
one cell: what Streamlit itself takes. Filter: from the choice until nothing runs any more. Processor seconds are the
server's own, and steadier than the clock where other processes run. Needs playwright and Chromium ($CHROMIUM).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from benchmarks.leaderboard_store import make

ROOT = Path(__file__).parents[1]
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
IDLE = """() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
    && !document.querySelector('[data-testid=stSkeleton]')"""
WATCH = """() => {
    const app = document.querySelector('[data-testid=stApp]');
    window.started = false;
    new MutationObserver(() => { window.started ||= app.dataset.testScriptState !== 'notRunning'; })
        .observe(app, { attributes: true, attributeFilter: ['data-test-script-state'] });
}"""
"""Notes that the script ran, however short it was."""
ALONE = "import streamlit as st\n\nst.title('alone')\nst.dataframe({'one': [1]})\n"
TABLE = "[data-testid=stDataFrame] canvas"
DRAWN = {
    "alone": TABLE,
    "overview": TABLE,
    "task": TABLE,
    "compare": "[data-testid=stMetric]",
    "search": "[data-testid=stVegaLiteChart] :is(svg, canvas)",
}
FILTERS = (
    ("overview", "Data", "Generated data"),
    ("overview", "Budget", "full"),
    ("task", "Dataset", "recommendation-01"),
    ("task", "Order", "Seconds"),
    ("compare", "Second method", "house_05"),
    ("search", "Method", "ease"),
)


class Server:
    """A Streamlit server of its own.

    Args:
        app: The script it runs.
        arguments: Of the script.
    """

    def __init__(self, app: Path, *arguments: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "streamlit", "run", str(app)]
        command += ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
        command += ["--server.fileWatcherType", "none", "--", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.about = psutil.Process(self.process.pid)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the server did not start.")

    def processor(self) -> float:
        times = self.about.cpu_times()
        return times.user + times.system

    def memory(self) -> float:
        return self.about.memory_info().rss / 2**20

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def opened(browser: Any, server: Server, page: str) -> dict[str, float]:
    """Opens a page in a fresh window and returns what it took."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    before, start = server.processor(), time.perf_counter()
    tab.goto(f"{server.address}/{'' if page in ('alone', 'overview') else page}", wait_until="commit")
    tab.wait_for_selector("h1")
    titled = time.perf_counter() - start
    tab.wait_for_selector(DRAWN[page])
    painted = time.perf_counter() - start
    tab.wait_for_function(IDLE)
    found = {
        "title": titled,
        "paint": painted,
        "complete": time.perf_counter() - start,
        "processor": server.processor() - before,
    }
    context.close()
    return found


def filtered(browser: Any, server: Server, page: str, label: str, option: str, rounds: int) -> list[float]:
    """Picks an option, and then back, several times; returns the time of each."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.goto(f"{server.address}/{'' if page == 'overview' else page}?task=recommendation")
    tab.wait_for_selector(DRAWN[page])
    tab.wait_for_function(IDLE)
    times = []
    box = tab.get_by_role("combobox", name=label, exact=True).first
    first = box.input_value()
    for number in range(2 * rounds):
        box.click()
        choice = tab.get_by_role("option", name=option if number % 2 == 0 else first, exact=True).first
        choice.wait_for()
        tab.evaluate(WATCH)
        start = time.perf_counter()
        choice.click()
        tab.wait_for_function("() => window.started", polling=5)
        tab.wait_for_function(IDLE, polling=5)
        times.append(time.perf_counter() - start)
    context.close()
    return times


def measure(store: Path, rounds: int) -> dict[str, Any]:
    """Returns seconds and MiB."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    leaderboard = (ROOT / "leaderboard" / "app.py", "--store", str(store))
    found: dict[str, Any] = {"cold": [], "warm": {}, "filter": {}, "memory_mib": {}}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        with tempfile.TemporaryDirectory() as folder:
            blank = Path(folder) / "alone.py"
            blank.write_text(ALONE)
            server = Server(blank)
            opened(browser, server, "alone")
            found["warm"]["alone"] = [opened(browser, server, "alone") for _ in range(rounds)]
            server.stop()
        for _ in range(rounds):
            server = Server(*leaderboard)
            found["cold"].append(opened(browser, server, "overview"))
            server.stop()
        server = Server(*leaderboard)
        found["memory_mib"]["started"] = server.memory()
        for page in [page for page in DRAWN if page != "alone"]:
            opened(browser, server, page)
            found["warm"][page] = [opened(browser, server, page) for _ in range(rounds)]
            found["memory_mib"][page] = server.memory()
        for page, label, option in FILTERS:
            found["filter"][f"{page}: {label}"] = filtered(browser, server, page, label, option, rounds)
        found["memory_mib"]["end"] = server.memory()
        server.stop()
        browser.close()
    return found


def lines(found: dict[str, Any]) -> list[str]:
    """Returns medians and maxima, a line each."""

    def said(samples: list[float]) -> str:
        return f"median {statistics.median(samples):.2f} s, max {max(samples):.2f} s"

    out = [f"overview, cold, {name}: {said([one[name] for one in found['cold']])}" for name in found["cold"][0]]
    for page, samples in found["warm"].items():
        out += [f"{page}, warm, {name}: {said([one[name] for one in samples])}" for name in samples[0]]
    out += [f"filter {name}: {said(samples)}" for name, samples in found["filter"].items()]
    out += [f"memory, {name}: {value:,.0f} MiB" for name, value in found["memory_mib"].items()]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="A store made by benchmarks.leaderboard_store; None: a new one.")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = arguments.store or Path(folder) / "large.db"
        if arguments.store is None:
            make(store, arguments.runs)
        found = measure(store.resolve(), arguments.rounds)
    print(json.dumps(found) if arguments.json else "\n".join(lines(found)))


if __name__ == "__main__":
    main()
