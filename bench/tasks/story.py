"""Task `story`: draw the missing frames of a story. One method, one training, three modes of evaluation.

`visualisation` gives no frame, `continuation` the first, `completion` any other proper subset, drawn once per story
with a fixed seed. Metrics carry the mode in brackets. A method that cannot do a mode names those it can in `modes`;
metrics of the others then have no value.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from bench.data.generation import Stories, Texts
from bench.errors import UserError
from bench.methods.generator import StoryBatch, StoryGenerator, StoryPrompts
from bench.metrics import generation
from bench.metrics.generation import MODES, THRESHOLD
from bench.tasks.base import Evaluation, Sample, values_of
from bench.tasks.batches import Shuffled
from bench.tasks.generation_common import (
    SEED,
    Judges,
    Stopwatch,
    as_images,
    as_pixels,
    checked,
    judged,
    part_of,
    subset,
)
from bench.tasks.grids import story_grid
from bench.tasks.scoring import Place, place_of, scoring
from bench.tasks.text_to_image import between

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.data.dataset import Dataset
    from bench.data.generation import GenerationData
    from bench.methods.base import Method
    from bench.metrics.base import Metric
    from bench.metrics.generation import Parsed

TASK_NAME = "story"
VALIDATED = 32
"""Most stories that validation draws in each mode."""
STORIES_PER_BLOCK = 16
"""Stories drawn at a time. Part of the protocol: with another number the same stream gives other images."""
SHOWN = 4
"""Stories on each sample grid."""


class Told(NamedTuple):
    """What a method drew for some stories in one mode.

    Attributes:
        pixels: (n, F, side, side, 3) uint8, given frames included.
        given: (n, F) bool.
        exact: (n,) float64: 1 where the given frames came back bit for bit; NaN where none was given.
        seconds: Wall seconds it took.
    """

    pixels: np.ndarray
    given: np.ndarray
    exact: np.ndarray
    seconds: float


class StoryBatches:
    """Shuffled training stories.

    Args:
        data: Stories.
        batch_size: Stories in a batch.
        device: Where batches live.
        generator: CPU random stream of the order.
    """

    def __init__(
        self, data: GenerationData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> None:
        self.stories = _stories(data.train, data.name)
        self.place = Place(device, torch.get_default_dtype())
        self.order = Shuffled(len(self.stories), batch_size, generator)

    def epoch(self) -> Iterator[StoryBatch]:
        """Yields the batches of one epoch."""
        for rows in self.order.epoch():
            frames = as_images(self.stories.frames[rows], self.place)
            yield StoryBatch(frames, story_prompts(self.stories, rows, self.place))


class StoryTask:
    """Frames of stories."""

    name = TASK_NAME
    family = "generation"
    unit = "story"
    summary = (
        "Draw the frames of a story from its captions: all of them, those after the first, or any that are missing."
    )
    default_metrics = (
        "clip_score[tiny-3,visualisation]",
        *(f"fid[world-cnn-7,{mode}]" for mode in MODES),
        *(f"fsd[world-cnn-7,{mode}]" for mode in MODES),
        "given_exact[continuation]",
        "given_exact[completion]",
        "seconds_per_image",
    )

    def metric(self, name: str) -> Metric:
        """Reads a metric name such as `frame_accuracy[continuation]`; UserError when there is none."""
        return generation.parse(name, TASK_NAME)

    def check(self, method: Method, data: GenerationData, metrics: Sequence[str]) -> None:
        """Refuses, before training, a metric that cannot select or looks through a network of the training."""
        parsed, _ = judged(method, data, metrics, TASK_NAME)
        selecting_mode(method, parsed)

    def batches(
        self, data: GenerationData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> StoryBatches:
        """Returns shuffled training batches."""
        return StoryBatches(data, batch_size=batch_size, device=device, generator=generator)

    def validate(self, method: Method, data: GenerationData, metrics: Sequence[str]) -> dict[str, float]:
        """Scores a method on at most `VALIDATED` validation stories, in the mode of the first metric, which selects.

        Metrics of other modes are left out, since every mode has to be drawn by itself.

        Raises:
            UserError: A metric is unknown, has no value for the data or the method, or looks through a network the
                method was trained against.
            DivergedError: Images are not finite.
        """
        parsed, judges = judged(method, data, metrics, TASK_NAME)
        mode = selecting_mode(method, parsed)
        here = [one for one in parsed if one.mode in (mode, None)]
        stories = _some(_stories(data.valid, data.name), VALIDATED)
        told = {mode: complete(method, stories, mode)}
        scores, totals = score(judges, here, told, stories, "valid")
        return {name: value for name, value in values_of(scores, totals).items() if not np.isnan(value)}

    def evaluate(self, method: Method, dataset: Dataset, metrics: Sequence[str]) -> Evaluation:
        """Opens the test split and completes each story once in every mode the method has and a metric names.

        Raises:
            UserError: A metric is unknown, has no value for the data, or looks through a network the method was trained
                against.
            DivergedError: Images are not finite.
        """
        data: GenerationData = dataset.training()
        parsed, judges = judged(method, data, metrics, TASK_NAME)
        test = _stories(dataset.test(), data.name)
        named = {one.mode for one in parsed if one.mode} or {MODES[0]}
        told = {mode: complete(method, test, mode) for mode in MODES if mode in named and mode in modes_of(method)}
        scores, totals = score(judges, parsed, told, test, "test")
        samples: list[Sample] = []
        shown = subset(len(test), SHOWN)
        for mode, made in told.items():
            strips = {"drawn": made.pixels[shown], "real": np.asarray(test.frames[shown])}
            notes = {"stories": len(shown), "side": data.side, "mode": mode}
            samples += story_grid(mode, strips, made.given[shown], test.texts[shown].tolist(), notes)
        return Evaluation(test.ids, scores, totals, tuple(samples))


def selecting_mode(method: Method, metrics: Sequence[Parsed]) -> str:
    """Returns the mode that validation draws: that of the first metric, which selects.

    Raises:
        UserError: The method does not have it, or the metric has no value in it.
    """
    first = metrics[0]
    mode = first.mode or next((one.mode for one in metrics if one.mode), MODES[0])
    if mode not in modes_of(method):
        raise UserError(
            f"metric {first.name!r} cannot select: {type(method).__name__} has no mode {mode!r}.",
            hint=f"Select by a metric of {', '.join(modes_of(method))}.",
        )
    if first.family.name == "given_exact" and mode == MODES[0]:
        raise UserError(
            f"metric {first.name!r} cannot select: in that mode no frame is given.",
            hint="Select by a metric of what is drawn.",
        )
    return mode


def modes_of(method: Method) -> tuple[str, ...]:
    """Returns the modes a method can do: its `modes`, or all."""
    able = getattr(method.innermost, "modes", MODES)
    return tuple(mode for mode in MODES if mode in able)


def masks(mode: str, stories: int, frames: int) -> np.ndarray:
    """Returns (stories, frames) bool, the frames that are given; row i depends on the mode, i and `frames` alone."""
    given = np.zeros((stories, frames), dtype=bool)
    if mode == "continuation":
        given[:, 0] = True
    elif mode == "completion":
        every = np.array(list(product((False, True), repeat=frames)))
        known = every.sum(axis=1)
        # A prefix is a continuation (or a visualisation), and a whole story leaves nothing to draw.
        prefix = np.array([bool(row[: int(count)].all()) for row, count in zip(every, known, strict=True)])
        patterns = every[~prefix]
        draws = np.random.Generator(np.random.PCG64(SEED)).integers(1 << 30, size=stories)
        given = patterns[draws % len(patterns)]
    return given


def story_prompts(stories: Stories, rows: np.ndarray, place: Place) -> StoryPrompts:
    """Returns the captions of some stories as a method reads them."""
    return StoryPrompts(
        torch.from_numpy(stories.tokens[rows].astype(np.int64)).to(place.device),
        torch.from_numpy(stories.lengths[rows].astype(np.int64)).to(place.device),
        tuple(tuple(story) for story in np.asarray(stories.texts)[rows].tolist()),
    )


def complete(method: Method, stories: Stories, mode: str) -> Told:
    """Has a method draw the missing frames in one mode, in eval mode; its mode is put back.

    Raises:
        DivergedError: An image is not finite.
    """
    if not isinstance(method, StoryGenerator):
        raise TypeError(f"task {TASK_NAME!r} scores a StoryGenerator, but got {type(method).__name__}")
    place = place_of(method)
    stream = torch.Generator().manual_seed(SEED)
    watch = Stopwatch(place.device)
    given = masks(mode, len(stories), stories.frames.shape[1])
    found = np.empty(stories.frames.shape, dtype=np.uint8)
    exact = np.full(len(stories), np.nan)
    with scoring(method):
        for start in range(0, len(stories), STORIES_PER_BLOCK):
            rows = np.arange(start, min(start + STORIES_PER_BLOCK, len(stories)))
            known = torch.from_numpy(given[rows]).to(place.device)
            frames = as_images(stories.frames[rows], place) * known[:, :, None, None, None]
            prompts = story_prompts(stories, rows, place)
            # A method may write into what it is handed.
            with watch:
                drawn = method.complete(frames.clone(), known.clone(), prompts, stream)
            checked(drawn, frames.shape, method)
            found[rows] = as_pixels(drawn)
            same = (drawn == frames).flatten(2).all(2) | ~known
            kept = same.all(1).double().cpu().numpy()
            exact[rows] = np.where(given[rows].any(axis=1), kept, np.nan)
    return Told(found, given, exact, watch.seconds)


def score(
    judges: Judges, metrics: Sequence[Parsed], told: Mapping[str, Told], stories: Stories, part: str
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Computes metrics of stories: per story, and of all together. Given frames are never judged by themselves.

    Args:
        judges: The networks.
        metrics: Their names taken apart; those of a mode that is not in `told` get no value.
        told: What was drawn, by mode.
        stories: The true ones.
        part: `valid` or `test`.
    """
    scores: dict[str, np.ndarray] = {}
    totals: dict[str, float] = {}
    for parsed in metrics:
        name, kind = parsed.name, parsed.family.name
        if kind == "seconds_per_image":
            made = sum(int((~one.given).sum()) for one in told.values())
            totals[name] = sum(one.seconds for one in told.values()) / made if made else float("nan")
        elif kind in OF_REAL:
            # The true frames stand in for drawn ones, none of them given.
            true = Told(stories.frames, np.zeros(stories.frames.shape[:2], dtype=bool), np.empty(0), 0.0)
            if kind in PER_STORY:
                scores[name] = _per_story(judges, parsed, true, stories, part)
            else:
                totals[name] = _total(judges, parsed, true, stories, part)
        elif parsed.mode is None or parsed.mode not in told:
            if kind in PER_STORY:
                scores[name] = np.full(len(stories), np.nan)
            else:
                totals[name] = float("nan")
        elif kind == "seconds_per_story":
            totals[name] = told[parsed.mode].seconds / len(stories)
        elif kind in PER_STORY:
            scores[name] = _per_story(judges, parsed, told[parsed.mode], stories, part)
        else:
            totals[name] = _total(judges, parsed, told[parsed.mode], stories, part)
    return scores, totals


