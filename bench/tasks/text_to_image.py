"""Task `text_to_image`: draw what a caption says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from bench.data.generation import CaptionedImages, Texts
from bench.errors import UserError
from bench.methods.generator import ImageGenerator, ImageTextBatch
from bench.metrics import generation
from bench.metrics.feature_distances import frechet_distance, inception_score, kernel_distance
from bench.tasks.base import Evaluation, values_of
from bench.tasks.batches import Shuffled
from bench.tasks.generation_common import (
    BLOCK,
    SEED,
    VALIDATED,
    Judges,
    Stopwatch,
    as_images,
    as_pixels,
    checked,
    judged,
    part_of,
    prompts_at,
    subset,
)
from bench.tasks.grids import picture_grid
from bench.tasks.scoring import Place, place_of, scoring

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.data.dataset import Dataset
    from bench.data.generation import GenerationData
    from bench.methods.base import Method
    from bench.metrics.base import Metric
    from bench.metrics.generation import Parsed

TASK_NAME = "text_to_image"
SHOWN = 24
"""Images on a sample grid."""


class Drawn(NamedTuple):
    """What a method drew for some captions.

    Attributes:
        pixels: (n, side, side, 3) uint8.
        seconds: Wall seconds it took.
    """

    pixels: np.ndarray
    seconds: float


class CaptionBatches:
    """Shuffled training images with their captions; nothing is flipped, since captions tell left from right.

    Args:
        data: Captioned images.
        batch_size: Images in a batch.
        device: Where batches live.
        generator: CPU random stream of the order.
    """

    def __init__(
        self, data: GenerationData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> None:
        self.rows: CaptionedImages = captioned(data.train, data.name)
        self.place = Place(device, torch.get_default_dtype())
        self.order = Shuffled(len(self.rows), batch_size, generator)

    def epoch(self) -> Iterator[ImageTextBatch]:
        """Yields the batches of one epoch."""
        for rows in self.order.epoch():
            captions = prompts_at(self.rows.captions, rows, self.place)
            yield ImageTextBatch(as_images(self.rows.pixels[rows], self.place), captions)


class TextToImageTask:
    """Images from captions."""

    name = TASK_NAME
    family = "generation"
    unit = "prompt"
    summary = "Draw an image that a caption describes; judged by networks that training never looked through."
    default_metrics = ("clip_score[tiny-3]", "fid[world-cnn-7]", "kid[world-cnn-7]", "seconds_per_image")

    def metric(self, name: str) -> Metric:
        """Reads a metric name such as `fid[world-cnn-7]`; UserError when there is none."""
        return generation.parse(name, TASK_NAME)

    def check(self, method: Method, data: GenerationData, metrics: Sequence[str]) -> None:
        """Refuses, before training, a metric that looks through a network the method is trained against."""
        judged(method, data, metrics, TASK_NAME)

    def batches(
        self, data: GenerationData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> CaptionBatches:
        """Returns shuffled training batches."""
        return CaptionBatches(data, batch_size=batch_size, device=device, generator=generator)

    def validate(self, method: Method, data: GenerationData, metrics: Sequence[str]) -> dict[str, float]:
        """Scores a method on at most `VALIDATED` validation captions, always the same ones.

        Raises:
            UserError: A metric is unknown, or looks through a network the method was trained against.
            DivergedError: Images are not finite.
        """
        parsed, judges = judged(method, data, metrics, TASK_NAME)
        whole = captioned(data.valid, data.name)
        rows = subset(len(whole), VALIDATED)
        part = at_rows(whole, rows)
        scores, totals = score(judges, parsed, draw(method, part.captions, data.side), part, "valid")
        return values_of(scores, totals)

    def evaluate(self, method: Method, dataset: Dataset, metrics: Sequence[str]) -> Evaluation:
        """Opens the test split and draws each of its captions once.

        Raises:
            UserError: A metric is unknown, or looks through a network the method was trained against.
            DivergedError: Images are not finite.
        """
        data: GenerationData = dataset.training()
        parsed, judges = judged(method, data, metrics, TASK_NAME)
        test = captioned(dataset.test(), data.name)
        drawn = draw(method, test.captions, data.side)
        scores, totals = score(judges, parsed, drawn, test, "test")
        shown = subset(len(test), SHOWN)
        samples = picture_grid(
            "images by caption",
            {"drawn": drawn.pixels[shown], "real": np.asarray(test.pixels)[shown]},
            test.captions.texts[shown].tolist(),
            {"images": len(shown), "side": data.side},
        )
        return Evaluation(test.ids, scores, totals, samples)


def captioned(part: Any, name: str) -> CaptionedImages:
    """Returns a part as captioned images.

    Raises:
        UserError: The data set is of another kind.
    """
    return part_of(part, CaptionedImages, name, "captioned images")


def at_rows(images: CaptionedImages, rows: np.ndarray) -> CaptionedImages:
    """Returns some rows of captioned images."""
    return CaptionedImages(
        np.asarray(images.pixels[rows]), texts_at(images.captions, rows), np.asarray(images.ids)[rows],
        None if images.labels is None else images.labels[rows],
    )  # fmt: skip


def texts_at(texts: Texts, rows: np.ndarray) -> Texts:
    """Returns some captions."""
    return Texts(texts.tokens[rows], texts.lengths[rows], np.asarray(texts.texts)[rows])


def draw(method: Method, captions: Texts, side: int) -> Drawn:
    """Has a method draw captions, in eval mode and from a stream of its own; its mode is put back.

    Raises:
        DivergedError: An image is not finite.
    """
    if not isinstance(method, ImageGenerator):
        raise TypeError(f"task {TASK_NAME!r} scores an ImageGenerator, but got {type(method).__name__}")
    place = place_of(method)
    stream = torch.Generator().manual_seed(SEED)
    watch = Stopwatch(place.device)
    found = np.empty((len(captions), side, side, 3), dtype=np.uint8)
    with scoring(method):
        for start in range(0, len(captions), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(captions)))
            prompts = prompts_at(captions, rows, place)
            with watch:
                images = method.generate(prompts, stream)
            found[rows] = as_pixels(checked(images, (len(rows), 3, side, side), method))
    return Drawn(found, watch.seconds)


def score(
    judges: Judges, metrics: Sequence[Parsed], drawn: Drawn, real: CaptionedImages, part: str
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Computes metrics of images: per image, and of all together.

    Args:
        judges: The networks.
        metrics: Their names taken apart.
        drawn: One image for each real one.
        real: With the captions that were drawn.
        part: `valid` or `test`.
    """
    scores: dict[str, np.ndarray] = {}
    totals: dict[str, float] = {}
    for parsed in metrics:
        kind, network = parsed.family.name, parsed.network or ""
        if kind == "clip_score":
            scores[parsed.name] = judges.similarity(network, drawn.pixels, real.captions)
        else:
            totals[parsed.name] = total(judges, kind, network, drawn, real.pixels, part)
    return scores, totals


def total(judges: Judges, kind: str, network: str, drawn: Drawn, real: np.ndarray, part: str) -> float:
    """Returns what is no mean over images: `seconds_per_image`, `is`, or `fid` or `kid` between made and real ones."""
    if kind == "seconds_per_image":
        return drawn.seconds / len(drawn.pixels)
    if kind == "is":
        return inception_score(judges.logits(network, drawn.pixels))
    return between(kind, judges.features(network, real, of=part), judges.features(network, drawn.pixels))


def between(kind: str, real: np.ndarray, drawn: np.ndarray) -> float:
    """Returns the distance between (n, d) and (m, d) features: `kid`, or the Fréchet distance.

    Raises:
        UserError: There are fewer than two images.
    """
    if min(len(real), len(drawn)) < 2:
        raise UserError(f"{kind} needs at least two images of a split, and there are {len(real)}.")
    if kind == "kid":
        return kernel_distance(real, drawn)
    return frechet_distance(real, drawn)


TASK = TextToImageTask()
