"""Featurisers: fixed filters, captions, HCRN's layout, and any backbone of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.features import captions
from bench.data.features.cells import CELL_DIM, HUES, cell_means, change, describe
from bench.data.features.frames import Frames, frame_places, frames_of_folder
from bench.data.features.stored import APPEARANCE, open_features, write_features
from bench.errors import DataError, UserError

if TYPE_CHECKING:
    from pathlib import Path

h5py = pytest.importorskip("h5py")


def flat(colour: tuple[int, int, int], side: int = 8) -> np.ndarray:
    return np.full((1, side, side, 3), colour, dtype=np.uint8)


class TestCells:
    def test_a_flat_red_cell_is_all_first_hue(self) -> None:
        cell = describe(flat((255, 0, 0)), (1, 1))[0, 0, 0]
        assert cell[0] == pytest.approx(1) and cell[1:HUES] == pytest.approx(0)
        assert cell[-5:-2].tolist() == [1, 0, 0] and cell[-1] == pytest.approx(0, abs=1e-3)

    def test_stripes_turn_with_the_gradient(self) -> None:
        stripes = np.tile(np.array([0, 0, 255, 255], dtype=np.uint8), (16, 4))
        upright = np.repeat(stripes[None, ..., None], 3, axis=3)
        orientations = slice(HUES + 5, HUES + 13)
        across = describe(upright, (1, 1))[0, 0, 0, orientations]
        down = describe(upright.transpose(0, 2, 1, 3), (1, 1))[0, 0, 0, orientations]
        assert across.argmax() == 0 and down.argmax() == 4

    @given(st.integers(4, 20), st.integers(4, 20), st.integers(1, 4), st.integers(1, 4))
    def test_means_of_cells_are_those_of_their_pixels(self, height: int, width: int, rows: int, columns: int) -> None:
        plane = np.random.default_rng(height * width).random((2, height, width))
        found = cell_means(plane, (rows, columns))
        tall, wide = (np.linspace(0, n, k + 1).astype(int) for n, k in ((height, rows), (width, columns)))
        last = plane[1, tall[-2] :, wide[-2] :].mean()
        assert found.shape == (2, rows, columns) and found[1, -1, -1] == pytest.approx(last, rel=1e-5)

    def test_a_still_clip_has_no_change(self) -> None:
        clip = np.repeat(np.random.default_rng(0).integers(0, 255, (1, 8, 8, 3), dtype=np.uint8)[None], 2, axis=1)
        seen = describe(clip[0], (2, 1))[None]
        assert not change(clip, seen).any() and change(clip, seen).shape == (1, 2 * (CELL_DIM + 1))


class TestCaptions:
    TEXTS = tuple(text.split() for text in ("a dog runs", "a dog sleeps", "a red car", "the car runs", "a bird sings"))

    def test_words_of_one_stem_share_a_vector_and_rare_words_weigh_more(self) -> None:
        space = captions.fit_space(self.TEXTS, 4)
        vectors = space.of_words(["sleeps", "sleeping", "a", "nothing"])
        assert np.allclose(vectors[0], vectors[1]) and not vectors[3].any()
        assert np.linalg.norm(vectors[0]) > np.linalg.norm(vectors[2])

    def test_texts_have_length_one_and_a_text_without_known_words_none(self) -> None:
        found = captions.fit_space(self.TEXTS, 4).of_texts([["dog", "car"], ["unheard"]])
        assert np.linalg.norm(found, axis=1) == pytest.approx([1, 0], abs=1e-6)

    def test_few_texts_leave_columns_at_zero(self) -> None:
        space = captions.fit_space(self.TEXTS[:2], 10)
        assert space.vectors.shape[1] == 10 and not space.vectors[:, 2:].any()

    def test_singular_vectors_are_those_of_the_dense_matrix(self) -> None:
        space = captions.counts_matrix(self.TEXTS, captions.stems_of(self.TEXTS))
        found = captions.right_singular_vectors(space, 3)
        exact = np.linalg.svd(space.toarray())[2][:3].T
        assert np.allclose(np.abs(np.sum(found * exact, axis=0)), 1, atol=1e-6)


@pytest.mark.usefixtures("fresh_cache")
class TestStored:
    def rows(self, count: int = 3) -> list[tuple[str, np.ndarray, np.ndarray]]:
        rng = np.random.default_rng(0)
        return [(f"v{k}", rng.random((2, 3, 4)), rng.random((2, 5))) for k in range(count)]

    def test_what_is_written_is_read_in_any_order(self, tmp_path: Path) -> None:
        path, rows = tmp_path / "features.h5", self.rows()
        write_features(path, rows, 3)
        clips = open_features(path, path).load(["v2", "v0"], "test")
        assert np.allclose(clips.appearance, [rows[2][1], rows[0][1]]) and np.allclose(clips.motion[1], rows[0][2])

    def test_a_value_that_is_not_finite_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "features.h5"
        write_features(path, self.rows(), 3)
        with h5py.File(path, "a") as file:
            file[APPEARANCE][1, 0, 2, 3] = np.nan
        with pytest.raises(DataError, match=r"'resnet_features' of 'v1' \(row 1\) is nan at \(0, 2, 3\)"):
            open_features(path, path).load(["v0", "v1"], "test")

    def test_a_broken_or_foreign_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.h5").write_bytes(b"no hdf5")
        with pytest.raises(DataError, match=r"cannot read the features .*a.h5"):
            open_features(tmp_path / "a.h5", tmp_path / "a.h5")
        with h5py.File(tmp_path / "b.h5", "w") as file:
            file["other"] = np.zeros(3)
        with pytest.raises(DataError, match=r"b.h5 holds no 'resnet_features'; it has other"):
            open_features(tmp_path / "b.h5", tmp_path / "b.h5")

    def test_nothing_is_left_of_a_file_that_broke_off(self, tmp_path: Path) -> None:
        rows = self.rows()
        rows[2][1][0, 0, 0] = np.inf
        with pytest.raises(DataError, match="'v2' cannot be written"):
            write_features(tmp_path / "features.h5", rows, 3)
        assert list(tmp_path.glob("*.h5*")) == [] and list(tmp_path.glob(".*.part")) == []


class TestFrames:
    @given(st.integers(1, 300), st.integers(1, 20), st.integers(1, 16))
    @settings(max_examples=50)
    def test_places_are_inside_and_in_order(self, total: int, clips: int, frames: int) -> None:
        places = frame_places(total, clips, frames)
        assert places.shape == (clips, frames) and places.min() >= 0 and places.max() < total
        assert (np.diff(places, axis=1) >= 0).all() and (np.diff(places[:, 0]) >= 0).all()

    def test_pictures_of_a_folder_become_clips(self, tmp_path: Path) -> None:
        for video in ("b", "a"):
            (tmp_path / video).mkdir()
            for k in range(5):
                Image.new("RGB", (6, 4), (k, 0, 0)).save(tmp_path / video / f"{k:03d}.png")
        found = frames_of_folder(tmp_path, clips=2, frames=2)
        clips = list(found.clips)
        assert found.ids == ["a", "b"] and clips[0].shape == (2, 2, 4, 6, 3)
        assert clips[0][..., 0, 0, 0].tolist() == [[0, 1], [2, 3]]

    def test_a_corrupt_picture_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "v").mkdir()
        (tmp_path / "v" / "1.jpg").write_bytes(b"nothing")
        with pytest.raises(DataError, match=r"v/1.jpg.* cannot be decoded"):
            next(frames_of_folder(tmp_path, clips=1, frames=1).clips)

    def test_a_folder_without_pictures_says_how_to_make_them(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="holds no pictures"):
            frames_of_folder(tmp_path / "nowhere", clips=1, frames=1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    config = ViTConfig(
        image_size=16, patch_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    folder = tmp_path_factory.mktemp("vit")
    ViTModel(config).save_pretrained(folder)
    return folder


class TestBackbone:
    def test_any_vision_checkpoint_gives_appearance_and_motion(self, checkpoint: Path) -> None:
        import torch

        from bench.data.features.backbone import Backbone, extract

        rng = np.random.default_rng(0)
        clips = rng.integers(0, 255, (2, 3, 20, 24, 3), dtype=np.uint8)
        still = np.repeat(clips[:, :1], 3, axis=1)
        backbone = Backbone(str(checkpoint), torch.device("cpu"))
        (_, appearance, motion), (_, _, none) = extract(backbone, Frames(["a", "b"], iter([clips, still])), batch=4)
        assert appearance.shape == (2, 3, 8) and motion.shape == (2, 16) and np.abs(motion).max() > 0
        assert np.abs(none).max() < 1e-5

    def test_frames_of_a_folder_become_a_features_file(self, checkpoint: Path, tmp_path: Path) -> None:
        from bench.data.features.run import extract_features

        (tmp_path / "7").mkdir()
        Image.new("RGB", (20, 20), (9, 9, 9)).save(tmp_path / "7" / "1.png")
        shapes = extract_features(
            "msvd-qa", backbone=str(checkpoint), out=tmp_path / "f.h5", frames=tmp_path, clips=2, length=2
        )
        assert shapes == {"appearance": [1, 2, 2, 8], "motion": [1, 2, 16]}

    def test_a_dataset_without_frames_and_a_missing_checkpoint_are_told(self, tmp_path: Path) -> None:
        import torch

        from bench.data.features.backbone import Backbone
        from bench.data.features.run import extract_features

        with pytest.raises(UserError, match="'msvd-qa' has no frames"):
            extract_features("msvd-qa", backbone="x", out=tmp_path / "f.h5")
        (tmp_path / "empty").mkdir()
        with pytest.raises(UserError, match="cannot load the backbone"):
            Backbone(str(tmp_path / "empty"), torch.device("cpu"))
