"""The networks of DE-Net (Tao et al., AAAI 2023), after the authors' code (tobran/DE-Net at a07bccf).

The authors' networks are for 256 pixels; here the number of levels follows from the side.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.layers.adversarial import SentenceHead
from bench.methods.layers.affine import SLOPE, ChannelAffine, ConditionMLP, lrelu

if TYPE_CHECKING:
    from collections.abc import Sequence

Branches = Literal["both", "channel", "spatial"]
"""`channel`: w = 1, global changes alone; `spatial`: w = 0, local changes alone."""

RESPONSES = 8
"""Maps of a dynamic convolution."""


class Parts(NamedTuple):
    """What an ablation switches off.

    Attributes:
        branches: Which branches a block has.
        composition: Whether Comp-Pred weighs the branches; without it both weigh one half, as Comp-Pred starts.
        dynamic: Whether the sentence changes the convolution; without it, a plain convolution of that size.
        semantic: Whether the text-free decoder exists; without it the dynamic convolution reads the skip.
    """

    branches: Branches = "both"
    composition: bool = True
    dynamic: bool = True
    semantic: bool = True


def doubled(features: Tensor) -> Tensor:
    """Returns a map of twice the height and width, each pixel repeated."""
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")


class DynamicConvolution(nn.Module):
    """3 x 3 convolution whose kernels a sentence scales and shifts: K[o, i] · S[o, i] + T[o, i]; S = 1, T = 0 at first.

    Args:
        channels: Of the input.
        condition: Width of the sentence.
    """

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(RESPONSES, channels, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.scales = ConditionMLP(condition, condition, RESPONSES * channels, start=1.0)
        self.shifts = ConditionMLP(condition, condition, RESPONSES * channels, start=0.0)

    def forward(self, features: Tensor, sentences: Tensor) -> Tensor:
        """Returns (B, 8, h, w) of (B, channels, h, w) and (B, condition)."""
        rows, channels = features.shape[:2]
        scales, shifts = (
            entries.view(rows, RESPONSES, channels, 1, 1)
            for entries in (self.scales(sentences), self.shifts(sentences))
        )
        kernels = (self.weight * scales + shifts).flatten(0, 1)
        # One grouped convolution over all rows at once: each row has its own kernels.
        responses = functional.conv2d(features.flatten(0, 1)[None], kernels, padding=1, groups=rows)
        by_row: Tensor = responses[0].unflatten(0, (rows, RESPONSES))
        return by_row


class DCBlock(nn.Module):
    """Spatial affine α · h + δ; one map α and one map δ for all channels, from a dynamic convolution of m.

    Args:
        channels: Of h and of m.
        condition: Width of the sentence.
        dynamic: Whether the sentence changes the convolution.
    """

    def __init__(self, channels: int, condition: int, *, dynamic: bool = True) -> None:
        super().__init__()
        self.dynamic = DynamicConvolution(channels, condition) if dynamic else None
        self.plain = None if dynamic else nn.Conv2d(channels, RESPONSES, 3, padding=1, bias=False)
        self.alpha = nn.Conv2d(RESPONSES, 1, 3, padding=1, bias=False)
        self.delta = nn.Conv2d(RESPONSES, 1, 3, padding=1, bias=False)

    def responses(self, semantic: Tensor, sentences: Tensor) -> Tensor:
        """Returns the (B, 8, h, w) responses of a semantic feature."""
        if self.dynamic is not None:
            responses: Tensor = self.dynamic(semantic, sentences)
        else:
            assert self.plain is not None  # noqa: S101 - one of the two exists
            responses = self.plain(semantic)
        return responses

    def forward(self, features: Tensor, semantic: Tensor, sentences: Tensor) -> Tensor:
        """Returns (B, channels, h, w) of an image feature and a semantic feature of that shape."""
        responses = self.responses(semantic, sentences)
        changed: Tensor = self.alpha(responses) * features + self.delta(responses)
        return changed


class CompPred(nn.Module):
    """What all blocks weigh their branches by: t of an image and a sentence (composition predictor; CWP in the code).

    Args:
        channels: Of the 4 x 4 bottleneck.
        condition: Width of the sentence.
    """

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.image = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(SLOPE), nn.Conv2d(channels, condition, 4)
        )
        self.text = nn.Sequential(nn.Linear(condition, condition), nn.LeakyReLU(SLOPE), nn.Linear(condition, condition))
        self.fuse = nn.Sequential(
            nn.Linear(2 * condition, 2 * condition), nn.LeakyReLU(SLOPE), nn.Linear(2 * condition, 2 * condition)
        )
        self.last = nn.Linear(4 * condition, 4 * condition)

    def forward(self, bottleneck: Tensor, sentences: Tensor) -> Tensor:
        """Returns (B, 4 condition) of (B, channels, 4, 4) and (B, condition)."""
        image, text = self.image(bottleneck).flatten(1), self.text(sentences)
        first, second = self.fuse(torch.cat([image, text], dim=1)).chunk(2, dim=1)
        return lrelu(self.last(torch.cat([first - second, first * second, image, text], dim=1)))


class DEBlock(nn.Module):
    """Enlarges a map and changes it as a sentence asks, by channel and by place.

    Args:
        channels: Of the input.
        outputs: Of the output.
        condition: Width of the sentence.
        parts: What is switched off.
    """

    def __init__(self, channels: int, outputs: int, condition: int, parts: Parts | None = None) -> None:
        super().__init__()
        parts = parts or Parts()
        self.convolution = nn.Conv2d(channels, outputs, 3, padding=1)
        self.channel = None if parts.branches == "spatial" else ChannelAffine(condition, outputs, hidden=condition)
        self.spatial = None if parts.branches == "channel" else DCBlock(outputs, condition, dynamic=parts.dynamic)
        self.composition: nn.Linear | None = None
        if parts.branches == "both" and parts.composition:
            self.composition = nn.Linear(4 * condition, outputs)
            nn.init.zeros_(self.composition.weight)
            nn.init.zeros_(self.composition.bias)

    def weights(self, context: Tensor) -> Tensor:
        """Returns the (B, outputs) weight of the channel branch for (B, 4 condition) of Comp-Pred."""
        assert self.composition is not None  # noqa: S101 - asked only where Comp-Pred exists
        return torch.sigmoid(self.composition(context))

    def forward(
        self, features: Tensor, skip: Tensor, semantic: Tensor, sentences: Tensor, context: Tensor | None
    ) -> Tensor:
        """Returns u_k.

        Args:
            features: (B, channels, h, w), u of the block before.
            skip: (B, outputs, 2h, 2w) of the encoder.
            semantic: (B, outputs, 2h, 2w) of the text-free decoder, or the skip.
            sentences: (B, condition).
            context: (B, 4 condition) of Comp-Pred; None without it.
        """
        enlarged = self.convolution(doubled(features))
        changed = []
        if self.channel is not None:
            changed.append(lrelu(self.channel(enlarged, sentences)))
        if self.spatial is not None:
            changed.append(lrelu(self.spatial(enlarged, semantic, sentences)))
        if len(changed) == 1:
            return changed[0] + skip
        by_channel, by_place = changed
        weight: Tensor | float = 0.5
        if self.composition is not None and context is not None:
            weight = self.weights(context)[:, :, None, None]
        result: Tensor = weight * by_channel + (1.0 - weight) * by_place + skip
        return result


class Halving(nn.Module):
    """4 x 4 convolution with stride 2 and no bias, batch normalisation and a leaky rectifier.

    Args:
        channels: Of the input.
        outputs: Of the output.
        normalised: Whether there is a batch normalisation.
    """

    def __init__(self, channels: int, outputs: int, *, normalised: bool = True) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, outputs, 4, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs) if normalised else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Returns (B, outputs, h / 2, w / 2) of (B, channels, h, w)."""
        return lrelu(self.norm(self.convolution(features)))


