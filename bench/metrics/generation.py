"""Metrics of made images: their names, and per-image and per-story formulas in float64.

A metric that looks through a network names it: `fid[world-cnn-7]`, `clip_score[tiny-3]`. Metrics of stories carry the
mode as well, after a comma where there is a network: `given_exact[continuation]`, `fsd[world-cnn-7,completion]`. A
network from a disk is stored by name and digest of its content: `clip_score[clip-vit-base-patch32@1f2e3d4c]`.
Values that were made with different networks are different metrics and are never compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from bench.data.checkpoints import INCEPTION
from bench.errors import UserError, did_you_mean
from bench.metrics.base import Metric, MetricFamily
from bench.metrics.manipulation import l2_difference
from bench.metrics.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable

MODES = ("visualisation", "continuation", "completion")
"""What is known of a story: nothing; the first frame; any other frames."""
FRAME_CLASSIFIER = "frame-cnn-5"
"""Judge of frame labels where a metric names none; the name is then filled in."""
THRESHOLD = 0.5
"""Probability from which on a frame has an attribute."""
Network = Literal["none", "features", "text", "frames"]
"""What a metric looks through: nothing, a feature network, an image-text encoder, a classifier of frames."""
_PATTERN = re.compile(r"([a-z0-9_]+)(?:\[(.+)\])?")
_TINY = re.compile(r"(tiny-\d+)(?:-|$)")
_EXAMPLES = {"features": "world-cnn-7", "text": "tiny-3", "frames": FRAME_CLASSIFIER}


@dataclass(frozen=True)
class GenerationMetric(MetricFamily):
    """A family of metrics of made images.

    Attributes:
        network: What it looks through.
        tasks: Tasks it belongs to.
        per_mode: Whether it is about one mode of the task `story`.
    """

    network: Network = field(default="none", kw_only=True)
    tasks: tuple[str, ...] = field(kw_only=True)
    per_mode: bool = field(default=True, kw_only=True)


class Parsed(NamedTuple):
    """A metric name taken apart.

    Attributes:
        name: In its full form: the network, then the mode.
        family: Its definition.
        network: Name of the network it looks through; None for none.
        mode: One of `MODES`; None outside of stories.
    """

    name: str
    family: GenerationMetric
    network: str | None
    mode: str | None


def parse(name: str, task: str) -> Metric:
    """Reads a metric name; whether the network can be had, only its loading tells.

    Raises:
        UserError: See `take_apart`.
    """
    parsed = take_apart(name, task)
    family, network = parsed.family, parsed.network
    through = f", seen through {network}" if network else ""
    mode = f" ({parsed.mode})" if parsed.mode else ""
    read = network is not None and (
        (family.network == "text" and not _TINY.match(network))
        or (family.network == "features" and network.partition("@")[0] == INCEPTION)
    )
    summary = f"{family.summary}{through}{mode}"
    return Metric(parsed.name, family.direction, summary, checkpoint=network if read else None)


def take_apart(name: str, task: str) -> Parsed:
    """Reads a metric name.

    Raises:
        UserError: The task has no such metric, or the brackets lack the network or the mode, or hold too much.
    """
    known = families(task)
    match = _PATTERN.fullmatch(name)
    wanted = match.group(1) if match else name.partition("[")[0]
    if wanted not in known:
        forms = ", ".join(form_of(family, task) for family in known.values())
        raise UserError(f"task {task!r} has no metric {name!r}.{did_you_mean(wanted, known)}", hint=f"Known: {forms}.")
    family = known[wanted]
    inside = [part.strip() for part in ((match.group(2) if match else "") or "").split(",") if part.strip()]
    modes = [part for part in inside if part in MODES]
    networks = [part for part in inside if part not in MODES]
    needs_mode = task == "story" and family.per_mode
    mode = modes[0] if modes else None
    network = networks[0] if networks else FRAME_CLASSIFIER if family.network == "frames" else None
    wrong = (
        len(modes) != int(needs_mode) or len(networks) > int(family.network != "none")
        or (family.network != "none" and network is None)
    )  # fmt: skip
    if wrong:
        hint = f"Write {form_of(family, task)}, for example {example(family, task)}."
        if needs_mode:
            hint += f" Modes: {', '.join(MODES)}."
        raise UserError(f"metric {name!r} does not say what {wanted} needs.", hint=hint)
    said = ",".join(part for part in (network, mode) if part)
    return Parsed(f"{wanted}[{said}]" if said else wanted, family, network, mode)


def families(task: str) -> dict[str, GenerationMetric]:
    """Returns the families of a task by name."""
    found = {name: family for name, family in METRICS.items() if isinstance(family, GenerationMetric)}
    return {name: family for name, family in found.items() if task in family.tasks}


def form_of(family: GenerationMetric, task: str) -> str:
    """Returns how a family's metrics are written in a task."""
    inside = []
    if family.network != "none":
        inside.append("[NETWORK]" if family.network == "frames" else "NETWORK")
    if task == "story" and family.per_mode:
        inside.append("MODE")
    return f"{family.name}[{','.join(inside)}]" if inside else family.name


