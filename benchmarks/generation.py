"""How long an image and a story take to draw with each method, and how many of its parameters are learned.

    python -m benchmarks.generation                  # generated shapes, default settings, one thread: some minutes
    python -m benchmarks.generation --rounds 5 --json

Time does not depend on what the weights are, so nothing is trained. `ddpm_t2i` is measured for several numbers of
denoising steps, of which its time is a multiple. Methods are measured in turns, several rounds of them, and compared by
their medians within this one run. Stories are drawn from nothing (visualisation).
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.data.dataset import open_dataset
from bench.data.generation import CaptionedImages, Stories
from bench.tasks.story import complete
from bench.tasks.text_to_image import draw, texts_at
from benchmarks.methods import built, named

if TYPE_CHECKING:
    from bench.methods.base import Method

IMAGES, STORIES = 64, 16
STEPS = (10, 50, 250)
PAINTERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("galip", {}),
    ("dfgan", {}),
    *(("ddpm_t2i", {"sampling_steps": steps}) for steps in STEPS),
)
TELLERS: tuple[tuple[str, dict[str, Any]], ...] = (("storyimager", {}), ("ar_story", {}), ("storygan", {}))


def parameters(method: Method) -> dict[str, int]:
    """Returns learned and frozen parameters; of a GAN both players'."""
    learned = sum(weight.numel() for weight in method.parameters() if weight.requires_grad)
    return {"learned": learned, "frozen": sum(weight.numel() for weight in method.parameters()) - learned}


def measure(rounds: int) -> dict[str, dict[str, Any]]:
    """Returns, for each method, seconds of one image (or of one frame of a story) and its parameters."""
    pictures, stories = (open_dataset(name).training() for name in ("shapes-captions@0.05", "shapes-stories@0.05"))
    assert isinstance(pictures.valid, CaptionedImages) and isinstance(stories.valid, Stories)
    captions = texts_at(pictures.valid.captions, np.arange(IMAGES) % len(pictures.valid.captions))
    valid, rows = stories.valid, np.arange(STORIES) % len(stories.valid)
    texts = np.asarray(valid.texts)[rows]
    told = Stories(valid.frames[rows], valid.tokens[rows], valid.lengths[rows], texts, None, rows)
    found: dict[str, dict[str, Any]] = {}
    methods = [(named(*one), built(*one, pictures)) for one in PAINTERS]
    methods += [(named(*one), built(*one, stories)) for one in TELLERS]
    for name, method in methods:
        found[name] = {"seconds": [], **parameters(method)}
    for number in range(rounds + 1):
        for name, method in methods:
            if name.partition(" ")[0] in dict(TELLERS):
                seconds = complete(method, told, "visualisation").seconds / STORIES
            else:
                # The longer the walk, the fewer images make a steady time.
                walk = getattr(getattr(method, "config", None), "sampling_steps", 1)
                some = texts_at(captions, np.arange(max(2, min(IMAGES, 10 * IMAGES // walk))))
                seconds = draw(method, some, pictures.side).seconds / len(some)
            if number:
                # The first round warms up.
                found[name]["seconds"].append(seconds)
    return found


def lines(found: dict[str, dict[str, Any]]) -> list[str]:
    """Returns a line per method: median milliseconds, the ratio to the first of its kind, parameters."""
    out = []
    for name, one in found.items():
        story = name.partition(" ")[0] in dict(TELLERS)
        middle = statistics.median(one["seconds"])
        first = statistics.median(found["storyimager" if story else "galip"]["seconds"])
        share = 100 * one["learned"] / (one["learned"] + one["frozen"])
        out.append(
            f"{name:32} {1000 * middle:9.2f} ms {'a story ' if story else 'an image'}  {middle / first:8.1f} x  "
            f"{one['learned']:>10,} learned, {one['frozen']:>10,} frozen ({share:.1f} % learned)"
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = measure(arguments.rounds)
    print(json.dumps(found) if arguments.json else "\n".join(lines(found)))


if __name__ == "__main__":
    main()
