"""How long it takes to rank all items for a user with LD4MRec in one pass, with T reverse steps, and with DiffRec.

    python -m benchmarks.diffusion                       # generated interactions, one thread: about a minute
    python -m benchmarks.diffusion --dataset tiktok --rounds 5 --json

Time does not depend on what the weights are, so nothing is trained. Methods are measured in turns, several rounds of
them, and compared by their medians within this one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import torch

from bench.data.dataset import open_dataset
from bench.data.types import RecommendationData
from bench.methods.base import Recommender
from benchmarks.methods import built, named

USERS = 400
"""Ranked in one call, the methods' own size of a batch."""
MEASURED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ld4mrec", {}),
    ("ld4mrec", {"inference_steps": 5}),
    ("ld4mrec", {"steps": 10, "inference_steps": 10}),
    ("ld4mrec", {"steps": 40, "inference_steps": 40}),
    ("diffrec", {}),
)


def recommender(method: str, settings: dict[str, Any], data: RecommendationData) -> Recommender:
    """Returns a method that can score."""
    made = built(method, settings, data)
    assert isinstance(made, Recommender)
    return made.eval()


def measure(dataset: str, rounds: int) -> dict[str, list[float]]:
    """Returns, for each method, the seconds that scoring one user took in each round."""
    data = open_dataset(dataset).training()
    assert isinstance(data, RecommendationData)
    methods = [(named(*one), recommender(*one, data)) for one in MEASURED]
    users = torch.arange(min(USERS, data.n_users))
    found: dict[str, list[float]] = {name: [] for name, _ in methods}
    with torch.no_grad():
        for number in range(rounds + 1):
            for name, method in methods:
                start = time.perf_counter()
                method.begin_scoring()
                method.score(users)
                if number:
                    # The first round warms up.
                    found[name].append((time.perf_counter() - start) / len(users))
    return found


def lines(found: dict[str, list[float]]) -> list[str]:
    """Returns a line per method: median milliseconds of a user, and the ratio to the first."""
    first = statistics.median(next(iter(found.values())))
    return [
        f"{name:40} {1000 * statistics.median(seconds):8.3f} ms a user  {statistics.median(seconds) / first:6.1f} x"
        for name, seconds in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="baby-twin@0.25")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = measure(arguments.dataset, arguments.rounds)
    print(json.dumps(found) if arguments.json else "\n".join(lines(found)))


if __name__ == "__main__":
    main()