def example(family: GenerationMetric, task: str) -> str:
    """Returns a name of a family in a task."""
    inside = [_EXAMPLES[family.network]] if family.network in ("features", "text") else []
    inside += ["continuation"] if task == "story" and family.per_mode else []
    return f"{family.name}[{','.join(inside)}]" if inside else family.name


def check_evaluators(method: str, trained_against: Iterable[str], evaluators: Iterable[str]) -> None:
    """Checks that no network judges a method that was trained against it.

    Two `NAME@DIGEST` are one network where their digests are: a copy of a folder under another name is no other judge.

    Args:
        method: What the method is called.
        trained_against: Ids of the networks its training looked through.
        evaluators: Names or ids of the networks the metrics look through.

    Raises:
        UserError: One network is both; names the method and the network.
    """

    def root(name: str) -> str:
        # Of one seed begin and data are the same, however long the training.
        match = _TINY.match(name)
        _, at, digest = name.rpartition("@")
        return match.group(1) if match else at + digest

    against = {root(name) for name in trained_against}
    both = sorted(name for name in set(evaluators) if root(name) in against)
    if both:
        raise UserError(
            f"method {method} was trained against the network {both[0]!r}, so that network cannot judge it.",
            hint="Name another network in the metrics, e.g. another seed (tiny-3 where training used tiny-1).",
        )


