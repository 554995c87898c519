"""A small world with the names of the real one, so that tests of specs depend on no method's code and no data."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from bench.data.registry import parse_dataset_id
from bench.errors import UserError
from bench.graph.stages import KNN, Bipartite, SymNorm, parse_pipeline
from bench.methods.base import GradientConfig, Method, Needs, Recommender, RecommenderAdapter
from bench.registry import Registry
from bench.spec.check import World
from bench.spec.config import MethodConfig
from bench.spec.space import Choices, Log

UI = (Bipartite(), SymNorm())


class MostPop(Recommender):
    closed_form = True


class ItemKNN(Recommender):
    class Config(MethodConfig):
        k: Annotated[int, Choices(50, 100, 200), Field(ge=1)] = 100
        similarity: Literal["cosine", "jaccard"] = "cosine"


class EASE(Recommender):
    class Config(MethodConfig):
        penalty: Annotated[float, Log(10.0, 10000.0), Field(gt=0)] = 500.0


class BPR(Recommender):
    class Config(GradientConfig):
        dim: Annotated[int, Field(ge=1, le=1024)] = 64


class LightGCN(Recommender):
    class Config(BPR.Config):
        layers: Annotated[int, Choices(1, 2, 3, 4), Field(ge=1, le=8)] = 2

    @classmethod
    def views(cls, config: MethodConfig, modalities: Any) -> dict[str, Any]:
        return {"ui": UI}


class VBPR(BPR):
    needs: ClassVar[Needs] = Needs(at_least=1)


class FREEDOM(LightGCN):
    needs: ClassVar[Needs] = Needs(at_least=2)


class MGCN(LightGCN):
    needs: ClassVar[Needs] = Needs(modalities=frozenset({"image", "text"}))

    class Config(BPR.Config):
        ui_layers: Annotated[int, Choices(1, 2, 3), Field(ge=1, le=4)] = 2
        contrast: Annotated[float, Log(1e-3, 1e-1), Field(ge=0)] = 1e-2
        train_features: bool = True
        hops: tuple[int, ...] = (1, 1)

    @classmethod
    def views(cls, config: MethodConfig, modalities: Any) -> dict[str, Any]:
        return {"ui": UI, **{name: (KNN(name), SymNorm()) for name in modalities}}


class BeFA(RecommenderAdapter):
    class Config(MethodConfig):
        width: Annotated[int, Choices(1, 2, 4), Field(ge=1)] = 1
        enabled: bool = True

    @classmethod
    def compatible(cls, method: type[Method]) -> str | None:
        return None if method in (VBPR, FREEDOM, MGCN) else "it consumes no item content"


class ResNet(Method):
    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})

    class Config(MethodConfig):
        depth: Literal[18, 50] = 18
        classes: int = Field(ge=2)


METHOD_CLASSES = {
    "mostpop": MostPop,
    "itemknn": ItemKNN,
    "ease": EASE,
    "bpr": BPR,
    "lightgcn": LightGCN,
    "vbpr": VBPR,
    "freedom": FREEDOM,
    "mgcn": MGCN,
    "befa": BeFA,
    "resnet": ResNet,
}


class _Task:
    def __init__(self, name: str, pattern: str, known: str) -> None:
        self.name, self._pattern, self._known = name, pattern, known

    def metric(self, name: str) -> object:
        if not re.fullmatch(self._pattern, name):
            raise UserError(f"unknown metric {name!r} of task {self.name!r}.", hint=f"Known: {self._known}.")
        return name


def _card(name: str, *modalities: str, task: str = "recommendation", **more: Any) -> Any:
    facts = {"generated": False, "twin": None, "protocols": ("mmrec-v1", "mmrec-tv-v1"), **more}
    return SimpleNamespace(
        name=name, tasks=(task,), modalities={modality: SimpleNamespace(dim=8) for modality in modalities}, **facts
    )


CARDS = [
    _card("baby", "image", "text", twin="baby-twin"),
    _card("baby-twin", "image", "text", generated=True),
    _card("sports", "image", "text"),
    _card("clothing", "image", "text"),
    _card("tiktok", "image", "audio", protocols=("diffmm-v1", "diffmm-tv-v1")),
    _card("birds", "image", task="classification", protocols=("birds-v1",)),
]


def fake_world() -> World:
    """Returns a fresh world."""
    methods: Registry[Any] = Registry("method")
    datasets: Registry[Any] = Registry("dataset")
    tasks: Registry[Any] = Registry("task")
    for name, method in METHOD_CLASSES.items():
        methods.add(name, method)
    for card in CARDS:
        datasets.add(card.name, card)
    tasks.add("recommendation", _Task("recommendation", r"(recall|ndcg|hit)@\d+", "recall@K, ndcg@K, hit@K"))
    tasks.add("classification", _Task("classification", r"accuracy|f1", "accuracy, f1"))
    return World(methods, datasets, tasks, parse_dataset_id, parse_pipeline)
