"""The pages Run, Gallery and Gate in a real browser."""

from __future__ import annotations

import csv
from urllib.parse import parse_qs, urlparse

import pytest
from browser import cells, choose, chromium, open_at, settle, window
from sample_factories import PROMPTS, SCRIPT, sampled_store

from bench.pictures import read_confusion
from bench.store import Store

pytestmark = pytest.mark.slow

PARTS = ("Results", "Samples", "Configuration", "Provenance", "Repeat+it")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    chromium()
    return sampled_store(tmp_path_factory.mktemp("store") / "results.db")


def test_a_part_of_a_run_is_in_the_address(page, address):
    open_at(page, f"{address}/run?run=a6a6")
    page.get_by_role("tab", name="Provenance").click()
    settle(page)
    assert parse_qs(urlparse(page.url).query) == {"run": ["a6a6"], "part": ["Provenance"]}
    assert ["commit", "abc"] in [row[:2] for row in cells(page)]
    page.reload()
    settle(page)
    assert page.get_by_role("tab", name="Provenance").get_attribute("aria-selected") == "true"


def test_the_downloaded_confusions_equal_the_stored_matrix(page, address, store, tmp_path):
    open_at(page, f"{address}/run?run=a6a6&part=Samples")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="CSV", exact=True).first.click()
    waiting.value.save_as(tmp_path / "cells.csv")
    with (tmp_path / "cells.csv").open(newline="") as file:
        found = {(row["true"], row["predicted"]): int(row["images"]) for row in csv.DictReader(file)}
    with Store.open(store, read_only=True) as opened:
        confusion = read_confusion(opened.samples("a6" * 16)[0])
    names = confusion.classes
    expected = {
        (names[row], names[column]): int(count)
        for row, counts in enumerate(confusion.counts.tolist())
        for column, count in enumerate(counts)
        if count
    }
    assert found == expected


def test_a_picture_downloads_as_png(page, address, tmp_path):
    open_at(page, f"{address}/run?run=a6a6&part=Samples")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Picture with the list beside it").click()
    waiting.value.save_as(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_gallery_leads_to_the_run_of_an_image(page, address):
    open_at(page, f"{address}/gallery?task=text_to_image")
    text = page.inner_text("[data-testid=stMain]")
    assert all(prompt in text for prompt in PROMPTS)
    images = page.locator("[data-testid=stMain] img")
    assert images.count() == 9
    assert all(images.nth(place).get_attribute("alt").endswith(PROMPTS[place // 3]) for place in range(9))
    choose(page, "Method", "dfgan")
    assert parse_qs(urlparse(page.url).query)["method"] == ["dfgan"]
    page.get_by_role("link", name="dfgan").first.click()
    settle(page)
    where = parse_qs(urlparse(page.url).query)
    assert (where["run"], where["part"]) == (["a1" * 16], ["Samples"])


def test_another_run_can_be_chosen_by_hand(page, address):
    open_at(page, f"{address}/run?run=a6a6")
    page.get_by_role("button", name="Choose another run").click()
    settle(page)
    assert "run" not in parse_qs(urlparse(page.url).query)
    choose(page, "Task", "vqa")
    choose(page, "Method", "st_vqa")
    assert "a5a5a5" in str(cells(page, 1))


def test_a_method_that_is_a_script_does_no_harm(page, address):
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for part in PARTS:
        open_at(page, f"{address}/run?run=a2a2&part={part}")
        assert SCRIPT in page.inner_text("[data-testid=stMain]")
    open_at(page, f"{address}/gallery?task=text_to_image")
    script = "[...document.querySelectorAll('script')].filter(s => s.textContent.includes('alert(1)')).length"
    assert page.evaluate(script) == 0 and not dialogs
    assert page.locator("[data-testid=stMain] a[href='http://b']").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_scrolls_sideways_at_1280(browser, address, scheme):
    page = window(browser, scheme=scheme)
    places = [f"run?run={name}&part={part}" for name in ("a6a6", "a4a4") for part in PARTS]
    places += [f"gallery?task={task}" for task in ("text_to_image", "story", "vqa", "classification")]
    for place in [*places, "gate", "gate?gate=Any+table%2C+without+a+baseline"]:
        open_at(page, f"{address}/{place}")
        main = page.locator("[data-testid=stMain]")
        wide, room = main.evaluate("main => [main.scrollWidth, main.clientWidth]")
        assert wide <= room, place
        inner = page.locator("[data-testid=stDataFrame] .dvn-scroller")
        for table in range(inner.count()):
            wide, room = inner.nth(table).evaluate("table => [table.scrollWidth, table.clientWidth]")
            assert wide <= room + 1, (place, table)
        assert page.locator("[data-testid=stException]").count() == 0
    page.context.close()
