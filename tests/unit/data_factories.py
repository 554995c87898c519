"""Small datasets on disk, for the tests of bench.data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from bench.data.card import InteractionCard, ModalityCard, Sizes

if TYPE_CHECKING:
    from pathlib import Path

USERS, ITEMS = 12, 20


def tiny_card(**changes: Any) -> InteractionCard:
    fields: dict[str, Any] = {
        "name": "tiny",
        "title": "Tiny",
        "family": "recommendation",
        "tasks": ("recommendation",),
        "description": "For tests.",
        "source": "tests",
        "licence": "none",
        "citation": "none",
        "protocols": ("mmrec-v1", "mmrec-tv-v1", "diffmm-v1"),
        "sizes": Sizes(users=USERS, items=ITEMS, rows=len(tiny_rows()[0])),
        "modalities": {
            "image": ModalityCard(
                dim=4, description="x", features=("image_feat.npy", "image.npy"), neighbours="image_neighbours.parquet"
            ),
            "text": ModalityCard(dim=3, description="y", features=("text_feat.npy",), preprocess="standardise"),
        },
        "mmrec_labels": ("mmrec",),
    }
    return InteractionCard(**{**fields, **changes})


def tiny_rows() -> tuple[np.ndarray, np.ndarray]:
    """Users with 5 to 16 distinct items each; every item occurs."""
    users = np.repeat(np.arange(USERS), np.arange(5, 5 + USERS))
    items = np.concatenate([(np.arange(count) * 3 + user) % ITEMS for user, count in enumerate(range(5, 5 + USERS))])
    return users, items


def labels_by_rule(users: np.ndarray, *, exchanged: bool = False) -> np.ndarray:
    """Labels that follow MMRec's sizes: each user's last rows are held out."""
    labels = np.zeros(len(users), dtype=int)
    for user in np.unique(users):
        rows = np.flatnonzero(users == user)
        held = int(len(rows) * 0.2)
        n_valid, n_test = (1, 1) if len(rows) < 10 else (held // 2, held - held // 2)
        if exchanged:
            n_valid, n_test = n_test, n_valid
        labels[rows[-n_test:]] = 2
        labels[rows[-n_test - n_valid : -n_test]] = 1
    return labels


def write_parquet(folder: Path, *, labels: np.ndarray | None = None, **columns: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    users, items = tiny_rows()
    frame: dict[str, Any] = {"user": users.astype(np.int32), "item": items.astype(np.int32)}
    if labels is not None:
        frame["split"] = pl.Series([("train", "valid", "test")[label] for label in labels], dtype=pl.Categorical)
    path = folder / "interactions.parquet"
    pl.DataFrame({**frame, **columns}).write_parquet(path)
    return path


def write_inter(folder: Path, *, labels: np.ndarray | None = None, order: np.ndarray | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    users, items = tiny_rows()
    columns = {"userID": users, "itemID": items, "rating": users * 0 + 5.0, "timestamp": users * 0 + 1_390_694_400}
    if labels is not None:
        columns["x_label"] = labels
    frame = pl.DataFrame(columns)
    path = folder / "tiny.inter"
    (frame if order is None else frame[order]).write_csv(path, separator="\t")
    return path


def write_features(folder: Path, **dtypes: Any) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    image = rng.standard_normal((ITEMS, 4)).astype(dtypes.get("image", np.float32))
    text = (rng.standard_normal((ITEMS, 3)) * [1.0, 5.0, 0.0] + 2.0).astype(dtypes.get("text", np.float16))
    np.save(folder / "image_feat.npy", image)
    np.save(folder / "text_feat.npy", text)
    return image, text
