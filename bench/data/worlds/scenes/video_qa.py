"""The reader of `shapes-videoqa`: videos drawn, turned into features, and asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.data.content import Content
from bench.data.features.frames import Watched
from bench.data.types import ModalityInfo
from bench.data.vqa import Clips, Questions, VqaData, VqaSplit
from bench.data.worlds.scenes.features import APPEARANCE_DIM, MOTION_DIM, appearance, motion
from bench.data.worlds.scenes.questions import ANSWERS, PER_VIDEO, TYPES, all_words, ask
from bench.data.worlds.scenes.store import GENERATOR_VERSION, stored
from bench.data.worlds.scenes.videos import CLIP_FRAMES, CLIPS, FRAMES, draw_events, render_videos
from bench.data.worlds.scenes.words import as_tokens, closed_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.data.content import Request

SEED = 20_101
SIDE = 32
PARTS = ("train", "valid", "test")

_VIDEOS_PER_BLOCK = 32


def read(request: Request) -> Content:
    """Draws the data set at the scale asked for."""
    sizes = {part: max(2, round(request.card.counts[f"{part}_videos"] * request.scale)) for part in PARTS}
    vocabulary = question_vocabulary()

    def load(part: str) -> VqaSplit:
        def progress(done: int, total: int) -> None:
            request.progress(f"{request.id} {part}", done, total)

        return draw_split(part, sizes[part], vocabulary, progress)

    def training(digest: str) -> VqaData:
        return VqaData(
            name=request.id,
            vocabulary=vocabulary,
            answers=ANSWERS,
            types=TYPES,
            choices=0,
            train=load("train"),
            valid=load("valid"),
            digest=digest,
        )

    return Content(
        identity={"generator": GENERATOR_VERSION, "world": "videos", "seed": SEED, "side": SIDE, "sizes": sizes},
        modalities={
            "appearance": ModalityInfo("clips", APPEARANCE_DIM, None),
            "motion": ModalityInfo("clips", MOTION_DIM, None),
            "question": ModalityInfo("text", len(vocabulary), None),
        },
        sizes={
            **{part: count * PER_VIDEO for part, count in sizes.items()},
            **{f"{part}_videos": count for part, count in sizes.items()},
        },
        training=training,
        test=lambda: load("test"),
    )


def question_vocabulary() -> tuple[str, ...]:
    """Returns every word that a question can have, padding and unknown first."""
    return closed_vocabulary(all_words())


def draw_split(
    part: str, videos: int, vocabulary: tuple[str, ...], progress: Callable[[int, int], None] | None = None
) -> VqaSplit:
    """Draws one part.

    Args:
        part: Its name; parts are drawn apart from each other.
        videos: How many; more of them begin with the same ones.
        vocabulary: From `question_vocabulary`.
        progress: Called with (videos done, videos) while features are made.

    Raises:
        DataError: The cache cannot be written.
    """
    index = np.arange(videos)
    width = CLIPS * CLIP_FRAMES * APPEARANCE_DIM

    def draw(rows: np.ndarray) -> np.ndarray:
        frames = render_videos(draw_events(SEED, part, rows), SIDE)
        # A few at a time, so that the filters work in the processor's cache.
        return np.concatenate([featurise(frames[at : at + 4]) for at in range(0, len(rows), 4)])

    features = stored(
        f"videos/{SEED}/{part}/{SIDE}",
        videos,
        (width + CLIPS * MOTION_DIM,),
        draw,
        dtype=np.float32,
        per_block=_VIDEOS_PER_BLOCK,
        progress=progress,
    )
    asked = ask(SEED, part, index, draw_events(SEED, part, index))
    tokens, lengths = as_tokens(asked.texts, vocabulary)
    return VqaSplit(
        questions=Questions(
            tokens=tokens,
            lengths=lengths,
            clips=np.repeat(index, PER_VIDEO),
            answers=asked.answers,
            types=asked.types,
            ids=np.array([f"{part}-{video:06d}-{place}" for video in range(videos) for place in range(PER_VIDEO)]),
            candidates=None,
            candidate_lengths=None,
            texts=np.array(asked.texts),
            answer_texts=np.array(ANSWERS)[asked.answers],
        ),
        clips=Clips(
            appearance=features[:, :width].reshape(videos, CLIPS, CLIP_FRAMES, APPEARANCE_DIM),
            motion=features[:, width:].reshape(videos, CLIPS, MOTION_DIM),
            ids=np.array([f"{part}-{video:06d}" for video in range(videos)]),
        ),
    )


def featurise(frames: np.ndarray) -> np.ndarray:
    """Returns (n, 32 * appearance + 8 * motion) float32 features of (n, 32, side, side, 3) uint8 videos."""
    n, side = len(frames), frames.shape[2]
    seen = appearance(frames.reshape(-1, side, side, 3)).reshape(n, -1)
    moves = motion(frames.reshape(n * CLIPS, CLIP_FRAMES, side, side, 3)).reshape(n, -1)
    return np.concatenate([seen, moves], axis=1)


def watch(request: Request, about: str) -> Watched | None:
    """Returns the clips of one video by its id (`test-000012`); None where there is no such video."""
    part, _, number = about.partition("-")
    if part not in PARTS or not number.isdecimal():
        return None
    frames = render_videos(draw_events(SEED, part, np.array([int(number)])), SIDE)
    return Watched(frames.reshape(CLIPS, CLIP_FRAMES, SIDE, SIDE, 3))


def pictures(count: int, scale: float) -> list[tuple[np.ndarray, str]]:
    """Returns strips of every fourth frame of the first training videos, with their questions and answers."""
    index = np.arange(count)
    events = draw_events(SEED, "train", index)
    frames = render_videos(events, SIDE)[:, ::CLIP_FRAMES]
    asked = ask(SEED, "train", index, events)
    strips = frames.transpose(0, 2, 1, 3, 4).reshape(count, SIDE, FRAMES // CLIP_FRAMES * SIDE, 3)
    texts = [f"{text}? {ANSWERS[answer]}" for text, answer in zip(asked.texts, asked.answers.tolist(), strict=True)]
    return [(strip, "\n".join(texts[row * PER_VIDEO : (row + 1) * PER_VIDEO])) for row, strip in enumerate(strips)]
