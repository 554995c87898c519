"""Networks that judge images: names, caching, determinism, Inception's layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import generation_factories as toys
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bench.data.dataset import open_dataset
from bench.data.worlds.scenes.generation import draw_stories
from bench.encoders import features
from bench.encoders.features import feature_network, frame_classifier
from bench.encoders.inception import VARIABLE, Inception, load_inception
from bench.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def quick(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in (("WORLD_IMAGES", 256), ("WORLD_EPOCHS", 1), ("FRAME_STEPS", 60)):
        monkeypatch.setattr(features, name, value)
    return fresh_cache


def test_a_judge_is_trained_once_and_the_same_every_time(quick: Path) -> None:
    images = torch.rand(3, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = feature_network("world-cnn-7")
    assert torch.equal(before, torch.random.get_rng_state()), "a run does not depend on what the cache holds"
    files = sorted(path.stat().st_mtime_ns for path in (quick / "encoders").iterdir())
    again = feature_network("world-cnn-7")
    assert files == sorted(path.stat().st_mtime_ns for path in (quick / "encoders").iterdir())
    assert torch.equal(first.features(images), again.features(images))
    assert first.features(images).shape == (3, first.width) and first.logits(images).shape == (3, 64)
    assert not first.training and not any(weight.requires_grad for weight in first.parameters())
    other = feature_network("world-cnn-8")
    assert not torch.allclose(first.features(images), other.features(images))


def test_a_damaged_cache_is_made_again(quick: Path) -> None:
    first = feature_network("world-cnn-7")
    (path,) = (quick / "encoders").iterdir()
    path.write_bytes(b"damaged")
    again = feature_network("world-cnn-7")
    for one, other in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_a_judge_of_frames_learns_the_labels_of_training_stories(quick: Path) -> None:
    data = toys.data(toys.stories(40), toys.stories(8, 1))
    judge = frame_classifier("frame-cnn-5", data)
    test = toys.stories(30, 2)
    frames = torch.from_numpy(test.frames.reshape(-1, toys.SIDE, toys.SIDE, 3)).permute(0, 3, 1, 2) / 127.5 - 1
    assert test.labels is not None
    found = judge.logits(frames).numpy() > 0
    assert (found == test.labels.reshape(found.shape)).all(axis=1).mean() > 0.9


def test_a_judge_of_generated_stories_sees_another_draw_of_their_world(
    quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "WORLD_STORIES", 12)
    world = [open_dataset(f"shapes-stories@{scale}").training() for scale in (0.02, 0.03)]
    first, second = (frame_classifier("frame-cnn-5", data) for data in world)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other), "what it learned has nothing to do with the data set's size"
    drawn = draw_stories("judge", 12, seed=1_000_008)
    taken = {frame.tobytes() for frame in np.asarray(world[1].train.frames).reshape(-1, 32, 32, 3)}  # type: ignore[union-attr]
    assert not taken & {frame.tobytes() for frame in np.asarray(drawn.frames).reshape(-1, 32, 32, 3)}


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: feature_network("world-cnn"), "world-cnn-7"),
        (lambda: feature_network("resnet"), "resnet"),
        (lambda: frame_classifier("frames", toys.data(toys.stories(3), toys.stories(3))), "frame-cnn-SEED"),
        (
            lambda: frame_classifier("frame-cnn-1", toys.data(toys.captioned(3), toys.captioned(3))),
            "no labels of frames",
        ),
    ],
)
def test_a_network_that_cannot_be_had_is_refused_by_name(build: object, said: str) -> None:
    with pytest.raises(UserError) as caught:
        build()  # type: ignore[operator]
    assert said in str(caught.value)


def test_inception_has_the_published_size_and_loads_a_file_with_the_auxiliary_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = Inception()
    # torchvision's 27,161,264 less the 3,326,696 of the auxiliary head.
    assert sum(weight.numel() for weight in network.parameters()) == 23_834_568
    file = tmp_path / "model.safetensors"
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file({**state, "AuxLogits.fc.bias": torch.zeros(4)}, file)
    monkeypatch.setenv(VARIABLE, str(file))
    loaded = load_inception()
    with torch.no_grad():
        found = loaded.features(torch.zeros(1, 3, 20, 20))
    assert found.shape == (1, 2048) and not loaded.training
    assert np.isfinite(found.numpy()).all()


@pytest.mark.parametrize("damage", ["unset", "missing", "damaged", "other"])
def test_inception_without_its_weights_says_how_to_get_them(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.safetensors"
    if damage == "unset":
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, str(file))
    if damage == "damaged":
        file.write_bytes(b"no tensors")
    elif damage == "other":
        save_file({"conv.weight": torch.zeros(2)}, file)
    with pytest.raises(UserError) as caught:
        feature_network("inception")
    assert VARIABLE in str(caught.value) and "world-cnn-7" in str(caught.value)
