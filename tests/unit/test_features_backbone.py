"""Weights a checkpoint does not hold never become features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.data.features.backbone import Backbone
from bench.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

transformers = pytest.importorskip("transformers")

SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
IMAGES = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)


def backbone(folder: Path) -> Backbone:
    return Backbone(str(folder), torch.device("cpu"))


def saved(cls: str, config: str, folder: Path, **settings: Any) -> Path:
    torch.manual_seed(0)
    getattr(transformers, cls)(getattr(transformers, config)(**settings)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    return saved("ViTForImageClassification", "ViTConfig", folder, image_size=16, patch_size=8, **SIZES)


def test_a_classifier_without_a_pooler_gives_its_class_token(classifier: Path) -> None:
    first, second = backbone(classifier), backbone(classifier)
    found = first(IMAGES)
    np.testing.assert_array_equal(found, second(IMAGES))
    bare = transformers.ViTModel.from_pretrained(classifier, add_pooling_layer=False).eval()
    pixels = (torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255.0 - first.mean) / first.std
    with torch.no_grad():
        expected = bare(pixel_values=pixels).last_hidden_state[:, 0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_a_pooler_that_was_trained_is_used(tmp_path: Path) -> None:
    folder = saved("ViTModel", "ViTConfig", tmp_path, image_size=16, patch_size=8, **SIZES)
    found = backbone(folder)(IMAGES)
    # Its pooler ends in a tanh, a normalised class token does not.
    assert np.abs(found).max() < 1
    np.testing.assert_array_equal(found, backbone(folder)(IMAGES))


def test_a_network_of_maps_has_nothing_missing(tmp_path: Path) -> None:
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1], "layer_type": "basic"}
    folder = saved("ResNetForImageClassification", "ResNetConfig", tmp_path, **sizes)
    assert backbone(folder).pooler and backbone(folder)(IMAGES).shape == (3, 8)


def test_other_missing_weights_are_refused_by_name(classifier: Path, tmp_path: Path) -> None:
    weights = load_file(classifier / "model.safetensors")
    gone = next(name for name in weights if "layernorm_after.weight" in name)
    del weights[gone]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_bytes((classifier / "config.json").read_bytes())
    with pytest.raises(UserError, match=r"lacks 1 weights of ViTModel.*layernorm_after\.weight"):
        backbone(tmp_path)


def test_pickled_weights_are_refused(classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((classifier / "config.json").read_bytes())
    torch.save(load_file(classifier / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pickle \(pytorch_model\.bin\)") as caught:
        backbone(tmp_path)
    assert caught.value.hint is not None and "safetensors" in caught.value.hint


def test_damaged_weights_are_refused(classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((classifier / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match="cannot load the backbone"):
        backbone(tmp_path)
