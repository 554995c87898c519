"""Tasks that make images: batches, protocols, scores, samples. No network is trained here."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import generation_factories as toys
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.encoders import features
from bench.errors import DivergedError, UserError
from bench.metrics.generation import MODES
from bench.tasks import generation_common, image_editing, story, text_to_image
from bench.tasks.batches import Shuffled
from bench.tasks.generation_common import as_images, as_pixels
from bench.tasks.scoring import Place

if TYPE_CHECKING:
    from bench.data.generation import GenerationData
    from bench.methods.generator import Prompts

CPU = torch.device("cpu")
PLACE = Place(CPU, torch.float32)


class _MeanColour(features.FeatureNetwork):
    """Judges by the mean colour alone."""

    def __init__(self, id: str = "world-cnn-7") -> None:
        super().__init__(id, 3)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        return 20.0 * images.mean((2, 3))


class _ColourEncoder(torch.nn.Module):
    """An image-text encoder that knows three colours."""

    identity, width = "tiny-3", 3

    def images(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)) + 1.0

    def texts(self, prompts: Prompts) -> torch.Tensor:
        return toys.colour_of(prompts.tokens) + 1.0


@pytest.fixture(autouse=True)
def judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation_common, "feature_network", _MeanColour)
    monkeypatch.setattr(generation_common, "frame_classifier", lambda name, data: _MeanColour(name))
    monkeypatch.setattr(generation_common, "build_encoder", lambda name, data: _ColourEncoder())
    monkeypatch.setattr(generation_common, "_judges", {})
    monkeypatch.setattr(generation_common, "_seen", {})


def opened(data: GenerationData, test: Any) -> Any:
    return SimpleNamespace(training=lambda: data, test=lambda: test)


# --- batches ---------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 99))
def test_an_epoch_holds_every_row_once_and_no_batch_of_one(rows: int, size: int, seed: int) -> None:
    stream = torch.Generator().manual_seed(seed)
    batches = list(Shuffled(rows, size, stream).epoch())
    assert sorted(np.concatenate(batches).tolist()) == list(range(rows))
    if rows > 1 and size > 1:
        assert min(map(len, batches)) >= 2


def test_pixels_survive_the_way_to_the_method_and_back() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    images = as_images(pixels, PLACE)
    assert images.shape == (5, 3, 4, 4) and images.min() >= -1 and images.max() <= 1
    np.testing.assert_array_equal(as_pixels(images), pixels)
    assert as_pixels(torch.full((1, 3, 2, 2), 9.0)).max() == 255


def test_training_captions_stay_with_their_images() -> None:
    data = toys.data(toys.captioned(11), toys.captioned(4, 1))
    batches = text_to_image.TASK.batches(data, batch_size=4, device=CPU, generator=torch.Generator().manual_seed(1))
    for batch in batches.epoch():
        assert batch.targets is None
        brightest = batch.images.mean((2, 3)).argmax(1)
        assert brightest.tolist() == (batch.captions.tokens[:, 0] - 2).tolist()


def test_editing_batches_ask_for_the_targets_caption_and_never_show_it() -> None:
    data = toys.data(toys.edits(9), toys.edits(3, 1))
    batches = image_editing.TASK.batches(data, batch_size=4, device=CPU, generator=torch.Generator().manual_seed(1))
    for batch in batches.epoch():
        assert batch.targets is not None
        is_now, wanted = batch.captions.tokens[:, 0] - 2, batch.targets.tokens[:, 0] - 2
        assert batch.images.mean((2, 3)).argmax(1).tolist() == is_now.tolist()
        assert ((is_now + 1) % 3).tolist() == wanted.tolist()


@pytest.mark.parametrize("rows", [2, 3, 30])
def test_without_pairs_an_edit_asks_for_the_caption_of_another_image(rows: int) -> None:
    images = toys.told_apart(toys.captioned(rows))
    own = images.captions.texts.tolist()
    asked = image_editing.requests(images, "toy")
    assert asked.truth is None
    wanted = asked.targets.texts.tolist()
    assert sorted(wanted) == sorted(own), "each caption is asked for once"
    assert not any(one == other for one, other in zip(wanted, own, strict=True))
    order = [own.index(text) for text in wanted]
    np.testing.assert_array_equal(asked.targets.tokens, images.captions.tokens[order])
    assert image_editing.requests(images, "toy").targets.texts.tolist() == wanted


@pytest.mark.parametrize("rows", [2, 30])
def test_without_pairs_a_training_edit_asks_for_another_caption_in_each_epoch(rows: int) -> None:
    data = toys.data(toys.told_apart(toys.captioned(rows)), toys.captioned(2, 1))
    batches = image_editing.TASK.batches(data, batch_size=4, device=CPU, generator=torch.Generator().manual_seed(1))
    epochs = []
    for _ in range(3):
        asked: dict[str, str] = {}
        for batch in batches.epoch():
            assert batch.targets is not None
            asked |= dict(zip(batch.captions.texts, batch.targets.texts, strict=True))
        assert len(asked) == rows and not any(own == wanted for own, wanted in asked.items())
        epochs.append(asked)
    # Of two images there is but one other.
    assert all((one == two) == (rows == 2) for one, two in pairwise(epochs))


# --- text to image ---------------------------------------------------------------------------------------------------

T2I = ("clip_score[tiny-3]", "fid[world-cnn-7]", "kid[world-cnn-7]", "is[world-cnn-7]", "seconds_per_image")


def test_images_that_fit_their_captions_score_high_and_the_grid_shows_them() -> None:
    data = toys.data(toys.captioned(8), toys.captioned(8, 1))
    painter = toys.build(toys.Painter, data)
    found = text_to_image.TASK.evaluate(painter, opened(data, toys.captioned(30, 2)), T2I)
    values = found.values
    assert values["clip_score[tiny-3]"] > 0.99 and found.scores["clip_score[tiny-3]"].shape == (30,)
    assert values["fid[world-cnn-7]"] < 0.05 and values["is[world-cnn-7]"] == pytest.approx(3.0, abs=0.3)
    assert values["seconds_per_image"] > 0 and len(found.units) == 30
    picture, prompts = found.samples
    assert picture.media_type == "image/png" and picture.notes["kind"] == "grid"
    assert Image.open(io.BytesIO(picture.data)).width > 300
    assert len(json.loads(prompts.data)["prompts"]) == text_to_image.SHOWN


def test_the_same_weights_draw_the_same_test_images() -> None:
    data = toys.data(toys.captioned(8), toys.captioned(8, 1))
    painter = toys.build(toys.Painter, data)
    first, second = (text_to_image.draw(painter, toys.captioned(70, 2).captions, toys.SIDE).pixels for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_validation_draws_a_fixed_part_and_no_test_image() -> None:
    class Watched(toys.Painter):
        asked: ClassVar[list[str]] = []

        def generate(self, prompts: Any, generator: Any) -> Any:
            self.asked.extend(prompts.texts)
            return super().generate(prompts, generator)

    valid, test = (toys.told_apart(toys.captioned(300, seed)) for seed in (1, 2))
    data = toys.data(toys.captioned(8), valid)
    painter = toys.build(Watched, data)

    def drawn(seed: int) -> list[str]:
        Watched.asked.clear()
        # No global stream may have a say.
        torch.manual_seed(seed)
        np.random.seed(seed)
        assert set(text_to_image.TASK.validate(painter, data, T2I)) == set(T2I)
        return list(Watched.asked)

    first = drawn(1)
    assert len(set(first)) == len(first) == generation_common.VALIDATED == 128
    assert set(first) < set(valid.captions.texts.tolist()), "rows of validation, and of nothing else"
    assert drawn(2) == first
    # Of the seed of all draws, so that it is the same part in every process; not merely the first rows.
    rows = np.random.Generator(np.random.PCG64(generation_common.SEED)).permutation(300)[:128]
    assert first == valid.captions.texts[np.sort(rows)].tolist()
    Watched.asked.clear()
    text_to_image.TASK.evaluate(painter, opened(data, test), T2I)
    assert Watched.asked == test.captions.texts.tolist(), "the test split is drawn at the end, all of it"


@pytest.mark.parametrize("look", ["validate", "evaluate"])
def test_the_network_a_method_was_trained_against_is_refused_as_its_judge(
    look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toys.data(toys.captioned(8), toys.captioned(8, 1))
    painter = toys.build(toys.Painter, data)
    monkeypatch.setattr(_ColourEncoder, "identity", "tiny-1")
    # Whatever the metric calls it, the identity tells.
    with pytest.raises(UserError, match="tiny-1"):
        if look == "validate":
            text_to_image.TASK.validate(painter, data, ["clip_score[some/folder]"])
        else:
            text_to_image.TASK.evaluate(painter, opened(data, None), ["clip_score[some/folder]"])


def test_images_that_are_not_finite_end_the_run() -> None:
    class Broken(toys.Painter):
        def generate(self, prompts: Any, generator: Any) -> Any:
            return super().generate(prompts, generator) / 0.0

    data = toys.data(toys.captioned(8), toys.captioned(8, 1))
    with pytest.raises(DivergedError, match="not finite"):
        text_to_image.TASK.validate(toys.build(Broken, data), data, ["seconds_per_image"])


def test_a_data_set_of_another_task_is_refused() -> None:
    data = toys.data(toys.stories(4), toys.stories(4, 1))
    with pytest.raises(UserError, match="stories"):
        text_to_image.TASK.validate(toys.build(toys.Painter, data), data, ["seconds_per_image"])


# --- editing ---------------------------------------------------------------------------------------------------------

EDITING = (
    "manipulation_precision[tiny-3]", "clip_score[tiny-3]", "no_edit_clip_score[tiny-3]", "l2", "target_error",
    "no_edit_target_error",
)  # fmt: skip


def test_doing_nothing_scores_what_stands_beside_every_editor() -> None:
    data = toys.data(toys.edits(8), toys.edits(8, 1))
    test = opened(data, toys.edits(20, 2))
    nothing = image_editing.TASK.evaluate(toys.build(toys.Copier, data), test, EDITING).values
    assert nothing["l2"] == 0.0
    assert nothing["clip_score[tiny-3]"] == nothing["no_edit_clip_score[tiny-3]"]
    assert nothing["target_error"] == nothing["no_edit_target_error"] > 0.05
    assert nothing["manipulation_precision[tiny-3]"] == pytest.approx(nothing["clip_score[tiny-3]"])
    painted = image_editing.TASK.evaluate(toys.build(toys.Repainter, data), test, EDITING)
    assert painted.values["no_edit_clip_score[tiny-3]"] == nothing["no_edit_clip_score[tiny-3]"]
    assert painted.values["target_error"] < 0.01 < painted.values["l2"]
    assert painted.values["clip_score[tiny-3]"] > nothing["clip_score[tiny-3]"] + 0.2
    assert json.loads(painted.samples[1].data)["columns"] == ["before", "made", "target"]


def test_without_true_targets_the_error_to_them_is_refused() -> None:
    data = toys.data(toys.captioned(8), toys.captioned(8, 1))
    copier = toys.build(toys.Copier, data)
    with pytest.raises(UserError, match="true targets"):
        image_editing.TASK.validate(copier, data, ["target_error"])
    assert image_editing.TASK.validate(copier, data, ["l2"]) == {"l2": 0.0}


# --- stories ---------------------------------------------------------------------------------------------------------

STORIES = (
    "frame_accuracy[frame-cnn-5,continuation]", "frame_accuracy[frame-cnn-5,visualisation]",
    "attribute_f1[frame-cnn-5,completion]", "real_attribute_f1[frame-cnn-5]", "real_frame_accuracy[frame-cnn-5]",
    "given_exact[continuation]", "given_exact[completion]", "given_exact[visualisation]",
    "fid[world-cnn-7,completion]", "fsd[world-cnn-7,visualisation]", "consistency[world-cnn-7,continuation]",
    "clip_score[tiny-3,completion]", "seconds_per_image", "seconds_per_story[visualisation]",
)  # fmt: skip


@settings(max_examples=20)
@given(st.integers(2, 6), st.integers(1, 50))
def test_masks_are_what_their_mode_says(frames: int, stories: int) -> None:
    assert not story.masks("visualisation", stories, frames).any()
    first = story.masks("continuation", stories, frames)
    assert first[:, 0].all() and not first[:, 1:].any()
    given_frames = story.masks("completion", stories, frames)
    known = given_frames.sum(axis=1)
    assert ((known > 0) & (known < frames)).all()
    assert not any(row[: int(count)].all() for row, count in zip(given_frames, known, strict=True))
    # Row i depends on the mode and i alone, so that more stories change none of those before.
    for mode in MODES:
        more = story.masks(mode, stories + 3, frames)
        assert more.shape == (stories + 3, frames)
        np.testing.assert_array_equal(more[:stories], story.masks(mode, stories, frames))


def test_every_mode_is_scored_on_the_frames_that_were_drawn() -> None:
    data = toys.data(toys.stories(8), toys.stories(8, 1))
    teller = toys.build(toys.Storyteller, data)
    found = story.TASK.evaluate(teller, opened(data, toys.stories(20, 2)), STORIES)
    values = found.values
    for name in ("frame_accuracy[frame-cnn-5,continuation]", "given_exact[completion]"):
        assert values[name] == 1.0
    assert values["attribute_f1[frame-cnn-5,completion]"] == values["real_attribute_f1[frame-cnn-5]"] == 1.0
    assert np.isnan(values["given_exact[visualisation]"]), "nothing is given there"
    assert values["clip_score[tiny-3,completion]"] > 0.99
    assert values["fid[world-cnn-7,completion]"] < 0.05
    # Nothing is given there, so a story takes as long as its 4 frames.
    alone = story.TASK.evaluate(teller, opened(data, toys.stories(20, 2)), [STORIES[-1], "seconds_per_image"]).values
    assert alone["seconds_per_story[visualisation]"] == pytest.approx(4 * alone["seconds_per_image"])
    assert {sample.name for sample in found.samples if sample.media_type == "image/png"} == set(MODES)


def test_a_given_frame_that_changes_by_one_bit_counts_as_lost() -> None:
    class Sloppy(toys.Storyteller):
        def complete(self, frames: Any, given: Any, captions: Any, generator: Any) -> Any:
            drawn = super().complete(frames, given, captions, generator)
            drawn[0] = torch.nextafter(drawn[0], torch.tensor(9.0))
            return drawn

    data = toys.data(toys.stories(8), toys.stories(8, 1))
    made = story.complete(toys.build(Sloppy, data), toys.stories(32, 2), "continuation")
    assert made.exact.tolist() == [0.0 if row % story.STORIES_PER_BLOCK == 0 else 1.0 for row in range(32)]


def test_a_method_sees_nothing_of_frames_that_are_not_given() -> None:
    class Watcher(toys.Storyteller):
        def complete(self, frames: Any, given: Any, captions: Any, generator: Any) -> Any:
            assert not frames[~given].any()
            return super().complete(frames, given, captions, generator)

    data = toys.data(toys.stories(8), toys.stories(8, 1))
    for mode in MODES:
        story.complete(toys.build(Watcher, data), toys.stories(9, 2), mode)


def test_a_mode_a_method_has_not_gets_no_value_and_cannot_select() -> None:
    class Forward(toys.Storyteller):
        modes = frozenset({"visualisation", "continuation"})

    data = toys.data(toys.stories(8), toys.stories(8, 1))
    forward = toys.build(Forward, data)
    values = story.TASK.evaluate(forward, opened(data, toys.stories(9, 2)), STORIES).values
    assert values["frame_accuracy[frame-cnn-5,continuation]"] == 1.0
    assert np.isnan(values["attribute_f1[frame-cnn-5,completion]"])
    assert np.isnan(values["clip_score[tiny-3,completion]"])
    with pytest.raises(UserError, match="cannot select"):
        story.TASK.validate(forward, data, ["given_exact[completion]"])


def test_validation_draws_the_mode_of_the_first_metric_alone() -> None:
    data = toys.data(toys.stories(8), toys.stories(8, 1))
    values = story.TASK.validate(toys.build(toys.Storyteller, data), data, STORIES)
    of_real = {"real_attribute_f1[frame-cnn-5]", "real_frame_accuracy[frame-cnn-5]"}
    assert set(values) == {name for name in STORIES if "continuation" in name} | {"seconds_per_image"} | of_real


def test_a_judge_that_is_not_named_is_filled_in_and_its_ceiling_is_its_score_of_true_frames() -> None:
    class Careless(toys.Storyteller):
        def complete(self, frames: Any, given: Any, captions: Any, generator: Any) -> Any:
            return torch.zeros_like(frames)

    data = toys.data(toys.stories(8), toys.stories(8, 1))
    asked = ["frame_accuracy[visualisation]", "real_frame_accuracy", "real_attribute_f1"]
    values = story.TASK.evaluate(toys.build(Careless, data), opened(data, toys.stories(20, 2)), asked).values
    assert values.pop("frame_accuracy[frame-cnn-5,visualisation]") == 0.0
    assert values == {"real_frame_accuracy[frame-cnn-5]": 1.0, "real_attribute_f1[frame-cnn-5]": 1.0}


def test_frame_labels_are_asked_for_before_anything_is_drawn() -> None:
    data = toys.data(toys.stories(8, labelled=False), toys.stories(8, 1, labelled=False))
    with pytest.raises(UserError, match="no labels of frames"):
        story.TASK.validate(
            toys.build(toys.Storyteller, data), data, ["seconds_per_image", "attribute_f1[frame-cnn-5,completion]"]
        )
