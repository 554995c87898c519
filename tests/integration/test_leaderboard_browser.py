"""The leaderboard in a real browser: filters, sorting, links, downloads, keyboard, and text that is only text."""

from __future__ import annotations

import csv
from urllib.parse import parse_qs, urlparse

import pytest
from browser import cells, choose, chromium, names, open_at, settle, soon, window
from leaderboard_store import NASTY, filled_store, fingerprint

from bench.store import Store

pytestmark = pytest.mark.slow

PAGES = ("", "task", "compare", "search", "run", "gallery", "gate")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    chromium()
    return filled_store(tmp_path_factory.mktemp("store") / "results.db")


def test_filters_are_in_the_address_and_the_address_brings_them_back(page, browser, address):
    open_at(page, address)
    choose(page, "Data", "Generated data")
    page.get_by_label("Method", exact=True).fill("mgc")
    page.keyboard.press("Enter")
    settle(page)
    query = parse_qs(urlparse(page.url).query)
    assert query == {"data": ["Generated data"], "find": ["mgc"]}
    assert names(page, ["mgcn"]) == ["mgcn"]
    shown = cells(page)
    assert "1 of 1" in shown[0]
    again = window(browser)
    open_at(again, page.url)
    assert soon(lambda: cells(again), lambda found: found == shown) == shown
    again.context.close()


def test_a_click_on_a_heading_sorts(page, address):
    open_at(page, f"{address}/task")
    assert cells(page)[0][0] == "mgcn"
    box = page.locator("[data-testid=stDataFrame] canvas").first.bounding_box()
    # The heading of the second column, after the boxes to tick and the methods.
    page.mouse.click(box["x"] + 260, box["y"] + 17)
    assert soon(lambda: cells(page)[0][0], lambda first: first == NASTY) == NASTY
    scores = [float(row[1]) for row in cells(page)]
    assert scores == sorted(scores)


def test_order_can_be_shared(page, address):
    open_at(page, f"{address}/task")
    choose(page, "Order", "Method")
    assert parse_qs(urlparse(page.url).query)["order"] == ["Method"]
    assert names(page, [NASTY, "bpr", "mgcn"]) == [NASTY, "bpr", "mgcn"]


def test_a_click_on_a_row_leads_to_its_runs(page, address):
    open_at(page, f"{address}/task")
    box = page.locator("[data-testid=stDataFrame] canvas").first.bounding_box()
    page.mouse.click(box["x"] + 16, box["y"] + 35 + 17 + 35)
    settle(page)
    assert parse_qs(urlparse(page.url).query)["method"] == ["bpr"]
    page.get_by_role("link", name="Seed 1").click()
    settle(page)
    where = urlparse(page.url)
    assert where.path == "/run"
    assert parse_qs(where.query)["run"] == [fingerprint("bpr", 1, "baby")]
    assert "bpr" in page.inner_text("[data-testid=stMain]")


def test_the_downloaded_table_equals_the_store(page, address, store, tmp_path):
    open_at(page, f"{address}/task")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    waiting.value.save_as(tmp_path / "table.csv")
    assert waiting.value.suggested_filename == "recommendation_baby_mmrec-v1_small.csv"
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    with Store.open(store, read_only=True) as opened:
        for method in ("mgcn", "bpr", NASTY):
            runs = opened.runs(dataset="baby", method=method)
            for metric in ("recall@20", "ndcg@20"):
                mean = sum(run.metrics[metric] for run in runs) / len(runs)
                assert float(rows[method][metric]) == pytest.approx(mean, rel=1e-15)
            assert rows[method]["seeds"] == "0 1 2"


@pytest.mark.parametrize(("label", "start"), [("PNG", b"\x89PNG"), ("SVG", b"<svg"), ("CSV", b"low,high,units")])
def test_charts_download(page, address, tmp_path, label, start):
    open_at(page, f"{address}/compare?a=bpr&b=mgcn")
    buttons = page.get_by_role("button", name=label, exact=True)
    # One per chart. Until all three are there, the first that is drawn need not be the first of the page.
    buttons.nth(2).wait_for()
    with page.expect_download() as waiting:
        buttons.first.click()
    waiting.value.save_as(tmp_path / "chart")
    assert waiting.value.suggested_filename.startswith("differences_")
    assert (tmp_path / "chart").read_bytes().startswith(start)


def test_a_pair_can_be_shared(page, address):
    open_at(page, f"{address}/compare")
    choose(page, "First method", "mgcn")
    choose(page, "Second method", NASTY)
    assert parse_qs(urlparse(page.url).query)["b"] == [NASTY]
    assert "mgcn is better than" in page.inner_text("[data-testid=stMain]")
    page.reload()
    settle(page)
    assert "mgcn is better than" in page.inner_text("[data-testid=stMain]")


def test_names_do_no_harm_and_nothing_is_loaded_from_elsewhere(page, address):
    dialogs, elsewhere, errors = [], [], []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.on(
        "request",
        lambda request: None if request.url.startswith((address, "data:", "blob:")) else elsewhere.append(request.url),
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    for name in PAGES[:4]:
        open_at(page, f"{address}/{name}?a=mgcn&method=%3Cscript%3E&reference=mgcn&run={fingerprint(NASTY, 0, 'baby')}")
    open_at(page, f"{address}/compare?a={NASTY.replace('#', '%23')}&b=mgcn")
    assert NASTY in page.inner_text("[data-testid=stMain]")
    assert page.locator("[data-testid=stMain] a", has_text="y").filter(has_text="x").count() == 0
    assert (
        page.evaluate("[...document.querySelectorAll('script')].filter(s => s.textContent.includes('alert(1)')).length")
        == 0
    )
    assert (dialogs, elsewhere, errors) == ([], [], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_scrolls_sideways(browser, address, scheme):
    page = window(browser, scheme=scheme)
    for name in PAGES:
        open_at(page, f"{address}/{name}")
        main = page.locator("[data-testid=stMain]")
        wide, room = main.evaluate("main => [main.scrollWidth, main.clientWidth]")
        assert wide <= room, name
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        inner = page.locator("[data-testid=stDataFrame] .dvn-scroller")
        for place in range(inner.count()):
            wide, room = inner.nth(place).evaluate("table => [table.scrollWidth, table.clientWidth]")
            assert wide <= room + 1, (name, place)
        background = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
        red = int(background.partition("(")[2].partition(",")[0])
        assert (red < 128) == (scheme == "dark")
    page.context.close()


def test_a_filter_and_a_link_work_from_the_keyboard(page, address):
    open_at(page, f"{address}/task")
    page.get_by_role("combobox", name="Dataset").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    settle(page)
    assert parse_qs(urlparse(page.url).query)["dataset"] == ["baby-twin"]
    assert "Generated data" in page.inner_text("[data-testid=stMain]")
    page.get_by_role("link", name="Compare", exact=True).first.focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    settle(page)
    assert urlparse(page.url).path == "/compare"
