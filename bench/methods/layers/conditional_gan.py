"""What the adversarial methods of generation share around their networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from torch import Tensor

from bench.encoders.build import build_encoder
from bench.errors import UserError
from bench.methods.base import GradientConfig, Group
from bench.methods.layers.adversarial import BETAS
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from bench.encoders.base import ImageTextEncoder
    from bench.methods.base import Context


class AdversarialConfig(GradientConfig):
    """What every adversarial method can set. Defaults train on a CPU in minutes; published values are named."""

    lr: Annotated[float, Choices(1e-4, 2e-4, 4e-4)] = 4e-4
    """Adam's step size of the generator; published 1e-4. Its decay rates are 0.0 and 0.9."""
    lr_discriminator: Annotated[float, Choices(4e-4, 8e-4)] = 8e-4
    """Adam's step size of the discriminator; published 4e-4."""
    batch_size: int = 16
    """Training images in a batch; the last batch of an epoch may be smaller."""
    encoder: str = "tiny-1"
    """Frozen image-text encoder that reads the captions: `tiny-SEED` is trained on the data set (`tiny-SEED-STEPS` for
    another number of steps than 300), anything else is a folder with a pretrained CLIP or its id in the local Hugging
    Face cache (published for GALIP: openai/clip-vit-base-patch32)."""
    penalty: float = 2.0
    """k, weight of the matching-aware gradient penalty."""
    penalty_power: float = 6.0
    """p, the power that the gradient's norm is raised to."""


def encoder_of(config: AdversarialConfig, context: Context) -> ImageTextEncoder:
    """Returns the frozen encoder of a method, in the method's floating type."""
    return build_encoder(config.encoder, context.data, context.dtype)


def players(config: AdversarialConfig, generator: nn.Module, discriminator: nn.Module) -> Mapping[str, Group]:
    """Returns the two optimisers of an adversarial training."""
    return {
        "discriminator": Group(
            list(discriminator.parameters()), config.lr_discriminator, BETAS, weight_decay=config.weight_decay
        ),
        "generator": Group(list(generator.parameters()), config.lr, BETAS, weight_decay=config.weight_decay),
    }


def as_pixels(images: Tensor, like: Tensor) -> Tensor:
    """Returns images in the floating type and on the device of a parameter."""
    return images.to(device=like.device, dtype=like.dtype)


def gaussian(rows: int, width: int, like: Tensor) -> Tensor:
    """Draws (rows, width) of N(0, 1) from the training's global stream."""
    return torch.randn(rows, width, device=like.device, dtype=like.dtype)


def check_halvable(method: str, side: int) -> None:
    """Refuses images that cannot be halved down to 4 x 4.

    Raises:
        UserError: The side is not a power of two from 8 on.
    """
    if side < 8 or side & (side - 1):
        sizes = sorted({2 ** max(3, side.bit_length() - 1), 2 ** max(3, side.bit_length())})
        raise UserError(
            f"{method} halves images down to 4 x 4 pixels and cannot do so with {side} x {side}.",
            hint=f"Serve the data set at {' or '.join(map(str, sizes))} pixels.",
        )