class SemanticBlock(nn.Module):
    """Enlarges a map and adds a skip, without any text.

    Args:
        channels: Of the input.
        outputs: Of the output.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, outputs, 3, padding=1)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        """Returns (B, outputs, 2h, 2w) of (B, channels, h, w) and a skip of the output's shape."""
        return lrelu(self.convolution(doubled(features))) + skip


class Editor(nn.Module):
    """An image and a sentence to a changed image in [-1, 1].

    Args:
        width: nf, channels at full size (published 32).
        condition: Width of the sentence.
        side: Height and width, a power of two from 8.
        parts: What is switched off.
    """

    def __init__(self, width: int, condition: int, side: int, parts: Parts | None = None) -> None:
        super().__init__()
        parts = parts or Parts()
        levels = side.bit_length() - 3
        channels = [width * min(2**level, 8) for level in range(levels + 1)]
        up = list(pairwise(reversed(channels)))
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList(Halving(*pair) for pair in pairwise(channels))
        reads_semantics = parts.semantic and parts.branches != "channel"
        self.semantic = nn.ModuleList(SemanticBlock(*pair) for pair in up) if reads_semantics else None
        self.up = nn.ModuleList(DEBlock(*pair, condition, parts) for pair in up)
        weighs = parts.composition and parts.branches == "both"
        self.predictor = CompPred(channels[-1], condition) if weighs else None
        self.to_rgb = nn.Conv2d(width, 3, 3, padding=1)

    def encode(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Returns the skips, from the smallest on, and the (B, channels, 4, 4) bottleneck."""
        skips, features = [], self.first(images)
        for block in self.down:
            skips.append(features)
            features = block(features)
        return skips[::-1], features

    def understand(self, skips: Sequence[Tensor], bottleneck: Tensor) -> Sequence[Tensor]:
        """Returns the text-free features by level, from the smallest on; the skips where there is no decoder."""
        if self.semantic is None:
            return skips
        features, levels = bottleneck, []
        for block, skip in zip(self.semantic, skips, strict=True):
            features = block(features, skip)
            levels.append(features)
        return levels

    def forward(self, images: Tensor, sentences: Tensor) -> Tensor:
        """Returns (B, 3, side, side) images of (B, 3, side, side) in [-1, 1] and (B, condition)."""
        skips, features = self.encode(images)
        semantics = self.understand(skips, features)
        context = None if self.predictor is None else self.predictor(features, sentences)
        for block, skip, semantic in zip(self.up, skips, semantics, strict=True):
            features = block(features, skip, semantic, sentences, context)
        return torch.tanh(self.to_rgb(lrelu(features)))


class Discriminator(nn.Module):
    """An image to a 4 x 4 map, and with a sentence to a logit.

    Args:
        width: Channels after the first halving (published 32).
        condition: Width of the sentence.
        side: Height and width, a power of two from 8.
    """

    def __init__(self, width: int, condition: int, side: int) -> None:
        super().__init__()
        channels = [3, *(width * min(2**level, 8) for level in range(side.bit_length() - 3))]
        self.blocks = nn.ModuleList(
            Halving(before, after, normalised=before != 3) for before, after in pairwise(channels)
        )
        self.head = SentenceHead(channels[-1], condition, 2 * width, kernel=3)

    def features(self, images: Tensor) -> Tensor:
        """Returns the (B, channels, 4, 4) map of (B, 3, side, side) images in [-1, 1]."""
        for block in self.blocks:
            images = block(images)
        return images

    def forward(self, features: Tensor, sentences: Tensor) -> Tensor:
        """Returns (B, 1, 1, 1) logits of maps and sentences."""
        logits: Tensor = self.head(features, sentences)
        return logits
