"""Networks of StoryGAN (Li et al., CVPR 2019, arXiv 1812.02784)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Drawn(NamedTuple):
    """What the generator makes of a batch of stories.

    Attributes:
        frames: (B, F, 3, side, side) in [-1, 1].
        mean: (B, context) mean of the story vector.
        log_variance: (B, context) of the story vector.
    """

    frames: Tensor
    mean: Tensor
    log_variance: Tensor


class DynamicFilter(nn.Module):
    """Text2Gist's filter: a picture made from the sentence, filtered by a kernel made from the context state.

    Args:
        sentence: Width of a sentence.
        state: Width of the state.
        channels: Of the picture; each is filtered by a kernel of its own.
        side: Pixels of the picture.
        kernel: Side of the filter, odd; 15 as published.
    """

    def __init__(self, sentence: int, state: int, *, channels: int, side: int, kernel: int) -> None:
        super().__init__()
        self.channels, self.side, self.kernel = channels, side, kernel
        self.picture = nn.Linear(sentence, channels * side * side)
        self.filter = nn.Linear(state, channels * kernel * kernel)

    def forward(self, sentences: Tensor, states: Tensor) -> Tensor:
        """Returns (n, channels, side, side) of (n, sentence) and (n, state)."""
        rows = len(sentences)
        picture = torch.tanh(self.picture(sentences)).view(1, rows * self.channels, self.side, self.side)
        kernels = torch.tanh(self.filter(states)).view(rows * self.channels, 1, self.kernel, self.kernel)
        filtered = functional.conv2d(picture, kernels, padding=self.kernel // 2, groups=rows * self.channels)
        return filtered.view(rows, self.channels, self.side, self.side) / self.kernel


class StoryDrawer(nn.Module):
    """The generator: story vector, two GRUs, dynamic filter, and blocks that double the map up to the image.

    As in the authors' code the sentences themselves are not conditioned by a CA-net; only the story vector is drawn,
    with a log-variance of its own.

    Args:
        sentence: Width of a sentence.
        context: Width of the story vector and of the states.
        noise: Entries of z of a frame.
        width: Channels at full size.
        side: Pixels of a frame, 4 · 2^k.
        kernel: Side of the dynamic filter.
    """

    def __init__(self, sentence: int, *, context: int, noise: int, width: int, side: int, kernel: int) -> None:
        super().__init__()
        self.noise = noise
        self.story = nn.Linear(sentence, 2 * context)
        self.context = nn.GRUCell(sentence, context)
        self.motion = nn.GRUCell(sentence + noise, context)
        blocks = (side // 4).bit_length() - 1
        channels = width * 2**blocks
        gist = max(4, min(16, side // 4))
        self.gist = DynamicFilter(sentence, context, channels=8, side=gist, kernel=kernel)
        self.first = nn.Linear(2 * context, channels * 16)
        layers: list[nn.Module] = [nn.Conv2d(channels + 8, channels, 3, padding=1), nn.ReLU()]
        for block in range(blocks):
            before, after = channels >> block, channels >> (block + 1)
            layers += [
                nn.Upsample(scale_factor=2),
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.up = nn.Sequential(*layers, nn.Conv2d(width, 3, 3, padding=1), nn.Tanh())

    def forward(self, sentences: Tensor, noise: Tensor, story_noise: Tensor) -> Drawn:
        """Draws stories.

        Args:
            sentences: (B, F, sentence).
            noise: (B, F, noise) z of each frame.
            story_noise: (B, context) of N(0, 1), for the story vector.
        """
        mean, log_variance = self.story(sentences.mean(1)).chunk(2, dim=1)
        story = mean + (0.5 * log_variance).exp() * story_noise
        state, motion = torch.tanh(story), torch.zeros_like(story)
        states, motions = [], []
        for frame in range(sentences.shape[1]):
            state = self.context(sentences[:, frame], state)
            motion = self.motion(torch.cat([sentences[:, frame], noise[:, frame]], dim=1), motion)
            states.append(state)
            motions.append(torch.cat([motion, story], dim=1))
        flat = sentences.flatten(0, 1)
        gist = self.gist(flat, torch.stack(states, dim=1).flatten(0, 1))
        maps = self.first(torch.stack(motions, dim=1).flatten(0, 1)).view(len(flat), -1, 4, 4)
        images = self.up(torch.cat([maps, functional.adaptive_avg_pool2d(gist, 4)], dim=1))
        return Drawn(images.unflatten(0, sentences.shape[:2]), mean, log_variance)


def halvings(channels: int, width: int, side: int) -> nn.Sequential:
    """Returns convolutions that halve a map of `side` down to 4 x 4, with `width` channels that double at each."""
    layers: list[nn.Module] = []
    for block in range((side // 4).bit_length() - 1):
        after = width * 2**block
        layers += [nn.Conv2d(channels, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        channels = after
    return nn.Sequential(*layers)


class FrameJudge(nn.Module):
    """Image discriminator: does a frame look right beside its sentence and its story?

    Args:
        sentence: Width of a sentence.
        width: Channels of the first map.
        side: Pixels, 4 · 2^k with k ≥ 1.
    """

    def __init__(self, sentence: int, width: int, side: int) -> None:
        super().__init__()
        self.down = halvings(3, width, side)
        channels = width * side // 8
        self.joint = nn.Sequential(
            nn.Conv2d(channels + 2 * sentence, channels, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(channels, 1, 4)
        )

    def forward(self, frames: Tensor, sentences: Tensor) -> Tensor:
        """Returns (B · F,) logits of (B, F, 3, side, side) frames and (B, F, sentence)."""
        story = sentences.mean(1, keepdim=True).expand_as(sentences)
        condition = torch.cat([sentences, story], dim=2).flatten(0, 1)[:, :, None, None].expand(-1, -1, 4, 4)
        logits: Tensor = self.joint(torch.cat([self.down(frames.flatten(0, 1)), condition], dim=1))
        return logits.flatten()


class StoryJudge(nn.Module):
    """Story discriminator: frames stacked on channels, then a product with all sentences.

    Args:
        sentence: Width of a sentence.
        width: Channels of the first map.
        side: Pixels, 4 · 2^k with k ≥ 1.
        frames: F.
    """

    def __init__(self, sentence: int, width: int, side: int, frames: int) -> None:
        super().__init__()
        self.down = halvings(3 * frames, width, side)
        channels = width * side // 8
        self.seen = nn.Linear(channels * 16, channels)
        self.told = nn.Linear(sentence * frames, channels)
        self.bias = nn.Linear(channels, 1)

    def forward(self, frames: Tensor, sentences: Tensor) -> Tensor:
        """Returns (B,) logits of (B, F, 3, side, side) frames and (B, F, sentence)."""
        seen = functional.leaky_relu(self.seen(self.down(frames.flatten(1, 2)).flatten(1)), 0.2)
        logits: Tensor = self.bias(seen * self.told(sentences.flatten(1)))
        return logits[:, 0]
