"""Generated items in pictures: what decides behaviour, what parts say, and where the foreground is."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from bench.cli.data_sheet import samples
from bench.data.dataset import open_dataset
from bench.data.parts import Grid, item_parts, standardised_parts
from bench.data.worlds.scenes.items import CLUTTER, DEGREES, SIDE, draw_looks, draw_rows, foreground, text_vectors
from bench.data.worlds.scenes.parts import COLOURLESS, DIRECTIONS, GREYS, HUES, PART_DIM, VIVID, part_features
from bench.data.worlds.scenes.render import owners, render
from bench.data.worlds.scenes.vocabulary import COLOUR_RGB, SHAPES
from bench.errors import UserError


def test_the_dataset_has_both_modalities_and_the_item_vector_is_the_mean_of_its_parts() -> None:
    dataset = open_dataset("scenes-items@0.1")
    data = dataset.training()
    assert (data.n_users, data.n_items) == (200, 80) and dataset.generated
    parts = item_parts(dataset)
    assert parts.features.shape == (80, 64, PART_DIM) and parts.pictured.all()
    vectors = data.modalities["image"].features
    np.testing.assert_allclose(parts.features.mean(axis=1), vectors, atol=1e-5)
    varies = vectors.std(axis=0) > 0
    np.testing.assert_allclose(vectors[:, varies].std(axis=0), 1.0, atol=1e-3)
    np.testing.assert_allclose(vectors.mean(axis=0), 0.0, atol=1e-4)
    assert parts.pictures(np.array([3, 7])).shape == (2, SIDE, SIDE, 3)
    assert all(
        SHAPES[shape] in title for shape, title in zip(draw_looks(np.arange(80)).shape, parts.titles, strict=True)
    )


def test_splits_hold_every_row_once_and_follow_mmrecs_rule() -> None:
    dataset = open_dataset("scenes-items@0.1")
    data, test = dataset.training(), dataset.test()
    rows = draw_rows(200, draw_looks(np.arange(80)))
    drawn = sorted(zip(rows.users.tolist(), rows.items.tolist(), strict=True))
    assert len(set(drawn)) == len(drawn)
    assert (
        sorted((u, i) for part in (data.train, data.valid, test) for u, i in zip(part.users, part.items, strict=True))
        == drawn
    )
    user = np.flatnonzero(np.bincount(rows.users) >= 10)[0]
    held = int(np.bincount(rows.users)[user] * 0.2)
    assert (data.valid.users == user).sum() == held // 2 and (test.users == user).sum() == held - held // 2


def test_a_larger_world_begins_with_the_smaller_one() -> None:
    small, large = draw_looks(np.arange(20)), draw_looks(np.arange(60))
    assert np.array_equal(render(small.scenes, 32), render(large.scenes, 32)[:20])
    assert np.array_equal(small.popularity, large.popularity[:20])
    np.testing.assert_array_equal(text_vectors(small), text_vectors(large)[:20])


def test_people_choose_by_colour_and_shape_and_never_by_backdrop() -> None:
    looks = draw_looks(np.arange(800))
    rows = draw_rows(300, looks)
    degree = np.bincount(rows.users)
    assert degree.min() >= DEGREES[0] and degree.max() <= DEGREES[1]

    def agreement(what: np.ndarray) -> float:
        """How often two items of one user are alike, over how often any two are."""
        counts = np.zeros((300, int(what.max()) + 1))
        np.add.at(counts, (rows.users, what[rows.items]), 1)
        alike = (counts * (counts - 1)).sum() / (degree * (degree - 1)).sum()
        share = np.bincount(what[rows.items]) / len(rows.items)
        return float(alike / (share**2).sum())

    assert agreement(looks.colour) > 2.5
    assert agreement(looks.shape) > 1.2
    assert 0.9 < agreement(looks.backdrop) < 1.1


def test_the_foreground_is_where_the_last_object_is_seen() -> None:
    shares = foreground(6)
    seen = owners(draw_looks(np.arange(6)).scenes, SIDE)
    for item in range(6):
        for part in range(64):
            top, left = part // 8 * 8, part % 8 * 8
            cell = seen[item, top : top + 8, left : left + 8]
            assert shares[item, part] == pytest.approx((cell == CLUTTER).mean())
    assert (shares.mean(axis=1) > 0.02).all() and (shares.mean(axis=1) < 0.2).all()


def test_things_are_vivid_and_backdrops_are_muted() -> None:
    looks = draw_looks(np.arange(40))

    def saturation(rgb: np.ndarray) -> np.ndarray:
        return np.asarray((rgb.max(axis=-1) - rgb.min(axis=-1)) / rgb.max(axis=-1))

    assert saturation(COLOUR_RGB).min() >= VIVID
    assert saturation(looks.scenes.ground).max() < VIVID
    assert saturation(looks.scenes.objects.rgb[:, :CLUTTER]).max() < VIVID


def test_part_features_agree_with_a_loop_over_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 4, 3), dtype=np.uint8)
    pixels[0, :3] //= 40
    found = part_features(pixels, Grid(3, 2))
    assert found.shape == (2, 6, PART_DIM)
    expected = np.zeros((2, 6, PART_DIM))
    light = pixels.astype(int).sum(axis=3)
    for n in range(2):
        for y in range(6):
            for x in range(4):
                part = y // 2 * 2 + x // 2
                hue, saturation, value = colorsys.rgb_to_hsv(*(pixels[n, y, x] / 255))
                if saturation < COLOURLESS:
                    place = 2 * HUES + min(int(value * GREYS), GREYS - 1)
                else:
                    place = min(int(hue * HUES), HUES - 1) + (0 if saturation >= VIVID else HUES)
                expected[n, part, place] += 1 / 4
                up, down = light[n, max(y - 1, 0), x], light[n, min(y + 1, 5), x]
                left, right = light[n, y, max(x - 1, 0)], light[n, y, min(x + 1, 3)]
                dy, dx = down - up, right - left
                direction = 4 * (dy < 0) + 2 * (dx < 0) + (abs(dy) > abs(dx))
                expected[n, part, PART_DIM - DIRECTIONS + direction] += np.hypot(dx, dy) / 765 / 4
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found[..., :-DIRECTIONS].sum(axis=2), 1.0, atol=1e-6)


def test_items_without_a_picture_are_the_mean_item() -> None:
    parts = np.random.default_rng(0).normal(2.0, 3.0, (6, 4, 3))
    parts[:, :, 2] = 7.0
    pictured = np.array([True, True, False, True, True, True])
    made = standardised_parts(parts, pictured)
    assert not made[2].any() and not made[:, :, 2].any()
    pooled = made[pictured].mean(axis=1)[:, :2]
    np.testing.assert_allclose(pooled.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(pooled.std(axis=0), 1.0, atol=1e-6)


def test_a_dataset_without_pictures_says_which_have_them() -> None:
    with pytest.raises(UserError, match="no picture in parts") as error:
        item_parts(open_dataset("baby-twin@0.01"))
    assert "scenes-items" in str(error.value)


def test_the_sheet_of_the_dataset_shows_items_with_their_titles() -> None:
    shown = samples("scenes-items@0.5")
    looks = draw_looks(np.arange(len(shown)))
    assert len(shown) == 12
    assert np.array_equal(np.stack([pixels for pixels, _ in shown]), render(looks.scenes, SIDE))
    assert SHAPES[looks.shape[3]] in shown[3][1]