def squared_error(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the (n,) mean squared difference of uint8 images, pixels on a scale from 0 to 1."""
    return l2_difference(np.asarray(first, dtype=np.float64) / 255.0, np.asarray(second, dtype=np.float64) / 255.0)


def micro_f1(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Returns 2 TP / (2 TP + FP + FN) over all frames and attributes together; NaN where both are empty."""
    hits = float((predicted & labels).sum())
    either = float(predicted.sum() + labels.sum())
    return 2.0 * hits / either if either else float("nan")


def story_features(frames: np.ndarray) -> np.ndarray:
    """Returns (n, 2 d) features of whole stories from (n, F, d) features of their frames.

    The mean over frames and the mean absolute change between successive frames: what is shown, and how much it moves.

    RECONSTRUCTED, a variant: published FSD takes the 512 pooled features that R(2+1)D-18, trained on Kinetics, has of a
    whole sequence. That network is not here; a network of pictures and these two moments over time take its place, so
    no value can be set beside a published one. With fewer stories than 2 d both covariances are singular: the distance
    is still defined, but its bias grows as stories get fewer, and only values on equally many are comparable.
    """
    values = np.asarray(frames, dtype=np.float64)
    return np.concatenate([values.mean(axis=1), np.abs(np.diff(values, axis=1)).mean(axis=1)], axis=1)


def consistency(drawn: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Returns (n,) 1 − |s(drawn) − s(real)|, s the mean cosine between the features of a story's frames.

    Frames that have nothing to do with each other lose by it, and so do copies of one frame.

    Args:
        drawn: (n, F, d) features of the frames of drawn stories.
        real: (n, F, d) the same of the true stories.
    """

    def alike(frames: np.ndarray) -> np.ndarray:
        values = np.asarray(frames, dtype=np.float64)
        unit = values / np.maximum(np.linalg.norm(values, axis=2, keepdims=True), 1e-12)
        number = values.shape[1]
        products = np.einsum("nfd,ngd->nfg", unit, unit)
        mean: np.ndarray = (products.sum(axis=(1, 2)) - number) / (number * (number - 1))
        return mean

    values: np.ndarray = 1.0 - np.abs(alike(drawn) - alike(real))
    return values


_PICTURES = ("text_to_image", "image_editing")
_ALL = (*_PICTURES, "story")

FID = GenerationMetric(
    "fid", "Fréchet distance between features of made and real images", form="fid[NETWORK]", direction="minimize",
    network="features", tasks=_ALL,
)  # fmt: skip
KID = GenerationMetric(
    "kid", "kernel distance (unbiased MMD²) between features of made and real images", form="kid[NETWORK]",
    direction="minimize", network="features", tasks=_ALL,
)  # fmt: skip
IS = GenerationMetric(
    "is", "Inception score: how sure and how varied a classifier finds the made images", form="is[NETWORK]",
    network="features", tasks=_PICTURES,
)  # fmt: skip
CLIP_SCORE = GenerationMetric(
    "clip_score", "mean cosine between a made image and its caption", form="clip_score[NETWORK]", network="text",
    tasks=_ALL,
)  # fmt: skip
NO_EDIT_CLIP_SCORE = GenerationMetric(
    "no_edit_clip_score", "mean cosine between the image as it was and the wanted caption: what doing nothing gets",
    form="no_edit_clip_score[NETWORK]", network="text", tasks=("image_editing",),
)  # fmt: skip
MANIPULATION_PRECISION = GenerationMetric(
    "manipulation_precision", "(1 - l2) times clip_score: changed as asked and little besides",
    form="manipulation_precision[NETWORK]", network="text", tasks=("image_editing",),
)  # fmt: skip
L2 = GenerationMetric(
    "l2", "mean squared change of pixels in [0, 1]; 0 for doing nothing, so never good alone", direction="minimize",
    tasks=("image_editing",),
)  # fmt: skip
TARGET_ERROR = GenerationMetric(
    "target_error", "mean squared distance to the true target, pixels in [0, 1]", direction="minimize",
    tasks=("image_editing",),
)  # fmt: skip
NO_EDIT_TARGET_ERROR = GenerationMetric(
    "no_edit_target_error", "target_error of the image as it was: what doing nothing gets", direction="minimize",
    tasks=("image_editing",),
)  # fmt: skip
FSD = GenerationMetric(
    "fsd",
    "Fréchet distance between whole stories, made and real; RECONSTRUCTED from mean and mean |change| of picture "
    "features, so not comparable with published values of R(2+1)D-18; with fewer stories than twice the network's "
    "width the covariances are singular and the value depends on their number",
    form="fsd[NETWORK,MODE]", direction="minimize", network="features", tasks=("story",),
)  # fmt: skip
ATTRIBUTE_F1 = GenerationMetric(
    "attribute_f1", "micro F1 of the attributes a judge finds in made frames", form="attribute_f1[[NETWORK,]MODE]",
    network="frames", tasks=("story",),
)  # fmt: skip
FRAME_ACCURACY = GenerationMetric(
    "frame_accuracy", "share of made frames in which a judge finds exactly the right attributes",
    form="frame_accuracy[[NETWORK,]MODE]", network="frames", tasks=("story",),
)  # fmt: skip
REAL_ATTRIBUTE_F1 = GenerationMetric(
    "real_attribute_f1", "attribute_f1 of the true frames: what perfect pictures get of this judge",
    form="real_attribute_f1[[NETWORK]]", network="frames", tasks=("story",), per_mode=False,
)  # fmt: skip
REAL_FRAME_ACCURACY = GenerationMetric(
    "real_frame_accuracy", "frame_accuracy of the true frames: what perfect pictures get of this judge",
    form="real_frame_accuracy[[NETWORK]]", network="frames", tasks=("story",), per_mode=False,
)  # fmt: skip
CONSISTENCY = GenerationMetric(
    "consistency", "1 - difference between made and true stories in how alike their frames are",
    form="consistency[NETWORK,MODE]", network="features", tasks=("story",),
)  # fmt: skip
GIVEN_EXACT = GenerationMetric(
    "given_exact", "share of stories whose given frames come back bit for bit", form="given_exact[MODE]",
    tasks=("story",),
)  # fmt: skip
SECONDS_PER_IMAGE = GenerationMetric(
    "seconds_per_image", "wall seconds a made image takes, on the machine of the run", direction="minimize",
    tasks=_ALL, per_mode=False,
)  # fmt: skip
SECONDS_PER_STORY = GenerationMetric(
    "seconds_per_story", "wall seconds the missing frames of a story take, on the machine of the run",
    form="seconds_per_story[MODE]", direction="minimize", tasks=("story",),
)  # fmt: skip
