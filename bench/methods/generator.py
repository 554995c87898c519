"""The contracts of methods that make images. Pixels are in [-1, 1] here."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from bench.methods.base import Method

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench.data.generation import GenerationData
    from bench.methods.base import Context
    from bench.spec.config import MethodConfig


class Prompts(NamedTuple):
    """Captions to draw.

    Attributes:
        tokens: (B, L) int64; 0 pads.
        lengths: (B,) int64 number of words, at least 1.
        texts: The B captions as written.
    """

    tokens: Tensor
    lengths: Tensor
    texts: tuple[str, ...]


class ImageTextBatch(NamedTuple):
    """A training batch of text-to-image generation and of image editing.

    Attributes:
        images: (B, 3, side, side) in [-1, 1].
        captions: What the images show.
        targets: For editing, captions of what they should become; None otherwise.
    """

    images: Tensor
    captions: Prompts
    targets: Prompts | None = None


class StoryPrompts(NamedTuple):
    """Captions of stories.

    Attributes:
        tokens: (B, F, L) int64; 0 pads.
        lengths: (B, F) int64.
        texts: B tuples of F captions.
    """

    tokens: Tensor
    lengths: Tensor
    texts: tuple[tuple[str, ...], ...]


class StoryBatch(NamedTuple):
    """A training batch of stories.

    Attributes:
        frames: (B, F, 3, side, side) in [-1, 1].
        captions: A caption for each frame.
    """

    frames: Tensor
    captions: StoryPrompts


class GenerationMethod(Method):
    """What all makers of images share.

    Args:
        config: A validated `Config`.
        context: `GenerationData`, views and floating type.
    """

    encoders: frozenset[str] = frozenset()
    """Ids of the pretrained networks the training looked through; an evaluator must be none of them."""

    def __init__(self, config: MethodConfig, context: Context) -> None:
        super().__init__(config, context)
        self.data: GenerationData = context.data
        self.side = self.data.side


class ImageGenerator(GenerationMethod):
    """A method that draws a caption (task `text_to_image`)."""

    tasks: ClassVar[frozenset[str]] = frozenset({"text_to_image"})

    def generate(self, prompts: Prompts, generator: torch.Generator) -> Tensor:
        """Draws (B, 3, side, side) images in [-1, 1]; all randomness comes from `generator`."""
        raise TypeError(f"{type(self).__name__} must override generate")


class ImageEditor(GenerationMethod):
    """A method that changes an image as a caption asks (task `image_editing`)."""

    tasks: ClassVar[frozenset[str]] = frozenset({"image_editing"})

    def edit(self, images: Tensor, prompts: Prompts) -> Tensor:
        """Returns (B, 3, side, side) changed images in [-1, 1]."""
        raise TypeError(f"{type(self).__name__} must override edit")


class StoryGenerator(GenerationMethod):
    """A method that draws the missing frames of a story (task `story`)."""

    tasks: ClassVar[frozenset[str]] = frozenset({"story"})

    def complete(self, frames: Tensor, given: Tensor, captions: StoryPrompts, generator: torch.Generator) -> Tensor:
        """Draws the frames that are not given.

        Args:
            frames: (B, F, 3, side, side) in [-1, 1]; what is not given is zero.
            given: (B, F) bool, the frames that are known.
            captions: A caption for each frame.
            generator: Where all randomness comes from.

        Returns:
            (B, F, 3, side, side) whole stories; given frames bit for bit as they came.
        """
        raise TypeError(f"{type(self).__name__} must override complete")
