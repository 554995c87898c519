"""Tests of the page Gallery."""

from __future__ import annotations

import numpy as np
from leaderboard_store import filled_store, marked_up, open_page, texts
from sample_factories import PROMPTS, SCRIPT, grid_records, images, record, sampled_store
from store_factories import make_run

from bench.pictures import cut_grid
from bench.store import Store
from bench.tasks.grids import picture_grid
from leaderboard.components.samples import joined
from leaderboard.views.gallery import ALL, MOST, side_by_side


def test_images_come_first_with_methods_beside_what_is_real(sampled, monkeypatch):
    app = open_page(monkeypatch, sampled, "gallery", task="text_to_image")
    assert app.selectbox(key="method").options == [ALL, SCRIPT, "dfgan"]
    assert [text for text in (element.value for element in app.text) if text in PROMPTS] == PROMPTS
    assert len(app.get("image")) == 9  # three prompts: real once, and one of each method
    headings = [caption.value for caption in app.caption]
    assert headings[0] == "real" and headings.count("dfgan") == 3


def test_generation_is_the_first_task_and_filters_are_in_the_address(sampled, monkeypatch):
    app = open_page(monkeypatch, sampled, "gallery")
    assert app.selectbox(key="task").options[:2] == ["story", "text_to_image"]
    app = open_page(monkeypatch, sampled, "gallery", task="vqa", dataset="nowhere-qa", method="dualvgr")
    assert app.selectbox(key="method").value == "dualvgr" and len(app.get("image")) == 1
    app = open_page(monkeypatch, sampled, "gallery", task="nonsense", method="nobody", seed="x")
    assert app.selectbox(key="task").value in app.selectbox(key="task").options


def test_what_methods_share_is_shown_once():
    one, two = (cut_grid(*grid_records(seed=seed))[0] for seed in (1, 2))
    found = side_by_side([("a", one), ("b", two)], several=True)
    assert [image.heading for image in found] == ["real", "a", "b"]
    assert np.array_equal(found[0].pixels, images(3, 96)[0])
    assert np.array_equal(found[2].pixels, images(3, 96, 3)[0])
    assert [image.heading for image in side_by_side([("a", one)], several=False)] == ["drawn", "real"]


def test_maps_before_and_after_are_a_methods_own():
    one, two = (cut_grid(*grid_records(seed=seed))[0] for seed in (1, 2))
    maps = [piece._replace(strips={"image": piece.strips["real"], "before": piece.strips["drawn"],
                                   "after": piece.strips["drawn"][::-1]}) for piece in (one, two)]  # fmt: skip
    found = [image.heading for image in side_by_side([("a", maps[0]), ("b", maps[1])], several=True)]
    assert found == ["image", "a: before", "a: after", "b: before", "b: after"]


def test_a_prompt_of_one_of_several_runs_names_its_run():
    one = cut_grid(*grid_records(seed=1))[0]
    assert [image.heading for image in side_by_side([("a", one)], several=True)] == ["real", "a"]


def test_maps_of_one_item_stand_together_whatever_their_numbers(tmp_path, monkeypatch):
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        for place, number in enumerate((0.25, 0.75)):
            name = f"{place}" * 32
            columns = {"image": images(1, 96), "before": images(1, 96, 1 + place), "after": images(1, 96, 5 + place)}
            made = picture_grid("attribution", columns, [f"a (b) thing (item 7) drift {number} before."], {})
            samples = [record(sample, name, i) for i, sample in enumerate(made)]
            store.put_run(make_run(f"befa[m{place}]", fingerprint=name), None, samples)
    app = open_page(monkeypatch, path, "gallery")
    assert len(app.get("image")) == 5  # the picture once, and two maps of each method
    shown = [element.value for element in app.text]
    assert "a (b) thing (item 7)" in shown
    assert "befa[m0]: drift 0.25 before.\nbefa[m1]: drift 0.75 before." in shown


