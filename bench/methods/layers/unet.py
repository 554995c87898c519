"""Small conditional U-Nets and the noise schedule of image diffusion, on `diffusers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import UserError
from bench.methods.base import ScheduledConfig
from bench.methods.layers.captions import CaptionEncoder
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.methods.base import Context

Prediction = Literal["sample", "epsilon", "v_prediction"]


class ImageDiffusionConfig(ScheduledConfig):
    """What every diffusion of images can set. Defaults are sized for a CPU."""

    lr: Annotated[float, Choices(5e-4, 1e-3, 2e-3)] = 2e-3
    """Peak of the step size."""
    weight_decay: float = 1e-4
    """Decay of the weights."""
    batch_size: int = 16
    """Training rows in a batch; the last batch of an epoch may be smaller."""
    optimiser: Literal["adam", "adamw"] = "adamw"
    """`adam` adds weight_decay to the gradient, `adamw` shrinks the weights by it."""
    schedule: Literal["exponential", "step", "cosine"] = "cosine"
    """How the step size falls; see `ScheduledConfig`."""
    clip_norm: float | None = 1.0
    """Largest norm of the whole gradient; None does not clip."""
    channels: tuple[int, ...] = (32, 48)
    """Channels of the U-Net's levels; every level but the first attends to the words, every next one halves the map."""
    heads: int = 4
    """Heads of all attentions; must divide every level's channels and `width`."""
    width: int = 32
    """Width of a word."""
    text_layers: int = 1
    """Transformer layers over the words."""
    words: Annotated[int, Field(ge=1)] = 48
    """Most words of a caption that are read; longer ones are cut."""
    prediction: Prediction = "sample"
    """What the U-Net predicts: `sample` (the clean picture, which learns in few steps), `epsilon` or `v_prediction`."""
    drop_captions: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Share of training rows whose captions are left out, for guidance."""
    guidance: Annotated[float, Choices(1.0, 2.0, 4.0)] = 2.0
    """w of classifier-free guidance, out_∅ + w (out_c − out_∅); 1 is the conditional prediction alone."""
    sampling_steps: Annotated[int, Field(ge=1)] = 10
    """DDIM steps; η = 0. Few are enough where the clean picture is predicted."""


class Diffusion:
    """The forward process and the DDIM walk back (Song et al. 2021); without weights.

    Args:
        settings: Of a `diffusers` scheduler.
    """

    def __init__(self, **settings: Any) -> None:
        from diffusers import DDIMScheduler, DDPMScheduler

        self.settings = settings
        names = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type")
        self.forward: Any = DDPMScheduler(**{name: settings[name] for name in names if name in settings})
        self.backward: Any = DDIMScheduler
        self.steps: int = self.forward.config.num_train_timesteps
        self.prediction: Prediction = self.forward.config.prediction_type

    @classmethod
    def of_pixels(cls, prediction: Prediction) -> Diffusion:
        """Returns the squared-cosine schedule (Nichol and Dhariwal 2021) for pictures in [-1, 1]."""
        return cls(
            num_train_timesteps=1000,
            beta_schedule="squaredcos_cap_v2",
            prediction_type=prediction,
            clip_sample=True,
            timestep_spacing="trailing",
        )

    def draw_steps(self, count: int, device: torch.device) -> Tensor:
        """Draws (count,) int64 steps, each equally likely, from the global stream."""
        return torch.randint(self.steps, (count,), device=device)

    def noised(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Returns z_t = √ᾱ_t z_0 + √(1 − ᾱ_t) ε of (B, ...) and (B,) steps."""
        noised: Tensor = self.forward.add_noise(clean, noise, t)
        return noised

    def target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Returns what the network should say."""
        if self.prediction == "sample":
            return clean
        if self.prediction == "epsilon":
            return noise
        velocity: Tensor = self.forward.get_velocity(clean, noise, t)
        return velocity

    def walk(
        self,
        predict: Callable[[Tensor, Tensor], Tensor],
        noise: Tensor,
        *,
        steps: int,
        pin: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Walks from pure noise to a picture without fresh noise (η = 0).

        Args:
            predict: From z_t and (B,) steps to the network's answer.
            noise: z_T.
            steps: Predictions to make.
            pin: Puts known parts back; called before every prediction and at the end.
        """
        scheduler = self.backward(**self.settings)
        scheduler.set_timesteps(min(steps, self.steps))
        z = noise
        for t in scheduler.timesteps.tolist():
            z = z if pin is None else pin(z)
            answer = predict(z, torch.full((len(z),), t, dtype=torch.int64, device=z.device))
            z = scheduler.step(answer, t, z, eta=0.0).prev_sample
        return z if pin is None else pin(z)


