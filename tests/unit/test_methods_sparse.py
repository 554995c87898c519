"""No method of general or cold-start recommendation holds a table with a row and a column per node."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench.data.cold_start import ColdStartData
from bench.methods.registry import METHODS
from bench.testing import cold_start, recommendation

GENERAL = {name: cls for name, cls in METHODS.items() if "recommendation" in cls.tasks}
COLD = {name: cls for name, cls in METHODS.items() if cls.tasks == {"cold_start"}}
DENSE = {"ease"}
"""By design: its weights are items × items (Steck, WWW 2019)."""
SMALL = {"dim": 20, "latent": 18, "hidden": 22, "k": 7, "batch_size": 16, "rank": 9}
"""Widths and neighbours that are no count of nodes: 100 neighbours among 42 items would be all of them."""


def pairs(family: dict[str, Any], inner: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [
        *((name, None) for name, cls in family.items() if not cls.adapter),
        *(
            (name, other)
            for name, cls in family.items()
            if cls.adapter
            for other, wrapped in inner.items()
            if not wrapped.adapter and cls.compatible(wrapped) is None
        ),
    ]


CASES = [
    *(("recommendation", *pair) for pair in pairs(GENERAL, GENERAL)),
    *(("cold_start", *pair) for pair in pairs(COLD, GENERAL | COLD)),
]


def world(task: str) -> Any:
    """Returns a world whose numbers of users, items and nodes are no other number in it."""
    if task == "recommendation":
        return recommendation.small_world(users=61, items=43)
    return cold_start.small_world(users=61, items=48)


def made(task: str, name: str, wrap: str | None, data: Any) -> Any:
    entry = {"method": name, **({"wrap": {"method": wrap}} if wrap else {})}
    config = recommendation.default_config(entry)
    for part in (config, config.get("wrapped", {})):
        part |= {key: value for key, value in SMALL.items() if isinstance(part.get(key), int)}
    return recommendation.build(entry, data, config=config)


def dense(shape: tuple[int, ...], data: Any) -> bool:
    """Whether a shape has two dimensions that run over users, items or both."""
    counts = {data.n_users, data.n_items, data.n_users + data.n_items}
    if isinstance(data, ColdStartData):
        counts.add(int(data.warm.sum()))
    return sum(size in counts for size in shape) >= 2


def held(method: Any) -> dict[str, tuple[int, ...]]:
    """Returns the shape of everything a method holds: parameters, buffers, and tensors and arrays it reaches.

    A sparse tensor holds its values, not its shape. What the context holds is the data's and shared.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    seen: set[int] = set()

    def look(value: Any, at: str) -> None:
        if id(value) in seen or len(at) > 200:
            return
        seen.add(id(value))
        if isinstance(value, (torch.Tensor, np.ndarray)):
            if not isinstance(value, torch.Tensor) or value.layout == torch.strided:
                shapes[at] = tuple(value.shape)
            return
        if isinstance(value, dict):
            parts = [(str(key), part) for key, part in value.items()]
        elif isinstance(value, (list, tuple, set)):
            parts = [(str(number), part) for number, part in enumerate(value)]
        elif type(value).__module__.split(".")[0] in ("bench", "torch") and hasattr(value, "__dict__"):
            parts = [(key, part) for key, part in vars(value).items() if key != "context"]
        else:
            return
        for key, part in parts:
            look(part, f"{at}.{key}")

    look(method, "method")
    return shapes


def after_use(task: str, name: str, wrap: str | None) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """Returns the world and what a method holds after an epoch and scoring a few users."""
    data = world(task)
    method = made(task, name, wrap, data)
    (recommendation if task == "recommendation" else cold_start).fit(method, data, epochs=1)
    method.eval()
    with torch.no_grad():
        method.begin_scoring()
        method.score(torch.arange(5))
    return data, held(method)


@pytest.mark.parametrize(("task", "name", "wrap"), CASES, ids=lambda value: str(value))
def test_no_table_has_a_row_and_a_column_per_node(task: str, name: str, wrap: str | None) -> None:
    data, shapes = after_use(task, name, wrap)
    assert shapes, "a method holds something"
    found = {at for at, shape in shapes.items() if dense(shape, data)}
    assert bool(found) is (name in DENSE or wrap in DENSE), {at: shapes[at] for at in found}


def test_a_table_is_found_wherever_a_method_keeps_it() -> None:
    data = world("recommendation")
    method = made("recommendation", "lightgcn", None, data)
    method.kept = {"scores": [torch.zeros(3, data.n_users, data.n_items)]}
    object.__setattr__(method.graph, "cached", np.zeros((data.n_items, data.n_items)))
    found = {at for at, shape in held(method).items() if dense(shape, data)}
    assert found == {"method.kept.scores.0", "method.graph.cached"}


def test_as_many_neighbours_as_items_would_be_a_table() -> None:
    """Why fewer are asked for above: by default `itemknn` keeps 100 of an item, and here are 43."""
    data = world("recommendation")
    method = recommendation.build({"method": "itemknn"}, data)
    assert dense(held(method)["method._buffers.neighbours"], data)


def test_every_family_is_looked_at() -> None:
    labels = {(name, wrap) for _, name, wrap in CASES}
    assert {("itemknn", None), ("itemknn_cbf", None), ("content_knn", None), ("befa", "lattice")} <= labels
    assert {("cierec", "bpr"), ("cierec", "amr"), ("dropoutnet", None)} <= labels
    assert all((name, None) in labels for name, cls in METHODS.items() if not cls.adapter and cls in GENERAL.values())
