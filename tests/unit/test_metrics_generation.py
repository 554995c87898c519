"""Formulas and names of the metrics of made images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UserError
from bench.metrics import generation
from bench.metrics.base import family_name
from bench.metrics.manipulation import manipulation_precision
from bench.metrics.registry import METRICS
from bench.tasks.text_to_image import between

TASKS = ("text_to_image", "image_editing", "story")
FAMILIES = [
    "fid", "kid", "is", "clip_score", "no_edit_clip_score", "manipulation_precision", "l2", "target_error",
    "no_edit_target_error", "fsd", "attribute_f1", "frame_accuracy", "real_attribute_f1", "real_frame_accuracy",
    "consistency", "given_exact", "seconds_per_image", "seconds_per_story",
]  # fmt: skip


def test_every_family_is_registered_under_its_name() -> None:
    for name in FAMILIES:
        assert METRICS.get(name).name == name


@pytest.mark.parametrize("task", TASKS)
def test_every_example_of_a_family_can_be_read_back(task: str) -> None:
    for name, family in generation.families(task).items():
        metric = generation.parse(generation.example(family, task), task)
        assert family_name(metric.name) == name and metric.direction == family.direction


@pytest.mark.parametrize(
    ("name", "task", "said"),
    [
        ("fid", "text_to_image", "fid[NETWORK]"),
        ("fid[world-cnn-7]", "story", "fid[NETWORK,MODE]"),
        ("frame_accuracy", "story", "MODE"),
        ("l2[tiny-3]", "image_editing", "l2"),
        ("clip_score[tiny-3,tiny-4]", "text_to_image", "NETWORK"),
        ("given_exact[continuation,completion]", "story", "MODE"),
        ("fidd[world-cnn-7]", "text_to_image", "fid"),
        ("frame_accuracy[continuation]", "text_to_image", "Known"),
        ("fid[", "text_to_image", "fid[NETWORK]"),
    ],
)
def test_a_name_that_says_too_little_or_too_much_is_refused(name: str, task: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        generation.parse(name, task)
    assert said in str(caught.value)


def test_a_story_metric_names_its_mode_and_may_name_its_judge() -> None:
    plain = generation.take_apart("frame_accuracy[continuation]", "story")
    named = generation.take_apart("frame_accuracy[frame-cnn-9,continuation]", "story")
    assert (plain.network, plain.mode) == (generation.FRAME_CLASSIFIER, "continuation")
    assert (named.network, named.mode) == ("frame-cnn-9", "continuation")
    assert plain.name == "frame_accuracy[frame-cnn-5,continuation]"
    assert named.name == "frame_accuracy[frame-cnn-9,continuation]"
    assert generation.parse("frame_accuracy[continuation]", "story").name == plain.name
    assert generation.take_apart("fid[completion, world-cnn-7]", "story").name == "fid[world-cnn-7,completion]"


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("clip_score[tiny-3,completion]", None),
        ("clip_score[tiny-3-100,completion]", None),
        ("clip_score[/models/a clip,completion]", "/models/a clip"),
        ("clip_score[completion,openai/clip]", "openai/clip"),
        ("fid[world-cnn-7,completion]", None),
        ("fid[inception,completion]", "inception"),
        ("attribute_f1[completion]", None),
        ("seconds_per_image", None),
    ],
)
def test_a_metric_says_which_of_its_networks_is_read_from_a_disk(name: str, read: str | None) -> None:
    metric = generation.parse(name, "story")
    assert metric.checkpoint == read
    assert read is None or metric.name.partition("[")[2].startswith(read)


@pytest.mark.parametrize("against", ["tiny-3", "tiny-3-50"])
def test_a_network_never_judges_what_was_trained_against_it(against: str) -> None:
    with pytest.raises(UserError) as caught:
        generation.check_evaluators("galip", {against}, {"tiny-3", "world-cnn-7"})
    assert "galip" in caught.value.message and "tiny-3" in caught.value.message
    generation.check_evaluators("galip", {"tiny-1"}, {"tiny-3", "tiny-13", "world-cnn-7"})


def test_a_copy_under_another_name_is_the_same_network() -> None:
    with pytest.raises(UserError, match="copy@0123abcd"):
        generation.check_evaluators("galip", {"clip@0123abcd"}, {"copy@0123abcd"})
    generation.check_evaluators("galip", {"clip@0123abcd"}, {"clip@ffffffff"})


def test_the_story_distance_says_what_it_is_not() -> None:
    summary = METRICS.get("fsd").summary
    assert all(said in summary for said in ("RECONSTRUCTED", "R(2+1)D-18", "singular"))


@settings(max_examples=25)
@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 1000))
def test_distances_of_a_sample_to_itself_and_to_a_shifted_one(rows: int, width: int, seed: int) -> None:
    sample = np.random.default_rng(seed).normal(size=(rows, width))
    assert between("fid", sample, sample) == pytest.approx(0.0, abs=1e-6)
    assert between("fid", sample, sample + 2.0) == pytest.approx(4.0 * width, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("kind", ["fid", "kid", "fsd"])
def test_a_distance_needs_two_images(kind: str) -> None:
    with pytest.raises(UserError, match="two images"):
        between(kind, np.zeros((1, 3)), np.zeros((1, 3)))


def test_doing_nothing_has_no_error_and_precision_of_the_similarity() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    error = generation.squared_error(images, images)
    assert error.tolist() == [0.0, 0.0, 0.0]
    assert manipulation_precision(error, np.array([0.2, 0.4, 0.6])) == pytest.approx(0.4)
    black, white = np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4, 3), 255, np.uint8)
    assert generation.squared_error(black, white).tolist() == [1.0, 1.0]


def test_consistency_punishes_both_unrelated_and_copied_frames() -> None:
    rng = np.random.default_rng(0)
    hero = rng.normal(size=(20, 1, 16))
    real = hero + rng.normal(size=(20, 4, 16))
    copies = np.repeat(real[:, :1], 4, axis=1)
    unrelated = rng.normal(size=(20, 4, 16))
    again = hero + rng.normal(size=(20, 4, 16))
    means = [generation.consistency(drawn, real).mean() for drawn in (real, again, copies, unrelated)]
    assert means[0] == pytest.approx(1.0)
    assert means[1] > means[2] and means[1] > means[3]


def test_micro_f1_counts_all_attributes_together() -> None:
    labels = np.array([[True, False], [True, True]])
    assert generation.micro_f1(labels, labels) == 1.0
    assert generation.micro_f1(np.array([[True, True], [False, True]]), labels) == pytest.approx(2 / 3)
    assert np.isnan(generation.micro_f1(np.zeros((1, 2), bool), np.zeros((1, 2), bool)))
