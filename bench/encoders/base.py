"""What a frozen image-text encoder is to a method."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench.methods.layers.clip_towers import ImageTower, Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.methods.generator import Prompts


class ImageTextEncoder(nn.Module):
    """A frozen `transformers.CLIPModel` and how it reads captions.

    Its weights never change and it stays in eval mode. The gradient reaches the images, and with `tower` what is put
    into its inside; captions are constants.

    Args:
        model: A `transformers.CLIPModel`.
        identity: What it is called in metrics and in a method's `encoders`; equal names mean equal weights on one
            dataset.
        stored: Whether a method's weights hold it. Without it they need the same checkpoint again, which their
            `encoders` names.
    """

    def __init__(self, model: nn.Module, *, identity: str, stored: bool) -> None:
        super().__init__()
        self.identity, self.stored = identity, stored
        # The parts and not the whole: each weight is to be in a method's weights once.
        inside: Any = model
        self.settings = inside.config
        self.text_model, self.text_projection = inside.text_model, inside.text_projection
        self.tower = ImageTower(inside.vision_model, inside.visual_projection)
        self.width: int = inside.config.projection_dim
        self.requires_grad_(False)
        self.eval()
        if not stored:
            self.register_load_state_dict_pre_hook(_keep_own_weights)

    def tokens(self, prompts: Prompts) -> dict[str, Tensor]:
        """Returns the text model's input for captions, on the encoder's device."""
        raise TypeError(f"{type(self).__name__} must override tokens")

    @torch.no_grad()
    def texts(self, prompts: Prompts) -> Tensor:
        """Returns (B, width) sentence vectors, projected and not normalised."""
        vectors: Tensor = self.text_projection(self.text_model(**self.tokens(prompts)).pooler_output)
        return vectors

    def images(self, images: Tensor, preprocessing: Preprocessing = "correct") -> Tensor:
        """Returns (B, width) vectors of (B, 3, h, w) images in [-1, 1], projected and not normalised."""
        return self.tower.looks(self.tower.pixels(images, preprocessing)).embeddings

    def train(self, mode: bool = True) -> ImageTextEncoder:
        """Does nothing: a frozen encoder stays in eval mode."""
        return super().train(False)

    def state_dict(self, *args: Any, **options: Any) -> Any:
        """Returns the weights, or none for an encoder that is not stored with the method."""
        if self.stored:
            return super().state_dict(*args, **options)
        destination: Mapping[str, Tensor] | None = options.get("destination", args[0] if args else None)
        return OrderedDict() if destination is None else destination


def _keep_own_weights(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Lets a method's weights be loaded strictly although this encoder's are not among them."""
    for name, tensor in nn.Module.state_dict(module).items():
        state[f"{prefix}{name}"] = tensor