def guided(predict: Callable[[bool], Tensor], weight: float) -> Tensor:
    """Classifier-free guidance (Ho and Salimans 2022).

    Args:
        predict: From whether captions are shown to the network's answer.
        weight: w; at 1 the captions' answer is returned as it is.
    """
    shown = predict(True)
    if weight == 1.0:
        return shown
    hidden = predict(False)
    return hidden + weight * (shown - hidden)


def draw_noise(shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Draws N(0, 1) from `generator` on its own device, and moves it to the device and type of `like`."""
    noise = torch.randn(tuple(shape), generator=generator, device=generator.device)
    return noise.to(device=like.device, dtype=like.dtype)


def pixel_unet(config: ImageDiffusionConfig, dtype: torch.dtype) -> Any:
    """Builds an untrained `UNet2DConditionModel` for pictures of three channels.

    Raises:
        UserError: Channels and heads do not fit.
    """
    from diffusers import UNet2DConditionModel

    channels, heads = config.channels, config.heads
    if len(channels) < 2:
        raise UserError(f"`channels` needs at least two levels, but got {list(channels)}.")
    wrong = [count for count in channels if count % 8 or count % heads]
    if wrong or config.width % heads:
        raise UserError(
            f"`channels` {list(channels)} must be multiples of 8 and of `heads` = {heads}, and `width` = "
            f"{config.width} a multiple of `heads`."
        )
    inner = len(channels) - 1
    unet: Any = UNet2DConditionModel(
        in_channels=3,
        out_channels=3,
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * inner),
        up_block_types=(*["CrossAttnUpBlock2D"] * inner, "UpBlock2D"),
        cross_attention_dim=config.width,
        attention_head_dim=heads,  # by diffusers' naming the number of heads
        norm_num_groups=8,
    )
    # Past the override of `diffusers`, which warns about every change of type.
    return nn.Module.to(unet, dtype=dtype)


def caption_encoder(config: ImageDiffusionConfig, context: Context) -> CaptionEncoder:
    """Builds the encoder of the words that a U-Net of `config` attends to."""
    return CaptionEncoder(
        len(context.data.vocabulary),
        config.width,
        words=config.words,
        layers=config.text_layers,
        heads=config.heads,
        dtype=context.dtype,
    )


def fitting_side(side: int, wanted: int | None, levels: int, *, largest: int) -> int:
    """Returns the side that pictures are drawn at: as wanted, or that of the data up to `largest`, halvable enough.

    Raises:
        UserError: The wanted side cannot be halved as often as the U-Net does.
    """
    step = 2 ** (levels - 1)
    if wanted is None:
        chosen: int = max(step, min(side, largest) // step * step)
        return chosen
    if wanted < step or wanted % step:
        raise UserError(f"pictures of {wanted} pixels cannot be halved {levels - 1} times.")
    return wanted


def resized(images: Tensor, side: int) -> Tensor:
    """Returns (n, C, h, w) images at (side, side): bilinear, antialiased where they shrink."""
    if tuple(images.shape[-2:]) == (side, side):
        return images
    return functional.interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)
