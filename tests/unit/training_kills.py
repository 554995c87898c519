"""Trainings that die in the middle."""

from __future__ import annotations

import pytest
import torch

from bench.training.loop import train


class KilledError(Exception):
    """What nothing in a training catches."""


def train_until_killed(method, data, task, settings, *, epoch: int) -> None:
    """Trains, and dies at the end of an epoch: all that is left is the checkpoint."""

    def die(point):
        if point.epoch == epoch:
            raise KilledError
        return True

    with pytest.raises(KilledError):
        train(method, data, task, settings, device=torch.device("cpu"), on_epoch=die)
