"""What a trained BeFA makes of altered item vectors: each backbone's own path, compared with formulas written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench.data.parts import Grid, ItemParts
from bench.errors import UserError
from bench.execution.attribution import _carry_over, _probe, heat_maps
from bench.methods.recommendation.befa import BeFA
from bench.methods.registry import METHODS
from bench.testing.recommendation import build, default_config, small_world

BACKBONES = [
    name
    for name, cls in METHODS.items()
    if "recommendation" in cls.tasks and not cls.adapter and BeFA.compatible(cls) is None
]


def made(name: str, **adapter: Any) -> BeFA:
    entry = {"method": "befa", "wrap": {"method": name}}
    config = default_config(entry) | adapter
    method = build(entry, small_world(), config=config, dtype=torch.float64, seed=1)
    assert isinstance(method, BeFA)
    return method


def gate(method: BeFA, name: str, projected: torch.Tensor) -> torch.Tensor:
    """y = σ(L₃ ReLU(L₂ tanh(ReLU(L₁ x)))), without dropout."""
    first, second, third = (method.adapters[name].layers[place] for place in (0, 4, 7))
    return torch.sigmoid(third(torch.relu(second(torch.tanh(torch.relu(first(projected)))))))


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_tells_what_all_items_features_are(name: str) -> None:
    method = made(name)
    found = _probe(method, "image")
    adapter = "image" if "image" in method.adapters else "content"
    assert len(found.before) == len(found.after) == 40
    with torch.no_grad():
        torch.testing.assert_close(found.after, method.wrapped.items * gate(method, adapter, found.before))
    assert method.wrapped.content_adapter == method.adapt, "the method is as it was"


def test_before_is_the_projection_of_the_raw_vectors() -> None:
    data = small_world()
    image = torch.from_numpy(data.modalities["image"].features).double()
    both = torch.cat([image, torch.from_numpy(data.modalities["text"].features).double()], dim=1)
    with torch.no_grad():
        vbpr, mgcn = made("vbpr"), made("mgcn")
        torch.testing.assert_close(_probe(vbpr, "image").before, vbpr.wrapped.project(both))
        torch.testing.assert_close(_probe(mgcn, "image").before, mgcn.wrapped.content.project["image"](image))


def test_without_the_product_the_gate_alone_is_the_feature() -> None:
    method = made("mgcn_lite", id_product=False)
    found = _probe(method, "text")
    with torch.no_grad():
        torch.testing.assert_close(found.after, gate(method, "text", found.before))


def test_a_modality_nobody_reads_is_an_error() -> None:
    with pytest.raises(UserError, match=r"no modality 'audio'; it consumes image, text"):
        _probe(made("mgcn"), "audio")


def test_a_trained_raw_table_keeps_what_training_added() -> None:
    method = made("bm3")
    published = small_world().modalities["image"].features
    changed = published + np.float32(1.0)
    fresh = build({"method": "befa", "wrap": {"method": "bm3"}}, with_image(changed), dtype=torch.float64)
    key = "wrapped.content.raw.image"
    trained = {name: value + 0.25 if name == key else value for name, value in method.state_dict().items()}
    weights = dict(trained)
    assert isinstance(fresh, BeFA)
    _carry_over(fresh, weights, published, changed)
    torch.testing.assert_close(weights[key], torch.from_numpy(changed).double() + 0.25)
    assert all(weights[name] is trained[name] for name in weights if name != key)


def with_image(features: np.ndarray) -> Any:
    import dataclasses

    data = small_world()
    image = dataclasses.replace(data.modalities["image"], features=features)
    return dataclasses.replace(data, modalities={**data.modalities, "image": image})


class LinearFeatures:
    """Stands for a trained method whose features are known functions of the vectors."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors

    def features(self, modality: str, vectors: np.ndarray | None = None) -> Any:
        given = torch.from_numpy(np.array(self.vectors if vectors is None else vectors, dtype=np.float64))
        ones = torch.ones(len(given), 1, dtype=torch.float64)
        # After: only the first column matters.
        return torch.cat([given, ones], dim=1), torch.cat([given[:, :1], ones], dim=1)


@pytest.fixture
def parts() -> ItemParts:
    features = np.random.default_rng(0).normal(size=(5, 6, 3)).astype(np.float32)
    return ItemParts("image", features, Grid(2, 3), np.ones(5, dtype=bool), lambda items: items, ["t"] * 5)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_occlusion_replaces_a_part_by_the_mean_part(parts: ItemParts) -> None:
    pooled = parts.features.mean(axis=1)
    trained: Any = LinearFeatures(pooled)
    found = heat_maps(trained, parts, np.array([1, 4]), "occlusion")
    mean = parts.features.reshape(-1, 3).mean(axis=0)
    for row, item in enumerate((1, 4)):
        for part in range(6):
            kept = parts.features[item].copy()
            kept[part] = mean
            changed = kept.mean(axis=0)
            whole, other = np.append(pooled[item], 1.0), np.append(changed, 1.0)
            assert found.before[row, part] == pytest.approx(1 - cosine(whole, other), abs=1e-6)
            assert found.after[row, part] == pytest.approx(1 - cosine(whole[[0, 3]], other[[0, 3]]), abs=1e-6)
        expected = 1 - cosine(np.append(pooled[item], 1.0), np.append(mean, 1.0))
        assert found.reliance[0][row] == pytest.approx(expected, abs=1e-6)


def test_similarity_compares_a_part_by_itself_with_the_item(parts: ItemParts) -> None:
    pooled = parts.features.mean(axis=1)
    trained: Any = LinearFeatures(pooled)
    found = heat_maps(trained, parts, np.array([2]), "similarity")
    raw = np.array([cosine(np.append(pooled[2], 1.0), np.append(own, 1.0)) for own in parts.features[2]])
    expected = (raw - raw.min()) / (raw.max() - raw.min())
    assert found.before[0].tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert (found.before.min(), found.before.max()) == (0.0, 1.0)


def test_a_feature_that_ignores_the_picture_has_empty_maps(parts: ItemParts) -> None:
    class Constant(LinearFeatures):
        def features(self, modality: str, vectors: np.ndarray | None = None) -> Any:
            before, _ = super().features(modality, vectors)
            return before, torch.ones(5, 4, dtype=torch.float64)

    trained: Any = Constant(parts.features.mean(axis=1))
    for form in ("occlusion", "similarity"):
        found = heat_maps(trained, parts, np.arange(5), form)
        np.testing.assert_allclose(found.after, 0.0, atol=1e-12)
        np.testing.assert_allclose(found.reliance[1], 0.0, atol=1e-12)
