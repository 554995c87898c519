"""The HTML report in a real browser: it stands alone, says what the store says, and names in it are only text."""

from __future__ import annotations

import json

import pytest
from browser import chromium, window
from leaderboard_store import NASTY, filled_store
from typer.testing import CliRunner

from bench.cli.app import build

pytestmark = pytest.mark.slow

ROWS = """section => [...section.querySelectorAll('tbody tr')].map(
    row => [...row.children].map(cell => cell.innerText.trim()))"""


def reported(store, *arguments: str) -> str:
    found = CliRunner().invoke(build(), ["report", "--store", str(store), *arguments])
    assert found.exit_code == 0, found.output
    return found.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    chromium()
    return filled_store(tmp_path_factory.mktemp("store") / "results.db")


@pytest.fixture(scope="module")
def report(store):
    path = store.parent / "report.html"
    reported(store, "--format", "html", "--out", str(path))
    return path


def test_every_score_of_the_store_is_on_the_page_best_first(page, store, report):
    page.goto(report.as_uri())
    tables = json.loads(reported(store, "--format", "json"))
    sections = page.locator("section")
    assert sections.count() == len(tables) > 1
    for number, table in enumerate(tables):
        section = sections.nth(number)
        assert section.locator("h2").inner_text().startswith(f"{table['task']} · {table['dataset']} ")
        shown = section.evaluate(ROWS)
        assert [row[0].split(" (")[0] for row in shown] == [row["method"] for row in table["rows"]]
        for cells, row in zip(shown, table["rows"], strict=True):
            for place, name in enumerate(table["metrics"], start=1):
                score = row["scores"].get(name)
                if score is None or score["mean"] is None:
                    assert cells[place] == "–"
                else:
                    assert cells[place].startswith(f"{score['mean']:.4f}")


def test_a_link_of_the_contents_leads_to_its_table(page, report):
    page.goto(report.as_uri())
    last = page.locator("nav a").last
    last.click()
    assert page.url.endswith(last.get_attribute("href"))
    section = page.locator("section").last
    assert section.locator("h2").inner_text() == last.inner_text()
    assert section.evaluate("s => s.getBoundingClientRect().top < innerHeight")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_stands_alone_runs_nothing_and_only_tables_scroll(browser, report, scheme):
    page = window(browser, scheme=scheme)
    dialogs, requests, errors = [], [], []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(report.as_uri())
    assert (dialogs, requests, errors) == ([], [report.as_uri()], [])
    assert page.locator("script, img, iframe, object").count() == 0
    assert NASTY in page.inner_text("body")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    red = page.evaluate("getComputedStyle(document.body).backgroundColor").partition("(")[2].partition(",")[0]
    assert (int(red) < 128) == (scheme == "dark")
    page.context.close()
