"""Task `image_editing`: change an image so that a caption fits it, and nothing else.

Where the data has true targets, the request is the caption of the target and the distance to it is measured. Elsewhere
the request is the caption of another image of the split, drawn once with a fixed seed (the protocol of ManiGAN and
DE-Net). Doing nothing wins l2 outright, so its own scores stand beside those of the method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.data.generation import CaptionedImages, Edits
from bench.errors import UserError
from bench.methods.generator import ImageEditor, ImageTextBatch
from bench.metrics import generation
from bench.metrics.manipulation import manipulation_precision
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
from bench.tasks.text_to_image import Drawn, at_rows, texts_at, total

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.data.dataset import Dataset
    from bench.data.generation import GenerationData
    from bench.methods.base import Method
    from bench.metrics.base import Metric
    from bench.metrics.generation import Parsed

TASK_NAME = "image_editing"
SHOWN = 16
"""Edits on a sample grid."""


class EditBatches:
    """Shuffled training images with the captions they fit and captions of what they should become.

    Nothing is flipped, and the true targets of training pairs are not shown. Without pairs the wanted caption is that
    of another training image, drawn anew each epoch.

    Args:
        data: Editing pairs or captioned images.
        batch_size: Images in a batch.
        device: Where batches live.
        generator: CPU random stream of the order and of the wanted captions.
    """

    def __init__(
        self, data: GenerationData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> None:
        self.train = _known(data.train, data.name)
        self.place = Place(device, torch.get_default_dtype())
        self.generator = generator
        self.order = Shuffled(len(self.train), batch_size, generator)

    def epoch(self) -> Iterator[ImageTextBatch]:
        """Yields the batches of one epoch."""
        images = self.train.sources if isinstance(self.train, Edits) else self.train
        wanted = self.train.targets if isinstance(self.train, Edits) else images.captions
        other = None
        if not isinstance(self.train, Edits):
            steps = torch.randint(1, max(2, len(images)), (len(images),), generator=self.generator).numpy()
            other = (np.arange(len(images)) + steps) % len(images)
        for rows in self.order.epoch():
            yield ImageTextBatch(
                as_images(images.pixels[rows], self.place),
                prompts_at(images.captions, rows, self.place),
                prompts_at(wanted, rows if other is None else other[rows], self.place),
            )


class ImageEditingTask:
    """Images changed by captions."""

    name = TASK_NAME
    family = "generation"
    unit = "edit"
    floor = "no_edit"
    """The method whose row others must be read beside."""
    summary = (
        "Change an image so that a caption fits it and nothing else changes; what doing nothing gets is beside it."
    )
    default_metrics = (
        "manipulation_precision[tiny-3]",
        "clip_score[tiny-3]",
        "no_edit_clip_score[tiny-3]",
        "l2",
        "is[world-cnn-7]",
        "seconds_per_image",
    )

    def metric(self, name: str) -> Metric:
        """Reads a metric name such as `l2` or `clip_score[tiny-3]`; UserError when there is none."""
        return generation.parse(name, TASK_NAME)

    def check(self, method: Method, data: GenerationData, metrics: Sequence[str]) -> None:
        """Refuses, before training, a metric that looks through a network the method is trained against."""
        judged(method, data, metrics, TASK_NAME)

    def batches(
        self, data: GenerationData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> EditBatches:
        """Returns shuffled training batches."""
        return EditBatches(data, batch_size=batch_size, device=device, generator=generator)

    def validate(self, method: Method, data: GenerationData, metrics: Sequence[str]) -> dict[str, float]:
        """Scores a method on at most `VALIDATED` validation edits, always the same ones.

        Raises:
            UserError: A metric is unknown, needs targets that the data lacks, or looks through a network the method was
                trained against.
            DivergedError: Images are not finite.
        """
        parsed, judges = judged(method, data, metrics, TASK_NAME)
        part = requests(data.valid, data.name)
        part = _some(part, subset(len(part), VALIDATED))
        scores, totals = score(judges, parsed, edit(method, part), part, "valid", data.name)
        return values_of(scores, totals)

    def evaluate(self, method: Method, dataset: Dataset, metrics: Sequence[str]) -> Evaluation:
        """Opens the test split and makes each edit once.

        Raises:
            UserError: A metric is unknown, needs targets that the data lacks, or looks through a network the method was
                trained against.
            DivergedError: Images are not finite.
        """
        data: GenerationData = dataset.training()
        parsed, judges = judged(method, data, metrics, TASK_NAME)
        test = requests(dataset.test(), data.name)
        made = edit(method, test)
        scores, totals = score(judges, parsed, made, test, "test", data.name)
        shown = subset(len(test), SHOWN)
        columns = {"before": np.asarray(test.sources.pixels)[shown], "made": made.pixels[shown]}
        if test.truth is not None:
            columns["target"] = np.asarray(test.truth)[shown]
        notes = {"images": len(shown), "side": data.side, "request": _request(dataset)}
        samples = picture_grid("edits by caption", columns, test.targets.texts[shown].tolist(), notes)
        return Evaluation(test.ids, scores, totals, samples)


def requests(part: Any, name: str) -> Edits:
    """Returns a part as requests to change images.

    Captioned images ask for the caption of another image: a fixed draw without fixed points, so that every caption is
    asked for once.

    Raises:
        UserError: The data set holds neither pairs nor captioned images.
    """
    known = _known(part, name)
    if isinstance(known, Edits):
        return known
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(len(known))
    wanted = np.empty(len(known), dtype=np.int64)
    wanted[order] = np.roll(order, 1)
    return Edits(known, texts_at(known.captions, wanted), None, known.ids)


def edit(method: Method, part: Edits) -> Drawn:
    """Has a method make edits, in eval mode; its mode is put back.

    Raises:
        DivergedError: An image is not finite.
    """
    if not isinstance(method, ImageEditor):
        raise TypeError(f"task {TASK_NAME!r} scores an ImageEditor, but got {type(method).__name__}")
    place = place_of(method)
    watch = Stopwatch(place.device)
    found = np.empty(part.sources.pixels.shape, dtype=np.uint8)
    with scoring(method):
        for start in range(0, len(part), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(part)))
            images = as_images(part.sources.pixels[rows], place)
            prompts = prompts_at(part.targets, rows, place)
            with watch:
                made = method.edit(images, prompts)
            found[rows] = as_pixels(checked(made, images.shape, method))
    return Drawn(found, watch.seconds)


def score(
    judges: Judges, metrics: Sequence[Parsed], made: Drawn, asked: Edits, part: str, data: str
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Computes metrics of edits: per edit, and of all together.

    For `fid` and `kid` the real images are the true targets where there are any, else the images before.

    Raises:
        UserError: A metric needs true targets and there are none.
    """
    before = np.asarray(asked.sources.pixels)
    similar: dict[str, np.ndarray] = {}
    scores: dict[str, np.ndarray] = {}
    totals: dict[str, float] = {}
    l2 = generation.squared_error(before, made.pixels)
    for parsed in metrics:
        name, kind, network = parsed.name, parsed.family.name, parsed.network or ""
        if kind in ("clip_score", "manipulation_precision") and network not in similar:
            similar[network] = judges.similarity(network, made.pixels, asked.targets)
        if kind == "clip_score":
            scores[name] = similar[network]
        elif kind == "manipulation_precision":
            totals[name] = manipulation_precision(l2, similar[network])
        elif kind == "no_edit_clip_score":
            scores[name] = judges.similarity(network, before, asked.targets)
        elif kind == "l2":
            scores[name] = l2
        elif kind in ("target_error", "no_edit_target_error"):
            if asked.truth is None:
                raise UserError(
                    f"metric {name!r}: data set {data!r} has no true targets of edits.",
                    hint="Leave it out, or use emoji-edits or shapes-edits.",
                )
            scores[name] = generation.squared_error(made.pixels if kind == "target_error" else before, asked.truth)
        else:
            real = before if asked.truth is None else np.asarray(asked.truth)
            totals[name] = total(judges, kind, network, made, real, f"{part} edits")
    return scores, totals


def _known(part: Any, name: str) -> Edits | CaptionedImages:
    return part if isinstance(part, Edits) else part_of(part, CaptionedImages, name, "images to edit")


def _some(part: Edits, rows: np.ndarray) -> Edits:
    truth = None if part.truth is None else np.asarray(part.truth[rows])
    return Edits(at_rows(part.sources, rows), texts_at(part.targets, rows), truth, np.asarray(part.ids)[rows])


def _request(dataset: Dataset) -> str:
    pairs = isinstance(dataset.training().train, Edits)
    return "caption of the true target" if pairs else "caption of another test image"


TASK = ImageEditingTask()
