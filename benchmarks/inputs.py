"""What both sides are fed: Baby's interactions (or its generated twin's) and generated features of Baby's sizes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.data.dataset import open_dataset
from bench.data.types import Interactions, Modality, ModalityInfo, RecommendationData

if TYPE_CHECKING:
    from pathlib import Path

WIDTHS = {"image": 4096, "text": 384}
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class Inputs:
    """One workload.

    Attributes:
        data: Training and validation rows, and features.
        test: Test rows.
        source: Where the rows come from.
    """

    data: RecommendationData
    test: Interactions
    source: str


def prepare(folder: Path) -> None:
    """Writes rows and features to a folder, so that every measured process reads the same plain arrays."""
    dataset = open_dataset("baby", allow_twin=True)
    data = dataset.training()
    rows = dict(zip(SPLITS, (data.train, data.valid, dataset.test()), strict=True))
    for name, part in rows.items():
        np.save(folder / f"{name}.npy", np.stack([part.users, part.items]).astype(np.int64))
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((data.n_items, 32), dtype=np.float32)
    for name, width in WIDTHS.items():
        mixing = rng.standard_normal((32, width), dtype=np.float32) / np.float32(np.sqrt(32))
        noise = rng.standard_normal((data.n_items, width), dtype=np.float32)
        # Non-negative like the activations of a CNN; the shared latents give neighbours that repeat.
        np.save(folder / f"{name}.npy", np.maximum(latent @ mixing + 0.5 * noise, 0))
    facts = {"source": dataset.id, "users": data.n_users, "items": data.n_items}
    (folder / "facts.json").write_text(json.dumps(facts))


def load(folder: Path) -> Inputs:
    """Reads what `prepare` wrote; features are memory-mapped."""
    facts = json.loads((folder / "facts.json").read_text())
    rows = {name: np.load(folder / f"{name}.npy") for name in SPLITS}
    parts = {name: Interactions(*pair.astype(np.int32)) for name, pair in rows.items()}
    modalities = {
        name: Modality(ModalityInfo("features", width, None), np.load(folder / f"{name}.npy", mmap_mode="r"))
        for name, width in WIDTHS.items()
    }
    data = RecommendationData(
        f"{facts['source']} with generated features",
        facts["users"],
        facts["items"],
        parts["train"],
        parts["valid"],
        modalities,
        digest=str(folder),
    )
    return Inputs(data, parts["test"], facts["source"])
