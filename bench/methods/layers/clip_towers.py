"""The inside of a CLIP image tower of `transformers`: tokens after its layers, and prompts into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Preprocessing = Literal["correct", "galip_legacy"]
"""How pixels in [-1, 1] become CLIP's input. `correct`: to [0, 1] and resized bilinearly. `galip_legacy`: mapped to
[0, 1] twice, so that CLIP sees [0.5, 1], and resized to the nearest pixel, as GALIP's released weights expect."""

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


class Looks(NamedTuple):
    """What a tower makes of images.

    Attributes:
        maps: (B, taps, width, grid, grid) patch tokens after the tapped layers.
        embeddings: (B, dim) projected image vectors, not normalised.
    """

    maps: Tensor
    embeddings: Tensor


class ImageTower(nn.Module):
    """A CLIP image encoder whose layers can be read and prompted; the gradient reaches pixels and prompts.

    Args:
        vision: `vision_model` of a `transformers.CLIPModel`.
        projection: Its `visual_projection`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, vision: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.vision: Any = vision
        self.projection = projection
        settings: Any = vision.config
        self.side: int = settings.image_size
        self.grid: int = settings.image_size // settings.patch_size
        self.width: int = settings.hidden_size
        self.layers: int = settings.num_hidden_layers
        dtype = next(vision.parameters()).dtype
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values, dtype=dtype).view(1, 3, 1, 1), persistent=False)

    def pixels(self, images: Tensor, preprocessing: Preprocessing = "correct") -> Tensor:
        """Returns the (B, 3, side, side) input of the tower for (B, 3, h, w) images in [-1, 1]."""
        images = images.to(self.mean.dtype) * 0.5 + 0.5
        size = (self.side, self.side)
        if preprocessing == "galip_legacy":
            images = (functional.interpolate(images, size, mode="nearest") + 1.0) / 2.0
        elif images.shape[-2:] != size:
            images = functional.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
        return (images - self.mean) / self.std

    def looks(self, pixels: Tensor, taps: Sequence[int] = ()) -> Looks:
        """Encodes what `pixels` returned.

        Args:
            pixels: (B, 3, side, side).
            taps: Layers from 0 whose patch tokens are kept; without any, the maps are (B, 0).
        """
        tokens = self.vision.pre_layrnorm(self.vision.embeddings(pixels))
        maps = []
        for number, layer in enumerate(self.vision.encoder.layers):
            tokens = _through(layer, tokens)
            if number in taps:
                maps.append(self._map(tokens[:, 1:]))
        kept = torch.stack(maps, dim=1) if maps else tokens.new_zeros(tokens.shape[0], 0)
        return Looks(kept, self.projection(self.vision.post_layernorm(tokens[:, 0])))

    def prompted(self, feature: Tensor, prompts: Mapping[int, Tensor]) -> Tensor:
        """Sends a map through the layers in place of the patch tokens, with an extra token in some of them (GALIP).

        Args:
            feature: (B, width, grid, grid).
            prompts: (B, width) by layer; dropped again after its layer.

        Returns:
            The (B, width, grid, grid) patch tokens of the last layer, neither normalised nor projected.
        """
        embeddings = self.vision.embeddings
        patches = feature.flatten(2).transpose(1, 2)
        first = embeddings.class_embedding.expand(patches.shape[0], 1, -1)
        tokens = torch.cat([first, patches], dim=1) + embeddings.position_embedding(embeddings.position_ids)
        tokens = self.vision.pre_layrnorm(tokens)
        for number, layer in enumerate(self.vision.encoder.layers):
            prompt = prompts.get(number)
            if prompt is None:
                tokens = _through(layer, tokens)
            else:
                tokens = _through(layer, torch.cat([tokens, prompt[:, None]], dim=1))[:, :-1]
        return self._map(tokens[:, 1:])

    def _map(self, patches: Tensor) -> Tensor:
        square: Tensor = patches.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        return square


def _through(layer: Any, tokens: Tensor) -> Tensor:
    """Returns (B, n, width) tokens after a layer; layers themselves take different arguments in 4.x and 5.x."""
    tokens = tokens + layer.self_attn(hidden_states=layer.layer_norm1(tokens))[0]
    result: Tensor = tokens + layer.mlp(layer.layer_norm2(tokens))
    return result
