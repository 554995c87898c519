"""Gradient heat maps: worked by hand, against differences, on every backbone, and beside occlusion."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from bench.analysis.attribution import attribution, drift, omission
from bench.data.parts import Grid, ItemParts
from bench.execution.attribution import Features, TrainedBeFA, heat_maps
from bench.execution.attribution_gradient import gradient_heat
from bench.graph.compile import compile_view
from bench.methods.recommendation.befa import BeFA
from bench.methods.registry import METHODS
from bench.testing.recommendation import build, default_config, small_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.data.types import RecommendationData

BACKBONES = [
    name
    for name, cls in METHODS.items()
    if "recommendation" in cls.tasks and not cls.adapter and BeFA.compatible(cls) is None
]
STEP = 2.0**-18


def test_a_map_worked_by_hand() -> None:
    """Two parts of two channels, z their mean, v = (2 z₁, z₂)."""
    spatial = torch.tensor([[[3.0, 0.0], [1.0, 2.0]], [[1.0, 0.0], [-1.0, 4.0]]], dtype=torch.float64)
    spatial.requires_grad_()
    features = spatial.mean(1) * torch.tensor([2.0, 1.0], dtype=torch.float64)
    # First: z = (2, 1), v = (4, 1), ‖v‖² = 17. ∂(v·r)/∂z = (2·4, 1·1), and ½ of it for each of the two parts:
    # w = (4, ½)/17. H = (3·4 + 0·½, 1·4 + 2·½)/17.
    # Second: z = (0, 2), v = (0, 2), ‖v‖² = 4. w = (0, 1)/4: H = (0, 4/4).
    expected = [[12 / 17, 5 / 17], [0.0, 1.0]]
    torch.testing.assert_close(gradient_heat(spatial, features).tolist(), expected)


def test_parts_that_lead_away_from_the_reference_have_no_heat() -> None:
    spatial = torch.tensor([[[1.0, 1.0], [1.0, 0.0], [-2.0, 0.5]]], dtype=torch.float64, requires_grad=True)
    features, reference = spatial.mean(1), torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    # v = (0, ½), so cos(v, r) = v₁/‖v‖ = 0 and its gradient by v is (1/‖v‖, 0) = (2, 0): w = (2/3, 0).
    expected = [[2 / 3, 2 / 3, 0.0]]
    torch.testing.assert_close(gradient_heat(spatial, features, reference).tolist(), expected)


def convolution() -> Callable[[torch.Tensor], torch.Tensor]:
    """A head on a (C, 3, 2) map: a convolution, a maximum over cells and a nonlinear layer."""
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(4, 5, 3, padding=1, dtype=torch.float64)
    last = torch.nn.Linear(5, 3, dtype=torch.float64)

    def encode(spatial: torch.Tensor) -> torch.Tensor:
        cells = functional.silu(conv(spatial.transpose(1, 2).reshape(-1, 4, 3, 2)))
        return torch.tanh(last(cells.amax((2, 3))))

    return encode


def attention() -> Callable[[torch.Tensor], torch.Tensor]:
    """A head on six patch tokens: attention of a class token, as the last block of a ViT has it."""
    torch.manual_seed(1)
    block = torch.nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True, dtype=torch.float64).eval()
    token = torch.randn(1, 1, 4, dtype=torch.float64)

    def encode(spatial: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = block(torch.cat([token.expand(len(spatial), 1, 4), spatial], dim=1))
        return found[:, 0]

    return encode


@pytest.mark.parametrize("made", [convolution, attention])
@pytest.mark.parametrize("own", [True, False])
def test_any_encoder_of_a_spatial_map_equals_differences(made: Callable[[], Any], own: bool) -> None:
    encode = made()
    spatial = torch.randn(3, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    features = encode(spatial)
    width = features.shape[1]
    fixed = features.detach() if own else torch.randn(3, width, dtype=torch.float64)
    found = gradient_heat(spatial, features, None if own else fixed)

    def likeness(changed: torch.Tensor, row: int) -> float:
        vector, other = encode(changed)[row].detach().numpy(), fixed[row].numpy()
        norm = float(other @ other) if own else float(np.linalg.norm(vector) * np.linalg.norm(other))
        return float(vector @ other) / norm

    plain = spatial.detach()
    for row in range(3):
        slope = np.zeros((6, 4))
        for part in range(6):
            for channel in range(4):
                up, down = plain.clone(), plain.clone()
                up[row, part, channel] += 1e-5
                down[row, part, channel] -= 1e-5
                slope[part, channel] = (likeness(up, row) - likeness(down, row)) / 2e-5
        expected = np.maximum(plain[row].numpy() @ slope.mean(axis=0), 0.0)
        np.testing.assert_allclose(found[row].numpy(), expected, atol=1e-8)


def test_the_cosine_with_the_feature_itself_would_leave_no_map() -> None:
    """Why the norms are held fixed when the reference is the feature itself."""
    spatial = torch.randn(3, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3), requires_grad=True)
    features = convolution()(spatial)
    assert gradient_heat(spatial, features).amax(1).min() > 1e-3
    assert gradient_heat(spatial, features, features.detach()).max() < 1e-12


def test_a_feature_that_ignores_the_map_has_no_heat() -> None:
    spatial = torch.ones(2, 3, 4, requires_grad=True)
    other = torch.ones(2, 5, requires_grad=True)
    for features in (torch.ones(2, 5), other * 2.0, spatial.sum(1) * 0.0):
        assert gradient_heat(spatial, features).tolist() == [[0.0] * 3] * 2


class PlantedEncoder:
    """Stands for a trained method: both features read the first column alone, after with a gate."""

    behaviour = torch.tensor([[1.0, 0.0]], dtype=torch.float64)

    def __init__(self, parts: ItemParts) -> None:
        self.vectors = torch.from_numpy(parts.features.astype(np.float64)).mean(1)

    def features(self, modality: str, vectors: np.ndarray | None = None) -> Features:
        return self.of(self.vectors if vectors is None else torch.from_numpy(np.array(vectors, dtype=np.float64)))

    def traced(self, modality: str, vectors: torch.Tensor) -> Features:
        return self.of(vectors)

    def of(self, vectors: torch.Tensor) -> Features:
        told = torch.stack([vectors[:, 0], torch.full_like(vectors[:, 0], 0.3)], dim=1)
        return Features(told, told * torch.sigmoid(told), self.behaviour.expand(len(vectors), 2))


@pytest.fixture
def planted() -> ItemParts:
    """Pictures of 4 x 4 parts whose first column is on in a block of 2 x 2 alone; the other columns are noise."""
    rng = np.random.default_rng(4)
    features = rng.normal(size=(12, 16, 3)).astype(np.float32)
    blocks = np.zeros((12, 4, 4))
    for item in range(12):
        top, left = rng.integers(0, 3, 2)
        blocks[item, top : top + 2, left : left + 2] = 1.0
    foreground = blocks.reshape(12, 16)
    # As many pictures with a positive as with a negative thing: the mean part, with which a part is covered, is 0.
    features[:, :, 0] = foreground * np.where(np.arange(12) % 2, 2.0, -2.0)[:, None]
    pictured = np.ones(12, dtype=bool)
    return ItemParts("image", features, Grid(4, 4), pictured, lambda items: items, ["t"] * 12, foreground)


def test_both_forms_find_a_foreground_that_alone_decides_the_feature(planted: ItemParts) -> None:
    trained: Any = PlantedEncoder(planted)
    assert planted.foreground is not None
    for form in ("occlusion", "gradient"):
        found = heat_maps(trained, planted, np.arange(12), form)
        for heat in (found.before, found.after):
            assert (heat.max(axis=1) > 1e-6).all()
            np.testing.assert_allclose(drift(heat, planted.foreground), 0.0, atol=1e-12)
            np.testing.assert_allclose(omission(heat, planted.foreground), 0.0, atol=1e-12)


def test_a_feature_that_hardly_depends_on_the_picture_has_an_empty_map(planted: ItemParts) -> None:
    """Scaling to [0, 1] must not draw what no ranking could notice; occlusion calls the same maps flat."""
    assert planted.foreground is not None
    for size, empty in ((1e-6, True), (0.1, False)):
        weak = planted._replace(features=(planted.features * size).astype(np.float32))
        trained: Any = PlantedEncoder(weak)
        for form in ("occlusion", "gradient", "gradient-behaviour"):
            found = heat_maps(trained, weak, np.arange(1, 12, 2), form)
            scored = attribution(np.arange(6), found.before, found.after, found.reliance, planted.foreground[1::2])
            assert np.isnan(scored.scores["drift"][0]).all() == empty


def test_towards_behaviour_only_what_agrees_with_it_is_hot(planted: ItemParts) -> None:
    trained: Any = PlantedEncoder(planted)
    found = heat_maps(trained, planted, np.arange(12), "gradient-behaviour")
    # The ID embedding points along the first feature: a negative thing leads away from it.
    assert planted.foreground is not None
    positive = np.arange(12) % 2 == 1
    np.testing.assert_allclose(found.before[positive], planted.foreground[positive], atol=1e-12)
    assert not found.before[~positive].any()


def rounded_world() -> RecommendationData:
    """The small world with vectors to which `STEP` can be added without rounding."""
    data = small_world()
    modalities = {
        name: dataclasses.replace(modality, features=(modality.features / STEP).round().astype(np.float32) * STEP)
        for name, modality in data.modalities.items()
    }
    return dataclasses.replace(data, modalities=modalities)


def as_trained(name: str, data: RecommendationData) -> TrainedBeFA:
    entry = {"method": "befa", "wrap": {"method": name}}
    config = default_config(entry)
    method = build(entry, data, config=config, dtype=torch.float64, seed=1)
    cls = METHODS.get(name)
    infos = {key: modality.info for key, modality in data.modalities.items()}
    trained = TrainedBeFA.__new__(TrainedBeFA)
    trained.record = SimpleNamespace(config=config, fingerprint="0" * 40)  # type: ignore[assignment]
    trained._entry, trained._data = entry, data
    trained._weights = {key: value.clone() for key, value in method.state_dict().items()}
    pipelines = cls.views(cls.Config.model_validate(config["wrapped"]), infos)
    trained._views = {
        key: compile_view(stages, data).view.to(torch.device("cpu"), torch.float64) for key, stages in pipelines.items()
    }
    return trained


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_has_the_gradient_that_differences_have(name: str) -> None:
    data = rounded_world()
    trained = as_trained(name, data)
    image = data.modalities["image"].features
    rng = np.random.default_rng(5)
    direction = STEP * rng.choice([-1.0, 1.0], size=image.shape).astype(np.float32)
    # AMR divides by the largest entry of the table, which counts as a constant.
    direction[np.abs(image).max(axis=1) == np.abs(image).max()] = 0.0
    up, down = (trained.features("image", image + sign * direction) for sign in (1, -1))
    vectors = torch.from_numpy(image.astype(np.float64)).requires_grad_()
    found = trained.traced("image", vectors)
    plain = trained.features("image")
    torch.testing.assert_close(found.behaviour, trained._weights["wrapped.items"])
    for place in (0, 1):
        torch.testing.assert_close(found[place], plain[place], rtol=0, atol=0)
        probe = torch.from_numpy(rng.normal(size=tuple(plain[place].shape)))
        (gradient,) = torch.autograd.grad((found[place] * probe).sum(), vectors, retain_graph=True)
        expected = ((up[place] - down[place]) / 2 * probe).sum(1)
        # One sum for each item: that item's vector alone decides its feature.
        slope = (gradient * torch.from_numpy(direction.astype(np.float64))).sum(1)
        assert expected.abs().max() > 1e-11
        torch.testing.assert_close(slope, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_a_trained_raw_table_is_traced_too() -> None:
    data = rounded_world()
    trained = as_trained("bm3", data)
    trained._weights["wrapped.content.raw.image"] += 0.25
    vectors = torch.from_numpy(data.modalities["image"].features.astype(np.float64)).requires_grad_()
    found = trained.traced("image", vectors)
    weight = trained._weights["wrapped.content.project.image.weight"]
    bias = trained._weights["wrapped.content.project.image.bias"]
    torch.testing.assert_close(found.before, (vectors + 0.25) @ weight.T + bias)
    (gradient,) = torch.autograd.grad(found.before.sum(), vectors)
    torch.testing.assert_close(gradient, weight.sum(0).expand_as(gradient))
