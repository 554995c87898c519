"""The benchmarks' plain reference computes what `bench` computes; otherwise its time would mean nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bench.data.types import Interactions, Modality, ModalityInfo, RecommendationData

if TYPE_CHECKING:
    from pathlib import Path

check = pytest.importorskip("benchmarks.check", reason="benchmarks/ is not part of the installed package")
sides = pytest.importorskip("benchmarks.sides")
inputs = pytest.importorskip("benchmarks.inputs")


@pytest.fixture
def tiny():
    rng = np.random.default_rng(0)
    n_users, n_items = 120, 90
    users, items = np.divmod(rng.choice(n_users * n_items, size=2500, replace=False), n_items)
    rows = [
        Interactions(users[part].astype(np.int32), items[part].astype(np.int32))
        for part in (slice(0, 1900), slice(1900, 2200), slice(2200, None))
    ]
    latent = rng.standard_normal((n_items, 8))
    modalities = {}
    for name, width in (("image", 24), ("text", 16)):
        features = latent @ rng.standard_normal((8, width)) + 0.3 * rng.standard_normal((n_items, width))
        modalities[name] = Modality(ModalityInfo("features", width, None), np.maximum(features, 0).astype(np.float32))
    data = RecommendationData("tiny", n_users, n_items, rows[0], rows[1], modalities, "tiny")
    return inputs.Inputs(data, rows[2], "tiny")


@pytest.mark.parametrize("case", sides.CASES)
def test_reference_and_bench_agree(case: str, tiny, tmp_path: Path):
    found = check.check(sides.CASES[case], tiny, tmp_path)
    assert set(found) == {"loss", "gradient", "metric"}


def test_a_reference_that_computes_something_else_is_refused(tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plain = sides.reference
    other = replace(tiny.data, train=Interactions(tiny.data.train.users[:-5], tiny.data.train.items[:-5]))
    monkeypatch.setattr(check.sides, "reference", lambda case, data, *rest: plain(case, other, *rest))
    with pytest.raises(check.DifferentError, match="LightGCN: loss differs by"):
        check.check(sides.CASES["lightgcn"], tiny, tmp_path)
