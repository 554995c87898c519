"""StoryGAN (Li et al., CVPR 2019, arXiv 1812.02784)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from pydantic import Field
from torch.nn import functional

from bench.encoders.build import build_encoder
from bench.errors import UserError
from bench.methods.base import Context, GradientConfig, Group, Loss
from bench.methods.generator import Prompts, StoryGenerator
from bench.methods.layers.conditional_gan import check_halvable
from bench.methods.layers.storygan_blocks import FrameJudge, StoryDrawer, StoryJudge
from bench.methods.layers.unet import draw_noise
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from bench.methods.generator import StoryBatch, StoryPrompts
    from bench.methods.layers.storygan_blocks import Drawn

BETAS = (0.5, 0.999)
"""Adam's decay rates of all players, as published."""


class StoryGAN(StoryGenerator):
    """Stories by a GAN: a context GRU over the sentences, and two discriminators, of frames and of whole stories.

    RECONSTRUCTED from a description of the authors' code. The story vector, drawn around a function of the mean
    sentence, starts a GRU whose state makes the kernel that filters a picture made from the sentence (Text2Gist). The
    sentences come from a frozen image-text encoder. As in the authors' code sentences pass no CA-net, so the only
    Kullback-Leibler term is that of the story vector, which here has a log-variance of its own. The authors' character
    head needs labels of frames, which a training batch does not carry; it is left out.

    It draws all frames from captions and cannot take any into account: given frames are returned as they came, and
    visualisation is the only one of its `modes`.
    """

    modes: ClassVar[tuple[str, ...]] = ("visualisation",)

    class Config(GradientConfig):
        """Settings of `storygan`.

        Of the authors' code (yitong91/StoryGAN at 6172f8a, clevr.yml): width 96 (GF_DIM 192, DF_DIM 96), noise 10,
        kernel 15, batch 24, 64 pixels, and a context as wide as their sentences, 75 there.
        """

        lr: Annotated[float, Choices(1e-4, 2e-4, 4e-4)] = 2e-4
        """Adam's step size of all players; its decay rates are 0.5 and 0.999."""
        lr_gamma: float = 0.5
        """The step size is multiplied by lr_gamma^(epoch / lr_period), epoch from 0."""
        lr_period: float = 20.0
        """See lr_gamma."""
        batch_size: int = 16
        """Training stories in a batch; the last batch of an epoch may be smaller."""
        encoder: str = "tiny-1"
        """Frozen image-text encoder that reads the captions: `tiny-SEED` is trained on the data set, anything else is a
        folder with a pretrained CLIP or its id in the local Hugging Face cache."""
        width: int = 16
        """Channels of the generator at full size, and of the discriminators' first maps."""
        context: int = 64
        """Width of the story vector and of the recurrent states."""
        noise: int = 16
        """Entries of z of each frame."""
        kernel: Annotated[int, Field(ge=1)] = 5
        """Side of the dynamic filter; odd."""
        generator_steps: Annotated[int, Field(ge=1)] = 2
        """Steps of the generator for each of the discriminators."""
        divergence: float = 2.0
        """Weight of the story vector's Kullback-Leibler divergence from N(0, 1)."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        check_halvable("storygan", self.side)
        if config.kernel % 2 == 0:
            raise UserError(f"`kernel` must be odd, but got {config.kernel}.")
        self.encoder = build_encoder(config.encoder, context.data, context.dtype)
        self.encoders = frozenset({self.encoder.identity})
        frames: int = self.data.train.frames.shape[1]  # type: ignore[union-attr]
        sentence, width, dtype = self.encoder.width, config.width, context.dtype
        self.drawer = StoryDrawer(
            sentence,
            context=config.context,
            noise=config.noise,
            width=width,
            side=self.side,
            kernel=config.kernel,
        ).to(dtype)
        self.frame_judge = FrameJudge(sentence, width, self.side).to(dtype)
        self.story_judge = StoryJudge(sentence, width, self.side, frames).to(dtype)

    def groups(self) -> Mapping[str, Group]:
        """Returns one optimiser for each player; the encoder belongs to none."""
        players = {"frame_judge": self.frame_judge, "story_judge": self.story_judge, "generator": self.drawer}
        decay = self.config.weight_decay
        return {
            name: Group(list(player.parameters()), self.config.lr, BETAS, decay) for name, player in players.items()
        }

    def steps(self, batch: StoryBatch) -> Iterator[tuple[str, Loss]]:
        """Yields both discriminators' losses on one drawing, then the generator's on as many new ones as configured."""
        sentences = self.sentences(batch.captions)
        frames = batch.frames.to(sentences)
        with torch.no_grad():
            fake = self.draw(sentences).frames
        yield "frame_judge", judged(self.frame_judge, frames, fake, sentences)
        yield "story_judge", judged(self.story_judge, frames, fake, sentences)
        for _ in range(self.config.generator_steps):
            drawn = self.draw(sentences)
            parts = {
                "frame": towards(self.frame_judge(drawn.frames, sentences), 1.0),
                "story": towards(self.story_judge(drawn.frames, sentences), 1.0),
                "divergence": self.config.divergence * divergence(drawn.mean, drawn.log_variance),
            }
            yield "generator", Loss(parts["frame"] + parts["story"] + parts["divergence"], parts)

    def complete(self, frames: Tensor, given: Tensor, captions: StoryPrompts, generator: torch.Generator) -> Tensor:
        """Draws all frames from the captions and puts the given ones in their places."""
        sentences = self.sentences(captions)
        stories, count = given.shape
        noise = draw_noise((stories, count, self.config.noise), generator, sentences)
        drawn: Drawn = self.drawer(sentences, noise, draw_noise((stories, self.config.context), generator, sentences))
        return torch.where(given[:, :, None, None, None], frames, drawn.frames.to(frames.dtype))

    def sentences(self, captions: StoryPrompts) -> Tensor:
        """Returns (B, F, width) sentence vectors of length 1, without gradient."""
        texts = tuple(text for story in captions.texts for text in story)
        vectors = self.encoder.texts(Prompts(captions.tokens.flatten(0, 1), captions.lengths.flatten(), texts))
        unit: Tensor = functional.normalize(vectors, dim=1).unflatten(0, captions.lengths.shape)
        return unit

    def draw(self, sentences: Tensor) -> Drawn:
        """Draws stories with noise from the training's global stream."""
        noise = torch.randn(*sentences.shape[:2], self.config.noise, device=sentences.device, dtype=sentences.dtype)
        around = torch.randn(len(sentences), self.config.context, device=sentences.device, dtype=sentences.dtype)
        drawn: Drawn = self.drawer(sentences, noise, around)
        return drawn


def towards(logits: Tensor, answer: float) -> Tensor:
    """Returns the mean binary cross-entropy of logits with one answer."""
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, answer))


def judged(judge: FrameJudge | StoryJudge, real: Tensor, fake: Tensor, sentences: Tensor) -> Loss:
    """Returns a discriminator's loss: real pairs, and half each of drawn frames and of sentences of other stories."""
    parts = {
        "real": towards(judge(real, sentences), 1.0),
        "fake": towards(judge(fake, sentences), 0.0),
        "mismatch": towards(judge(real, sentences.roll(1, dims=0)), 0.0),
    }
    return Loss(parts["real"] + 0.5 * (parts["fake"] + parts["mismatch"]), parts)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Returns the mean Kullback-Leibler divergence of N(mean, e^log_variance) from N(0, 1)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()


METHOD = StoryGAN
