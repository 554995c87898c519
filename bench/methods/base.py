"""The contract between a method and everything around it.

A method is one file in `bench/methods/<family>/` that ends with `METHOD = TheClass`. It states its `Config`, the
modalities it needs and the views it wants compiled, and overrides one of `fit` (closed forms), `loss` (gradients) and
`steps` with `groups` (alternating optimisers). What a trained method answers is fixed by its task's base class.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.types import ANNOTATIONS
from bench.spec.config import MethodConfig
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.data.types import ModalityInfo
    from bench.graph.stages import Stage
    from bench.graph.view import View


class GradientConfig(MethodConfig):
    """What every method trained by gradients can set."""

    lr: Annotated[float, Choices(1e-4, 5e-4, 1e-3, 5e-3)] = 1e-3
    """Adam's step size."""
    weight_decay: float = 0.0
    """Adam's L2 weight decay."""
    lr_gamma: float = 1.0
    """The step size is multiplied by lr_gamma^(epoch / lr_period), epoch from 0."""
    lr_period: float = 50.0
    """See lr_gamma."""
    batch_size: int = 2048
    """Training rows in a batch; the last batch of an epoch may be smaller."""


class ScheduledConfig(GradientConfig):
    """What deep networks on images, text and video can set besides."""

    optimiser: Literal["adam", "adamw"] = "adam"
    """`adam` adds weight_decay to the gradient, `adamw` shrinks the weights by it."""
    schedule: Literal["exponential", "step", "cosine"] = "exponential"
    """How the step size falls: lr_gamma^(epoch / lr_period); the same with whole steps (StepLR); or half a cosine over
    the budget's epochs."""
    warmup_epochs: int = 0
    """Epochs in which the step size rises linearly to lr; 0 starts at lr."""
    clip_norm: float | None = None
    """Largest norm of the whole gradient; None does not clip."""


class Needs(NamedTuple):
    """Which content of a dataset a method cannot do without."""

    modalities: frozenset[str] = frozenset()
    """Modalities that must be present by name."""
    at_least: int = 0
    """How many modalities of any name must be present."""
    raw: bool = False
    """Whether derived vectors (see `ModalityInfo.derived`) are refused."""

    def missing(self, dataset: str, present: Mapping[str, ModalityInfo]) -> str | None:
        """Returns why a dataset with these modalities does not fit, or None when it does."""
        have = ", ".join(present) or "none"
        absent = sorted(self.modalities - set(present))
        if absent:
            return f"needs modality {', '.join(map(repr, absent))}, {dataset!r} has {have}"
        if len(set(present) - {ANNOTATIONS}) < self.at_least:
            return f"needs at least {self.at_least} modalities, {dataset!r} has {have}"
        if self.raw:
            derived = [name for name, info in present.items() if info.derived is not None]
            if derived:
                return f"needs raw vectors, those of {', '.join(derived)} in {dataset!r} are derived"
        return None


class PairBatch(NamedTuple):
    """Training rows of pairwise ranking.

    Attributes:
        users: (B,) int64.
        pos: (B,) int64 items the users interacted with.
        neg: (B,) int64 sampled items they did not interact with in train.
    """

    users: Tensor
    pos: Tensor
    neg: Tensor


class Loss(NamedTuple):
    """A scalar to minimise and its named parts, which are logged."""

    total: Tensor
    parts: Mapping[str, Tensor] = {}


class Group(NamedTuple):
    """Parameters that one optimiser of an alternating training owns.

    Attributes:
        parameters: What it changes.
        lr: Adam's step size.
        betas: Adam's decay rates; torch wants both as floats.
        weight_decay: Adam's L2 weight decay.
        rates: Step sizes of the first parameters, one each; the others (an adapter's come last) take `lr`.
        adagrad: What Adagrad's sums of squares begin with, to take Adagrad in place of Adam; None takes Adam.
    """

    parameters: Sequence[nn.Parameter]
    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    rates: Sequence[float] = ()
    adagrad: float | None = None


@dataclass(frozen=True, eq=False)
class Context:
    """What a method is built from.

    Attributes:
        data: All that training may see; its type is fixed by the task, e.g. `RecommendationData`.
        views: Compiled graphs by the names the method gave them in `views`.
        dtype: Floating type of parameters and features.
    """

    data: Any
    views: Mapping[str, View] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32

    def features(self, modality: str) -> Tensor:
        """Returns a copy of the (items, dim) vectors of a modality in `dtype`."""
        raw = self.data.modalities[modality].features
        copy = torch.empty(raw.shape, dtype=self.dtype)
        for start in range(0, raw.shape[0], 4096):
            copy[start : start + 4096] = torch.from_numpy(np.array(raw[start : start + 4096]))
        return copy


