"""Affine changes of image features that a sentence decides (DF-GAN, GALIP, DE-Net)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2
"""Slope of every leaky rectifier in these networks."""


def lrelu(features: Tensor) -> Tensor:
    """Returns the leaky rectifier with slope 0.2."""
    return functional.leaky_relu(features, SLOPE)


class ConditionMLP(nn.Module):
    """Linear-ReLU-Linear whose output does not depend on its input at the start.

    Args:
        condition: Width of the input.
        hidden: Width of the hidden layer.
        outputs: Width of the output.
        start: What every output is at the start.
    """

    def __init__(self, condition: int, hidden: int, outputs: int, *, start: float) -> None:
        super().__init__()
        self.first = nn.Linear(condition, hidden)
        self.last = nn.Linear(hidden, outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.constant_(self.last.bias, start)

    def forward(self, condition: Tensor) -> Tensor:
        """Returns (B, outputs) of (B, condition)."""
        outputs: Tensor = self.last(functional.relu(self.first(condition)))
        return outputs


class ChannelAffine(nn.Module):
    """γ(c) · x + β(c), the same for every place of a channel; the identity at the start.

    Args:
        condition: Width of c.
        channels: Channels of x.
        hidden: Hidden width of the two MLPs; None is `channels`, as in DF-GAN and GALIP. DE-Net has `condition`.
    """

    def __init__(self, condition: int, channels: int, *, hidden: int | None = None) -> None:
        super().__init__()
        width = channels if hidden is None else hidden
        self.gamma = ConditionMLP(condition, width, channels, start=1.0)
        self.beta = ConditionMLP(condition, width, channels, start=0.0)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Returns (B, channels, H, W) of features of that shape and (B, condition)."""
        gamma, beta = (part(condition)[:, :, None, None] for part in (self.gamma, self.beta))
        changed: Tensor = gamma * features + beta
        return changed


class DeepFusion(nn.Module):
    """Two channel affines, each with a leaky rectifier (the DFBlock of DF-GAN and GALIP).

    Args:
        condition: Width of the condition.
        channels: Channels of the features.
    """

    def __init__(self, condition: int, channels: int) -> None:
        super().__init__()
        self.affines = nn.ModuleList(ChannelAffine(condition, channels) for _ in range(2))

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Returns (B, channels, H, W) of features of that shape and (B, condition)."""
        for affine in self.affines:
            features = lrelu(affine(features, condition))
        return features


class FusionBlock(nn.Module):
    """A residual generator block: enlarge, then twice deep fusion and a convolution (DF-GAN and GALIP).

    Args:
        condition: Width of the condition.
        channels: Channels of the input.
        outputs: Channels of the output; a 1 x 1 shortcut is learned where they differ.
        size: Height and width of the output.
    """

    def __init__(self, condition: int, channels: int, outputs: int, *, size: int) -> None:
        super().__init__()
        self.size = size
        self.fusions = nn.ModuleList([DeepFusion(condition, channels), DeepFusion(condition, outputs)])
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(channels, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)]
        )
        self.shortcut = nn.Conv2d(channels, outputs, 1) if channels != outputs else nn.Identity()

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Returns (B, outputs, size, size) of (B, channels, h, w) and (B, condition)."""
        enlarged = functional.interpolate(features, (self.size, self.size), mode="nearest")
        residual = enlarged
        for fusion, convolution in zip(self.fusions, self.convolutions, strict=True):
            residual = convolution(fusion(residual, condition))
        result: Tensor = self.shortcut(enlarged) + residual
        return result
