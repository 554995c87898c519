"""`befa` around every method that consumes content: what `wrap: all` means, and that each pair is its own method."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.methods.base import PairBatch
from bench.methods.layers.content import ContentRecommender
from bench.methods.recommendation.befa import BeFA
from bench.methods.registry import METHODS
from bench.spec.check import World, validate_spec
from bench.spec.expand import expand
from bench.testing.recommendation import build, default_config, fit, small_world

RECOMMENDERS = {name: cls for name, cls in METHODS.items() if "recommendation" in cls.tasks and not cls.adapter}
BACKBONES = [name for name, cls in RECOMMENDERS.items() if issubclass(cls, ContentRecommender)]
SPEC = """
version: 1
name: wraps
experiments:
  - task: recommendation
    datasets: [baby]
    methods: [{method: befa, wrap: all}]
    metrics: [recall@20]
    select: recall@20
budgets:
  small: {trials: 0, epochs: 1, seeds: [0]}
"""


def made(name: str, *, wrapped: bool) -> Any:
    entry = {"method": "befa", "wrap": {"method": name}} if wrapped else {"method": name}
    config = default_config(entry)
    inner = config["wrapped"] if wrapped else config
    # Several steps: LD4MRec's blocks begin as the identity, which lets no gradient through to content in the first.
    inner |= {"batch_size": 16, "lr": 5e-3}
    return build(entry, small_world(), config=config, seed=2)


def scores(method: Any) -> torch.Tensor:
    method.eval()
    with torch.no_grad():
        method.begin_scoring()
        found: torch.Tensor = method.score(torch.arange(method.n_users))
    return found


def test_the_published_backbones_are_among_those_it_wraps() -> None:
    assert {
        *("bm3", "diffmm", "freedom", "grcn", "lattice", "ld4mrec", "mgcn", "mgcn_lite", "mmgcn", "slmrec", "vbpr"),
    } <= set(BACKBONES)


def test_all_is_every_method_that_consumes_content(tmp_path: Any) -> None:
    path = tmp_path / "wraps.yaml"
    path.write_text(SPEC, "utf-8")
    entries = expand(validate_spec(path).spec, gpu=False).grid
    assert [entry.method.label for entry in entries] == [f"befa[{name}]" for name in sorted(BACKBONES)]


@pytest.mark.parametrize("name", sorted(set(RECOMMENDERS) - set(BACKBONES)))
def test_the_others_say_why_they_cannot_be_wrapped(name: str) -> None:
    assert World.default().why_not_wrapped("befa", name) == "it consumes no item content"


@pytest.mark.parametrize("name", BACKBONES)
def test_a_wrapped_method_trains_its_adapters_and_is_another_method(name: str) -> None:
    data = small_world()
    wrapped, bare = made(name, wrapped=True), made(name, wrapped=False)
    assert isinstance(wrapped, BeFA) and len(wrapped.adapters) > 0
    before = {key: value.clone() for key, value in wrapped.adapters.state_dict().items()}
    for method in (wrapped, bare):
        result = fit(method, data, epochs=1, seed=2)
        assert result.curve and torch.isfinite(torch.tensor(result.curve[-1].values["loss"]))
    for key, value in wrapped.adapters.state_dict().items():
        assert not torch.equal(value, before[key]), key
    assert not torch.allclose(scores(wrapped), scores(bare), atol=1e-6)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_adapter_decides_something(name: str) -> None:
    """With other weights in the adapters alone, the loss or the scores are others; with the same weights they are not.

    Graphs are sampled or learned anew from the same random state, so that nothing but the adapters can differ.
    """
    method = made(name, wrapped=True)
    data = small_world()
    fit(method, data, epochs=1, seed=2)
    trained = {key: value.clone() for key, value in method.state_dict().items()}
    if method.innermost.batches_of == "histories":
        batch = method.innermost.batch_of(torch.arange(9))
    else:
        items = torch.arange(data.n_items)
        batch = PairBatch(items % data.n_users, items, items.flip(0))

    def outcome(*, other_adapters: bool) -> tuple[torch.Tensor, float]:
        method.load_state_dict(trained)
        for value in method.adapters.parameters() if other_adapters else ():
            torch.nn.init.normal_(value, std=2.0)
        torch.manual_seed(0)
        method.begin_epoch(1, torch.Generator().manual_seed(0))
        return scores(method), float(method.loss(batch).total.detach())

    first, again, changed = (outcome(other_adapters=other) for other in (False, False, True))
    assert torch.equal(first[0], again[0]) and first[1] == again[1]
    assert not torch.equal(first[0], changed[0]) or first[1] != changed[1]