PER_STORY = ("clip_score", "frame_accuracy", "real_frame_accuracy", "consistency", "given_exact")
"""Metrics that are means over stories."""
OF_REAL = ("real_attribute_f1", "real_frame_accuracy")
"""Metrics of the true frames, in no mode: what the judge makes of perfect pictures."""


def _per_story(judges: Judges, parsed: Parsed, made: Told, stories: Stories, part: str) -> np.ndarray:
    kind, network = parsed.family.name, parsed.network or ""
    if kind == "given_exact":
        return made.exact
    if kind == "consistency":
        drawn = _frame_features(judges, network, made.pixels)
        return generation.consistency(drawn, _frame_features(judges, network, stories.frames, of=part))
    asked = ~made.given
    if kind == "clip_score":
        texts = Texts(stories.tokens[asked], stories.lengths[asked], np.asarray(stories.texts)[asked])
        values = judges.similarity(network, made.pixels[asked], texts)
    else:
        predicted = judges.attributes(network, made.pixels[asked]) >= THRESHOLD
        values = (predicted == _labels(stories)[asked]).all(axis=1).astype(np.float64)
    spread = np.zeros(asked.shape)
    spread[asked] = values
    means: np.ndarray = spread.sum(axis=1) / asked.sum(axis=1)
    return means


