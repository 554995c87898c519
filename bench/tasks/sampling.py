"""Images of a trained method for prompts that people type: drawn, edited, or told as a story."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from bench.encoders.base import ImageTextEncoder
from bench.errors import UserError
from bench.methods.generator import ImageEditor, ImageGenerator, Prompts, StoryGenerator
from bench.tasks.generation_common import BLOCK, Stopwatch, as_images, as_pixels, checked
from bench.tasks.grids import picture_grid, png, story_grid
from bench.tasks.prompts import as_story, read_prompts, repeated
from bench.tasks.scoring import Place, place_of, scoring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.data.generation import GenerationData
    from bench.methods.base import Method

MOST = 16
"""Most images, or stories, of one call."""


class Asked(NamedTuple):
    """What a person wants.

    Attributes:
        prompts: As typed.
        images: (k, side, side, 3) uint8: the image to edit, or the first frames of the story.
        number: Images of each prompt; stories.
        seed: Of the one random stream.
    """

    prompts: Sequence[str]
    images: np.ndarray
    number: int
    seed: int


class Made(NamedTuple):
    """What came out.

    Attributes:
        pixels: (rows, columns, side, side, 3) uint8. Rows are prompts (stories: stories), columns are images of one
            prompt (stories: frames).
        sheet: PNG of all, beside their prompts.
        seconds: Wall seconds of the method for each image that it made.
        notices: What a person should know, in whole sentences.
    """

    pixels: np.ndarray
    sheet: bytes
    seconds: float
    notices: tuple[str, ...]

    @property
    def plain(self) -> bytes:
        """PNG of the images alone, edge to edge."""
        rows, columns, height, width, _ = self.pixels.shape
        return png(self.pixels.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3))


def check_request(task: str, *, prompts: int, images: int, number: int) -> None:
    """Checks what can be checked before anything is loaded.

    Args:
        task: Of the run.
        prompts: How many prompts there are.
        images: How many images are given.
        number: Images asked for of each prompt, or stories.

    Raises:
        UserError: The task cannot do with these; says what it takes.
    """
    if not prompts:
        raise UserError("there is no prompt.", hint='Give at least one: --prompt "a red circle".')
    if not 1 <= number <= MOST:
        raise UserError(
            f"--n must be from 1 to {MOST}, but got {number}.", hint="Other seeds give other images: --seed."
        )
    if task == "text_to_image" and images:
        raise UserError(
            "this run draws from prompts alone, so --image has no meaning here.",
            hint="Runs of task `image_editing` change an image; runs of `story` take the first frames.",
        )
    if task == "text_to_image" and prompts * number > BLOCK:
        raise UserError(f"{prompts} prompts with {number} images each are more than {BLOCK}.", hint="Ask for fewer.")
    if task == "image_editing":
        if images != 1:
            given = f"{images} images were given" if images else "none was given"
            raise UserError(f"this run changes one image, but {given}.", hint="Give it as --image FILE.")
        if number != 1:
            raise UserError(
                f"--n is {number}, but an edit is a function of image and prompt: there is one of each prompt.",
                hint="Leave --n out, or give several prompts.",
            )


def make(method: Method, data: GenerationData, asked: Asked) -> Made:
    """Has a method make what a person wants, in eval mode; all randomness comes from the seed.

    Args:
        method: Trained, of one of the three tasks of generation.
        data: What it was trained on.
        asked: Prompts, images, number and seed.

    Raises:
        UserError: A prompt has no known word, or a story has another number of frames.
        DivergedError: An image is not finite.
    """
    place = place_of(method)
    typed = read_prompts(asked.prompts, data, place, any_words=reads_any_words(method))
    stream = torch.Generator().manual_seed(asked.seed)
    watch = Stopwatch(place.device)
    notes = {"side": data.side, "seed": asked.seed}
    with scoring(method):
        if isinstance(method, StoryGenerator):
            given, frames = _given(asked, data, place)
            with watch:
                made = method.complete(frames.clone(), given, as_story(typed.prompts, asked.number), stream)
            pixels = as_pixels(checked(made, frames.shape, method))
            texts = [list(typed.prompts.texts)] * asked.number
            known = given.cpu().numpy()
            sheet = story_grid("stories by prompt", {"drawn": pixels}, known, texts, notes)[0]
            count = int((~given).sum())
        else:
            pixels, before = _pictures(method, data, asked, typed.prompts, stream, watch)
            numbered = {str(column + 1): pixels[:, column] for column in range(asked.number)}
            columns = {"made": pixels[:, 0]} if asked.number == 1 else numbered
            blocks = 1 if len(pixels) < 4 or len(columns) > 2 else 2
            sheet = picture_grid(
                "images by prompt", {**before, **columns}, list(typed.prompts.texts), notes, blocks=blocks
            )[0]
            count = len(pixels) * asked.number
    return Made(pixels, sheet.data, watch.seconds / count if count else 0.0, typed.notices)


def reads_any_words(method: Method) -> bool:
    """Returns whether a method reads text with the tokenizer of a pretrained model."""
    inner = method.innermost
    encoder = getattr(inner, "encoder", None)
    pretrained = isinstance(encoder, ImageTextEncoder) and not encoder.stored
    return pretrained or getattr(getattr(inner, "config", None), "checkpoint", None) is not None


def _pictures(
    method: Method,
    data: GenerationData,
    asked: Asked,
    prompts: Prompts,
    stream: torch.Generator,
    watch: Stopwatch,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns (prompts, images, side, side, 3) pixels, and for an edit the images before."""
    rows, place = len(prompts.texts), place_of(method)
    shape = (rows * asked.number, 3, data.side, data.side)
    before: dict[str, np.ndarray] = {}
    if isinstance(method, ImageEditor):
        before["before"] = np.repeat(asked.images, rows, axis=0)
        images = as_images(before["before"], place)
        with watch:
            made = method.edit(images, prompts)
    elif isinstance(method, ImageGenerator):
        with watch:
            made = method.generate(repeated(prompts, asked.number), stream)
    else:
        raise TypeError(f"{type(method).__name__} makes no images")
    pixels = as_pixels(checked(made, shape, method))
    return pixels.reshape(rows, asked.number, *pixels.shape[1:]), before


def _given(asked: Asked, data: GenerationData, place: Place) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns (stories, F) bool of given frames, and the (stories, F, 3, side, side) frames themselves."""
    frames: int = data.train.frames.shape[1]  # type: ignore[union-attr]
    if len(asked.prompts) != frames:
        raise UserError(
            f"a story of {data.name!r} has {frames} frames and needs a prompt for each, but got {len(asked.prompts)}.",
            hint=f"Give --prompt {frames} times, in the order of the frames.",
        )
    known = len(asked.images)
    if known >= frames:
        raise UserError(
            f"{known} images are given for {frames} frames, which leaves nothing to draw.",
            hint="--image gives the first frames; at least one has to be left.",
        )
    given = torch.zeros(asked.number, frames, dtype=torch.bool, device=place.device)
    given[:, :known] = True
    shown = torch.zeros(asked.number, frames, 3, data.side, data.side, device=place.device, dtype=place.dtype)
    if known:
        shown[:, :known] = as_images(asked.images, place)
    return given, shown
