"""The learned halves of GALIP (Tao et al., CVPR 2023), after the authors' code (tobran/GALIP at 35d0c2f).

Both work around a frozen CLIP image tower, see `clip_towers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from bench.methods.layers.adversarial import SentenceHead
from bench.methods.layers.affine import SLOPE, DeepFusion, FusionBlock, lrelu

if TYPE_CHECKING:
    from bench.methods.layers.clip_towers import ImageTower

CONCEPT_WEIGHT = 0.1
"""Share of the frozen tower's output that is added to the bridge feature."""


class Sizes(NamedTuple):
    """Widths of the learned halves; the defaults are those of the paper.

    Attributes:
        width: nf, channels of the generator at full size; 8 nf at 8 pixels.
        noise: Entries of z.
        code: Channels of the bridge feature predictor.
        middle: Channels inside its blocks.
        critic: Channels of the discriminator's map.
        assessor: Channels inside its head.
    """

    width: int = 64
    noise: int = 100
    code: int = 64
    middle: int = 32
    critic: int = 512
    assessor: int = 128


def image_sizes(side: int) -> tuple[int, ...]:
    """Returns the sizes of the generator's blocks: 8, 16, ... up to two thirds of the side, then the side.

    224 gives the published 8, 16, 32, 64, 128, 224.
    """
    sizes, size = [], 8
    while 3 * size <= 2 * side:
        sizes.append(size)
        size *= 2
    return (*sizes, side)


def prompted_layers(layers: int) -> range:
    """Returns the layers that see a prompt: 1 to 8 of 12, and the same share of another depth."""
    return range(1, -(-8 * layers // 12) + 1)


def tapped_layers(layers: int) -> tuple[int, ...]:
    """Returns the layers whose patch tokens the discriminator reads: 1, 4, 8 of 12, the same share of another depth."""
    return tuple(layer * layers // 12 for layer in (1, 4, 8))


class BridgeBlock(nn.Module):
    """Residual block of the bridge feature predictor: twice a convolution and deep fusion (M-block).

    Args:
        condition: Width of noise and sentence.
        channels: Of the input.
        middle: Between the convolutions.
        outputs: Of the output; a 1 x 1 shortcut is learned where it differs from `channels`.
    """

    def __init__(self, condition: int, channels: int, middle: int, outputs: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(channels, middle, 3, padding=1), nn.Conv2d(middle, outputs, 3, padding=1)]
        )
        self.fusions = nn.ModuleList([DeepFusion(condition, middle), DeepFusion(condition, outputs)])
        self.shortcut = nn.Conv2d(channels, outputs, 1) if channels != outputs else nn.Identity()

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Returns (B, outputs, h, w) of (B, channels, h, w) and (B, condition)."""
        residual = features
        for convolution, fusion in zip(self.convolutions, self.fusions, strict=True):
            residual = fusion(convolution(residual), condition)
        result: Tensor = self.shortcut(features) + residual
        return result


class MateGenerator(nn.Module):
    """Noise and a sentence to an image, through bridge features and prompts for a frozen tower (Mate-G).

    Args:
        sizes: Widths.
        condition: Width of the sentence.
        tower: The frozen tower's geometry; the tower itself is handed to `forward`.
        side: Height and width of the image, from 12.
    """

    def __init__(self, sizes: Sizes, condition: int, tower: ImageTower, side: int) -> None:
        super().__init__()
        joint = sizes.noise + condition
        self.grid = tower.grid
        self.prompted = prompted_layers(tower.layers)
        self.first = nn.Linear(sizes.noise, sizes.code * self.grid**2)
        self.bridge = nn.ModuleList(BridgeBlock(joint, sizes.code, sizes.middle, sizes.code) for _ in range(4))
        self.to_tower = nn.Conv2d(sizes.code, tower.width, 5, padding=2)
        self.prompts = nn.Linear(joint, len(self.prompted) * tower.width)
        self.from_tower = nn.Conv2d(tower.width, 8 * sizes.width, 5, padding=2)
        scales = image_sizes(side)
        # The ladder is that of DF-GAN read from 4 pixels up: eight-fold until the last three halvings.
        channels = [sizes.width * min(2**level, 8) for level in range(len(scales), -1, -1)]
        channels[0] = 8 * sizes.width
        self.blocks = nn.ModuleList(
            FusionBlock(joint, before, after, size=scale)
            for before, after, scale in zip(channels, channels[1:], scales, strict=False)
        )
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)

    def predict(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the (B, width, grid, grid) bridge feature and the (B, prompts, width) prompts."""
        code = self.first(noise).unflatten(1, (-1, self.grid, self.grid))
        for block in self.bridge:
            code = block(code, condition)
        return self.to_tower(code), self.prompts(condition).unflatten(1, (len(self.prompted), -1))

    def forward(self, noise: Tensor, sentences: Tensor, tower: ImageTower) -> Tensor:
        """Returns (B, 3, side, side) images, meant for [-1, 1] and not limited to it.

        Args:
            noise: (B, noise).
            sentences: (B, condition).
            tower: The frozen tower.
        """
        condition = torch.cat([noise, sentences], dim=1)
        bridge, prompts = self.predict(noise, condition)
        concepts = tower.prompted(bridge, dict(zip(self.prompted, prompts.unbind(1), strict=True)))
        features = self.from_tower(bridge + CONCEPT_WEIGHT * concepts)
        for block in self.blocks:
            features = block(features, condition)
        images: Tensor = self.to_rgb(lrelu(features))
        return images


class ExtractionBlock(nn.Module):
    """shortcut(x) + γ · (two 3 x 3 convolutions) + β · next map; γ = β = 0 at the start.

    Args:
        channels: Of the input.
        outputs: Of the output; a 1 x 1 shortcut is learned where they differ.
        gated: Whether a map of the tower is added.
    """

    def __init__(self, channels: int, outputs: int, *, gated: bool) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.LeakyReLU(SLOPE),
        )
        self.shortcut = nn.Conv2d(channels, outputs, 1) if channels != outputs else nn.Identity()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.beta = nn.Parameter(torch.zeros(1)) if gated else None

    def forward(self, features: Tensor, tower_map: Tensor | None = None) -> Tensor:
        """Returns (B, outputs, h, w) of (B, channels, h, w) and a map of the same shape where the block is gated."""
        result: Tensor = self.shortcut(features) + self.gamma * self.residual(features)
        if self.beta is not None and tower_map is not None:
            result = result + self.beta * tower_map
        return result


class MateDiscriminator(nn.Module):
    """Maps of a frozen tower to a feature map, and with a sentence to a logit (Mate-D).

    Args:
        sizes: Widths.
        condition: Width of the sentence.
        tower_width: Width of the tower's tokens.
    """

    def __init__(self, sizes: Sizes, condition: int, tower_width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ExtractionBlock(tower_width, tower_width, gated=True) for _ in range(2))
        self.last = ExtractionBlock(tower_width, sizes.critic, gated=False)
        self.head = SentenceHead(sizes.critic, condition, sizes.assessor, kernel=4)

    def features(self, maps: Tensor) -> Tensor:
        """Returns the (B, critic, 7, 7) map of (B, 3, width, 7, 7) maps."""
        features = maps[:, 0]
        for block, tower_map in zip(self.blocks, maps.unbind(1)[1:], strict=True):
            features = block(features, tower_map)
        result: Tensor = self.last(features)
        return result

    def forward(self, features: Tensor, sentences: Tensor) -> Tensor:
        """Returns (B, 1, 1, 1) logits of what `features` returned and sentences."""
        logits: Tensor = self.head(features, sentences)
        return logits