def _total(judges: Judges, parsed: Parsed, made: Told, stories: Stories, part: str) -> float:
    kind, network = parsed.family.name, parsed.network or ""
    asked = ~made.given
    if kind in ("attribute_f1", "real_attribute_f1"):
        predicted = judges.attributes(network, made.pixels[asked]) >= THRESHOLD
        return generation.micro_f1(predicted, _labels(stories)[asked])
    real = _frame_features(judges, network, stories.frames, of=part)
    drawn = _frame_features(judges, network, made.pixels)
    if kind == "fsd":
        return between(kind, generation.story_features(real), generation.story_features(drawn))
    return between(kind, real[asked], drawn[asked])


def _frame_features(judges: Judges, network: str, frames: np.ndarray, *, of: str | None = None) -> np.ndarray:
    flat = np.asarray(frames).reshape(-1, *frames.shape[2:])
    found = judges.features(network, flat, of=None if of is None else f"{of} frames")
    return found.reshape(*frames.shape[:2], -1)


def _labels(stories: Stories) -> np.ndarray:
    assert stories.labels is not None  # noqa: S101 - the judge of frames was trained on the labels of the same data
    return np.asarray(stories.labels, dtype=bool)


def _stories(part: Any, name: str) -> Stories:
    return part_of(part, Stories, name, "stories")


def _some(stories: Stories, most: int) -> Stories:
    rows = subset(len(stories), most)
    return Stories(
        np.asarray(stories.frames[rows]), stories.tokens[rows], stories.lengths[rows],
        np.asarray(stories.texts)[rows], None if stories.labels is None else stories.labels[rows],
        np.asarray(stories.ids)[rows],
    )  # fmt: skip


TASK = StoryTask()
