"""What the one-way conditional GANs of this family share: hinge losses, the matching-aware penalty, noise, the head."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.base import Loss
from bench.methods.layers.affine import lrelu

if TYPE_CHECKING:
    from collections.abc import Sequence

BETAS = (0.0, 0.9)
"""Adam's decay rates of both players, as published for DF-GAN, GALIP and DE-Net."""


def hinge_real(logits: Tensor) -> Tensor:
    """Returns mean max(0, 1 − logit): the discriminator's loss on real images that fit their sentence."""
    return functional.relu(1.0 - logits).mean()


def hinge_fake(logits: Tensor) -> Tensor:
    """Returns mean max(0, 1 + logit): the discriminator's loss on made images, and on sentences that do not fit."""
    return functional.relu(1.0 + logits).mean()


def mismatched(rows: Tensor) -> Tensor:
    """Returns the rows of a batch moved up by one, so that each meets its neighbour's partner."""
    return rows.roll(-1, dims=0)


def leaf(tensor: Tensor) -> Tensor:
    """Returns a copy that starts a new graph, so that a penalty's second derivative ends here."""
    return tensor.detach().clone().requires_grad_()


def gradient_norms(logits: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """Returns the (B,) squared norms of d logit / d inputs, all inputs of a row taken together."""
    gradients = torch.autograd.grad(logits.sum(), list(inputs), create_graph=True)
    return torch.cat([gradient.flatten(1) for gradient in gradients], dim=1).square().sum(1)


def matching_penalty(logits: Tensor, inputs: Sequence[Tensor], *, weight: float = 2.0, power: float = 6.0) -> Tensor:
    """Matching-aware gradient penalty, weight · mean ‖d logit / d inputs‖^power (DF-GAN; MA-GP).

    Args:
        logits: (B, ...) of real images with their sentences.
        inputs: What the norm is taken over, leaves of the graph: pixels or features, and sentences.
        weight: k of the papers.
        power: p of the papers.
    """
    return weight * gradient_norms(logits, inputs).pow(power / 2).mean()


def discriminator_loss(real: Tensor, fake: Tensor, mismatch: Tensor, penalty: Tensor) -> Loss:
    """Returns hinge(real) + ½ (hinge(fake) + hinge(mismatch)) + penalty of three sets of logits."""
    parts = {
        "real": hinge_real(real),
        "fake": hinge_fake(fake),
        "mismatch": hinge_fake(mismatch),
        "penalty": penalty,
    }
    return Loss(parts["real"] + (parts["fake"] + parts["mismatch"]) / 2.0 + penalty, parts)


class SentenceHead(nn.Module):
    """One logit of an image map and a sentence: tile, convolve, and let a 4 x 4 convolution see the rest.

    Args:
        channels: Channels of the map.
        condition: Width of the sentence.
        hidden: Channels between the two convolutions.
        kernel: 3 keeps the size of a 4 x 4 map (DF-GAN, DE-Net); 4 makes a 7 x 7 map 4 x 4 (GALIP).
    """

    def __init__(self, channels: int, condition: int, hidden: int, *, kernel: int) -> None:
        super().__init__()
        self.joint = nn.Conv2d(channels + condition, hidden, kernel, padding=1 if kernel == 3 else 0, bias=False)
        self.last = nn.Conv2d(hidden, 1, 4, bias=False)

    def forward(self, features: Tensor, sentences: Tensor) -> Tensor:
        """Returns (B, 1, 1, 1) logits of (B, channels, h, w) and (B, condition)."""
        tiled = sentences[:, :, None, None].expand(-1, -1, *features.shape[-2:])
        logits: Tensor = self.last(lrelu(self.joint(torch.cat([features, tiled], dim=1))))
        return logits


class Noise(NamedTuple):
    """How z is drawn when images are made.

    Attributes:
        width: Entries of z.
        truncation: None draws N(0, 1). A number t draws N(0, 1) limited to [−2, 2], times t: scaled, not clipped at t.
    """

    width: int
    truncation: float | None = None

    def draw(self, rows: int, generator: torch.Generator, like: Tensor) -> Tensor:
        """Draws (rows, width) on the device and in the type of `like`; all randomness comes from `generator`."""
        shape = (rows, self.width)
        if self.truncation is None:
            noise = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32)
        else:
            uniform = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float32)
            noise = truncated_normal(uniform.double(), self.truncation)
        return noise.to(device=like.device, dtype=like.dtype)


def truncated_normal(uniform: Tensor, truncation: float) -> Tensor:
    """Returns float32 draws of N(0, 1) limited to [−2, 2], times `truncation`.

    As published, the draws are rounded to float32 before they are scaled.

    Args:
        uniform: float64 in [0, 1).
        truncation: 0.88 in DF-GAN.
    """
    below = 0.5 * math.erfc(math.sqrt(2.0))  # Φ(−2)
    limited: Tensor = torch.special.ndtri(below + uniform * (1.0 - 2.0 * below))
    return limited.float() * truncation