class Method(nn.Module):
    """One model of the benchmark.

    Class attributes:
        Config: Defaults, bounds, search space and help, in one Pydantic class.
        tasks: Names of the tasks it can do.
        needs: Content it cannot do without.
        adapter: Whether it wraps another method.
        closed_form: Whether `fit` computes it once, in place of the loop.
        batches_of: Which of its task's batches it is trained on (`histories` for task `recommendation`); None for the
            task's usual ones.

    Args:
        config: A validated `Config`.
        context: Data, views and floating type.
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    tasks: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[Needs] = Needs()
    adapter: ClassVar[bool] = False
    closed_form: ClassVar[bool] = False
    batches_of: ClassVar[str | None] = None

    def __init__(self, config: MethodConfig, context: Context) -> None:
        super().__init__()
        self.context = context

    @classmethod
    def views(cls, config: MethodConfig, modalities: Mapping[str, ModalityInfo]) -> dict[str, tuple[Stage, ...]]:
        """Returns the graphs the method wants, each as the stages that make it."""
        return {}

    @property
    def innermost(self) -> Method:
        """The method itself, or for an adapter the one that is wrapped in the end."""
        return self

    def fit(self) -> None:
        """Computes a closed form from `self.context.data`, once, in place of the loop; needs `closed_form = True`."""
        raise TypeError(f"{type(self).__name__} sets closed_form and must override fit")

    def loss(self, batch: Any) -> Loss:
        """Returns the training loss of a batch."""
        raise TypeError(f"{type(self).__name__} must override loss (or steps, or fit with closed_form = True)")

    def groups(self) -> Mapping[str, Group]:
        """Returns the optimisers of an alternating training by name; empty for one optimiser over everything."""
        return {}

    def steps(self, batch: Any) -> Iterator[tuple[str, Loss]]:
        """Yields (name of a group, loss) pairs, one optimiser step each.

        The loop clears the group's gradients, differentiates the loss and steps before it asks for the next pair, so
        code after a `yield` sees the changed weights. The default is one step of `loss`.
        """
        yield "", self.loss(batch)

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Called before each epoch (from 1), on the method's own random stream (graph sampling)."""

    def begin_scoring(self) -> None:
        """Called once, in eval mode without gradients, before a series of scoring calls: compute what they share."""


class Adapter(Method):
    """A method that changes another one from the inside; shown as `adapter[wrapped]`.

    Args:
        config: The adapter's own validated `Config`; the wrapped method keeps its own.
        context: Data, views and floating type.
        wrapped: The method to wrap, freshly built: an adapter draws its own parameters after it, so that a switched-off
            adapter leaves the wrapped method bit for bit.
    """

    adapter: ClassVar[bool] = True

    def __init__(self, config: MethodConfig, context: Context, wrapped: Any) -> None:
        super().__init__(config, context)
        self.wrapped = wrapped

    @classmethod
    def compatible(cls, method: type[Method]) -> str | None:
        """Returns why `method` cannot be wrapped, or None when it can."""
        return None

    @property
    def innermost(self) -> Method:
        """The method that is wrapped in the end."""
        inner: Method = self.wrapped.innermost
        return inner

    def groups(self) -> Mapping[str, Group]:
        """Returns the wrapped method's optimisers; the adapter's own parameters join the one named "" ."""
        groups = dict(self.wrapped.groups())
        if groups:
            theirs = {id(parameter) for parameter in self.wrapped.parameters()}
            own = [parameter for parameter in self.parameters() if id(parameter) not in theirs]
            groups[""] = groups[""]._replace(parameters=[*groups[""].parameters, *own])
        return groups

    def steps(self, batch: Any) -> Iterator[tuple[str, Loss]]:
        """Passes the call on to an alternating training; otherwise one step of `loss`."""
        if self.wrapped.groups():
            yield from self.wrapped.steps(batch)
        else:
            yield "", self.loss(batch)

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Passes the call on."""
        self.wrapped.begin_epoch(epoch, generator)

    def begin_scoring(self) -> None:
        """Passes the call on."""
        self.wrapped.begin_scoring()


class Recommender(Method):
    """A method that ranks all items for a user from the behaviour of all users (`recommendation`, `cold_start`).

    Subclasses override `fit` (and set `closed_form = True`) or `loss`, and `score`.

    Args:
        config: A validated `Config`.
        context: `RecommendationData`, views and floating type.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"recommendation", "cold_start"})

    def __init__(self, config: MethodConfig, context: Context) -> None:
        super().__init__(config, context)
        self.n_users: int = context.data.n_users
        self.n_items: int = context.data.n_items

    def score(self, users: Tensor) -> Tensor:
        """Scores all items for some users.

        Args:
            users: (n,) int64 user ids.

        Returns:
            (n, items) scores; larger is better. Nothing is masked.
        """
        raise TypeError(f"{type(self).__name__} must override score")


class RecommenderAdapter(Adapter, Recommender):
    """An adapter around a `Recommender`."""

    wrapped: Recommender

    def score(self, users: Tensor) -> Tensor:
        """Returns the wrapped method's (n, items) scores."""
        return self.wrapped.score(users)
