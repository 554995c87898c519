"""Contact sheets of heat maps."""

from __future__ import annotations

import io
import json

import numpy as np
from PIL import Image

from bench.tasks.heatmaps import heat_sheet, overlay

BLACK = np.zeros((1, 4, 6, 3), dtype=np.uint8)


def test_each_part_is_one_colour_and_more_heat_is_brighter() -> None:
    heat = np.array([[[0.0, 1.0, 2.0], [3.0, 4.0, 8.0]]])
    drawn = overlay(BLACK, heat)
    assert drawn.shape == BLACK.shape and drawn.dtype == np.uint8
    cells = drawn.reshape(1, 2, 2, 3, 2, 3)
    assert (cells == cells[:, :, :1, :, :1]).all()
    light = cells[0, :, 0, :, 0].astype(int).sum(axis=-1).ravel()
    assert (np.diff(light) > 0).all()


def test_a_map_is_drawn_against_its_own_largest_value_and_an_empty_one_is_dark() -> None:
    heat = np.array([[[1.0, 2.0]], [[100.0, 200.0]], [[0.0, 0.0]]])
    drawn = overlay(np.zeros((3, 2, 2, 3), dtype=np.uint8), heat)
    assert np.array_equal(drawn[0], drawn[1])
    assert (drawn[2] == drawn[2, 0, 0]).all() and drawn[2].sum() < drawn[0].sum()


def test_the_picture_shows_through() -> None:
    pictures = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    pictures[0, 0, 0] = 255
    drawn = overlay(pictures, np.ones((1, 1, 1)))
    assert (drawn[0, 0, 0] > drawn[0, 1, 1]).all()


def test_the_sheet_holds_pictures_maps_and_texts() -> None:
    pictures = np.full((3, 6, 4, 3), 90, dtype=np.uint8)
    heat = np.random.default_rng(0).random((3, 3, 2))
    sheet, texts = heat_sheet("maps", pictures, {"before": heat, "after": heat}, ["a", "b", "c"], {"form": "occlusion"})
    assert sheet.media_type == "image/png" and Image.open(io.BytesIO(sheet.data)).width > 3 * 96
    told = json.loads(texts.data)
    assert told["prompts"] == ["a", "b", "c"] and told["columns"] == ["image", "before", "after"]
    assert sheet.notes["form"] == "occlusion"
