"""The optimisers of a training: one over everything, or one for each group of an alternating training."""

from __future__ import annotations

import math
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, cast

import torch

from bench.methods.base import Group, ScheduledConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lightning_fabric import Fabric
    from torch.optim import Optimizer

    from bench.methods.base import GradientConfig, Method


def step_size_factor(config: GradientConfig, epochs: int) -> Callable[[int], float]:
    """Returns what the step size is multiplied by in each epoch, from 0.

    Args:
        config: The method's schedule.
        epochs: Most epochs of the training; the length of a cosine.
    """
    kind = config.schedule if isinstance(config, ScheduledConfig) else "exponential"
    warmup = config.warmup_epochs if isinstance(config, ScheduledConfig) else 0

    def factor(epoch: int) -> float:
        if kind == "cosine":
            value = 0.5 * (1.0 + math.cos(math.pi * min(epoch, epochs) / epochs))
        elif kind == "step":
            value = config.lr_gamma ** math.floor(epoch / config.lr_period)
        else:
            value = config.lr_gamma ** (epoch / config.lr_period)
        return float(value * min(1.0, (epoch + 1) / (warmup + 1)))

    return factor


def _optimiser(group: Group, *, decoupled: bool) -> Optimizer:
    parameters: Any = list(group.parameters)
    if group.rates:
        rates = chain(group.rates, repeat(group.lr))
        parameters = [{"params": [one], "lr": rate} for one, rate in zip(parameters, rates, strict=False)]
    if group.adagrad is not None:
        # With nothing under the root but the sums themselves it is TensorFlow's, which published settings are of.
        return torch.optim.Adagrad(
            parameters, lr=group.lr, weight_decay=group.weight_decay, initial_accumulator_value=group.adagrad, eps=0.0
        )
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    # The fused kernel makes one pass over each parameter; the default makes about ten, each with a temporary of its
    # size.
    return kind(parameters, lr=group.lr, betas=group.betas, weight_decay=group.weight_decay, fused=True)


class Optimisers:
    """Optimisers by group name, each with its schedule; "" is the one over everything.

    Args:
        method: On its device.
        config: The innermost method's step size, schedule and clipping.
        epochs: Most epochs.
        fabric: Precision and device.
    """

    def __init__(self, method: Method, config: GradientConfig, epochs: int, fabric: Fabric) -> None:
        self._method, self._fabric = method, fabric
        self._clip = config.clip_norm if isinstance(config, ScheduledConfig) else None
        decoupled = isinstance(config, ScheduledConfig) and config.optimiser == "adamw"
        groups: Mapping[str, Group] = method.groups()
        if not groups:
            trainable = [parameter for parameter in method.parameters() if parameter.requires_grad]
            groups = {"": Group(trainable, config.lr, weight_decay=config.weight_decay)}
        self._plain: dict[str, Optimizer] = {
            name: _optimiser(group, decoupled=decoupled) for name, group in groups.items()
        }
        factor = step_size_factor(config, epochs)
        self._schedules = {
            name: torch.optim.lr_scheduler.LambdaLR(optimiser, factor) for name, optimiser in self._plain.items()
        }
        self._ready = {
            name: cast("Optimizer", fabric.setup_optimizers(optimiser)) for name, optimiser in self._plain.items()
        }

    def step(self, name: str, loss: torch.Tensor) -> None:
        """Differentiates a loss and changes the parameters of a group.

        Raises:
            TypeError: The method names a group that its `groups` does not have.
        """
        if name not in self._ready:
            raise TypeError(f"{type(self._method).__name__}.steps names the group {name!r}; groups: {[*self._ready]}")
        optimiser = self._ready[name]
        optimiser.zero_grad()
        self._fabric.backward(loss)
        if self._clip is not None:
            self._fabric.clip_gradients(self._method, optimiser, max_norm=self._clip, error_if_nonfinite=False)
        optimiser.step()

    def end_epoch(self) -> None:
        """Moves the schedules on by one epoch."""
        for schedule in self._schedules.values():
            schedule.step()

    def state(self) -> dict[str, dict[str, Any]]:
        """Returns the state of each optimiser by group name."""
        return {name: optimiser.state_dict() for name, optimiser in self._plain.items()}

    def schedules(self) -> dict[str, dict[str, Any]]:
        """Returns the state of each schedule by group name."""
        return {
            name: {key: value for key, value in schedule.state_dict().items() if key != "lr_lambdas"}
            for name, schedule in self._schedules.items()
        }

    def load(self, state: Mapping[str, dict[str, Any]], schedules: Mapping[str, dict[str, Any]]) -> None:
        """Takes up saved states."""
        for name, optimiser in self._plain.items():
            optimiser.load_state_dict(state[name])
            self._schedules[name].load_state_dict({**schedules[name], "lr_lambdas": [None]})