def test_an_edit_that_changes_nothing_still_stands_for_its_method():
    one, _ = (cut_grid(*grid_records(seed=seed))[0] for seed in (1, 2))
    same = one._replace(strips={"before": one.strips["real"], "made": one.strips["real"]})
    found = [image.heading for image in side_by_side([("a", same), ("b", same)], several=True)]
    assert found == ["before", "a", "b"]


def test_frames_of_a_story_stand_in_their_order():
    frames = images(3, 8)
    strip = joined(frames)
    assert strip.shape == (8, 3 * 8 + 2 * 4, 3)
    assert all(np.array_equal(strip[:, at * 12 : at * 12 + 8], frames[at]) for at in range(3))


def test_a_story_shows_captions_and_what_was_given(sampled, monkeypatch):
    app = open_page(monkeypatch, sampled, "gallery", task="story")
    assert "1 (given). bo jumps\n2. bo stands\n3. bo falls" in texts(app)
    assert "Generated data" in app.warning[0].value


def test_reasoning_is_shown_before_numbers_and_by_question(sampled, monkeypatch):
    app = open_page(monkeypatch, sampled, "gallery", task="vqa")
    assert len(app.get("image")) == 1
    app = open_page(monkeypatch, sampled, "gallery", task="vqa", show="accuracy by type")
    assert len(app.dataframe) == 2
    assert "dualvgr" in texts(app) and "st_vqa" in texts(app)


def test_attribution_maps_are_shown(sampled, monkeypatch):
    app = open_page(monkeypatch, sampled, "gallery", task="recommendation")
    assert len(app.get("image")) == 1


def test_long_galleries_are_in_pages(tmp_path, monkeypatch):
    path = tmp_path / "results.db"
    texts_ = [f"prompt {i}" for i in range(24)]
    made = picture_grid("g", {"drawn": images(24, 96)}, texts_, {"side": 96})
    with Store.open(path) as store:
        common = {"family": "generation", "task": "text_to_image", "dataset": "emoji"}
        for number in range(MOST + 2):
            name = f"{number:032x}"
            samples = [record(sample, name, i) for i, sample in enumerate(made)]
            store.put_run(make_run(f"m{number}", fingerprint=name, **common), None, samples)
    app = open_page(monkeypatch, path, "gallery", method="m3")
    app.session_state["page"] = 2
    app.run()
    shown = [element.value for element in app.text if element.value in texts_]
    assert shown == texts_[12:]
    app = open_page(monkeypatch, path, "gallery")
    assert any(f"first {MOST} of {MOST + 2} runs" in caption.value for caption in app.caption)


def test_a_damaged_sample_is_told_and_the_rest_is_shown(tmp_path, monkeypatch):
    path = sampled_store(tmp_path / "results.db")
    with Store.open(path) as store:
        run = store.find_run("a1" * 16)
        grid, prompts = store.samples("a1" * 16)
        store.put_run(run, None, [grid, prompts.model_copy(update={"data": b"{"})], replace=True)
        run = store.find_run("a6" * 16)
        (matrix,) = store.samples("a6" * 16)
        store.put_run(run, None, [matrix.model_copy(update={"data": b"[]"})], replace=True)
    app = open_page(monkeypatch, path, "gallery", task="text_to_image")
    assert len(app.get("image")) == 7  # the whole sheet of one, three prompts of the other
    app = open_page(monkeypatch, path, "gallery", task="classification")
    assert app.warning[0].value == "This sample cannot be drawn."


def test_a_store_without_samples_says_how_to_get_some(tmp_path, monkeypatch):
    app = open_page(monkeypatch, filled_store(tmp_path / "results.db"), "gallery")
    assert "left anything" in app.info[0].value


def test_prompts_and_methods_are_no_markup(sampled, monkeypatch):
    app = open_page(monkeypatch, sampled, "gallery", task="text_to_image")
    assert not any("<script>" in text or ":red[x]" in text for text in marked_up(app))
