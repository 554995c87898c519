"""What the steps of any training must do: a loss falls along its gradient, and opposed players oppose each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from bench.methods.base import Method

GENERATOR = "generator"
"""The group of parameters whose loss all other groups work against, in a method that has more than one."""
STEPS = 40
"""Steps of the discriminators against a generator that stands still."""
STEP_SIZE = 4e-3
"""Adam's, in these steps."""
DISTANCE = 1e-6
"""How far the weights of a group are moved, taken together, to see its loss fall."""


def losses_of(method: Method, batch: Any) -> dict[str, Tensor]:
    """Returns the loss of each group in one pass over a batch, summed over its steps; no weight is changed.

    The randomness is the same at each call.
    """
    torch.manual_seed(0)
    method.begin_epoch(1, torch.Generator().manual_seed(0))
    found: dict[str, Tensor] = {}
    for name, loss in method.steps(batch):
        found[name] = found[name] + loss.total if name in found else loss.total
    return found


def fall(method: Method, batch: Any, name: str, weights: Sequence[nn.Parameter]) -> float:
    """Returns how much a group's loss falls in a short step down its gradient, as a share of what the slope promises.

    Args:
        method: In train mode and float64.
        batch: What its `steps` take.
        name: The group.
        weights: Its parameters; left a short step away from where they were.
    """
    before = losses_of(method, batch)[name]
    slopes = torch.autograd.grad(before, weights, allow_unused=True)
    moved = [(weight, slope) for weight, slope in zip(weights, slopes, strict=True) if slope is not None]
    steepness = torch.stack([slope.square().sum() for _, slope in moved]).sum().sqrt()
    assert float(steepness) > 0.0, name
    with torch.no_grad():
        for weight, slope in moved:
            weight.sub_(DISTANCE * slope / steepness)
    after = losses_of(method, batch)[name]
    return float((before - after).detach() / (DISTANCE * steepness))


class DescentContract:
    """What the steps of a method trained by gradients must do."""

    tolerance: ClassVar[float] = 0.1
    """How far, in shares of it, a loss may fall from what its gradient says; widen it where gradients are estimated."""

    def in_training(self, dtype: torch.dtype) -> tuple[Method, Any]:
        """Returns an untrained method in train mode, and a batch for its `steps`."""
        raise TypeError(f"{type(self).__name__} must override in_training")

    def test_each_step_goes_down_its_own_loss(self) -> None:
        """With all others standing still, a short step of a group lowers its loss by what the gradient says."""
        method, batch = self.in_training(torch.float64)
        if method.closed_form:
            return
        everything = [weight for weight in method.parameters() if weight.requires_grad]
        groups: Mapping[str, Sequence[nn.Parameter]] = {
            name: group.parameters for name, group in method.groups().items()
        } or {"": everything}
        for name, weights in groups.items():
            assert abs(fall(method, batch, name, list(weights)) - 1.0) < self.tolerance, name

    def test_what_each_discriminator_learns_costs_the_generator(self) -> None:
        """On one batch, against a generator that stands still: its loss falls, and with that the generator's rises.

        For methods with a group `generator` and others, which are its discriminators.
        """
        method, batch = self.in_training(torch.float32)
        groups = method.groups()
        if GENERATOR not in groups or len(groups) == 1:
            return
        judges = {name: list(group.parameters) for name, group in groups.items() if name != GENERATOR}
        untrained = {name: _copied(weights) for name, weights in judges.items()}
        before = losses_of(method, batch)
        _teach(method, batch, judges)
        trained = {name: _copied(weights) for name, weights in judges.items()}
        for name in judges:
            for other, weights in judges.items():
                _put(weights, (trained if other == name else untrained)[other])
            after = losses_of(method, batch)
            assert float(after[name].detach()) < float(before[name].detach()), name
            assert float(after[GENERATOR].detach()) > float(before[GENERATOR].detach()), name


def _teach(method: Method, batch: Any, judges: Mapping[str, Sequence[nn.Parameter]]) -> None:
    """Takes `STEPS` steps of each discriminator on a batch, with the same randomness in each."""
    optimisers = {name: torch.optim.Adam(weights, lr=STEP_SIZE) for name, weights in judges.items()}
    for _ in range(STEPS):
        torch.manual_seed(0)
        left = set(judges)
        for name, loss in method.steps(batch):
            if name in left:
                optimisers[name].zero_grad()
                loss.total.backward()
                optimisers[name].step()
                left.remove(name)
            if not left:
                break


def _copied(weights: Sequence[nn.Parameter]) -> list[Tensor]:
    return [weight.detach().clone() for weight in weights]


@torch.no_grad()
def _put(weights: Sequence[nn.Parameter], values: Sequence[Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)
