"""The one training loop: epochs of gradient steps, early stopping at full precision, best weights kept."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import torch
from lightning_fabric import Fabric

from bench.errors import DivergedError
from bench.store.records import CurvePoint
from bench.training.build import gradient_config
from bench.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from bench.training.optimise import Optimisers
from bench.training.precision import check_precision
from bench.training.seeds import component_seed, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.methods.base import Method
    from bench.tasks.base import Batches, Task


@dataclass(frozen=True)
class Settings:
    """How long and how to train.

    Attributes:
        epochs: Most epochs.
        patience: Training stops when the epochs since the best one exceed this (MMRec stops on the 21st for 20); None
            never stops early.
        select: Validation metric that decides.
        maximize: Whether more of it is better.
        metrics: Validation metrics to report, `select` among them.
        seed: Seed of the run.
        precision: A Lightning Fabric precision, e.g. `32-true`.
        checkpoint: Where to save the training state; None saves nothing.
        checkpoint_every_s: Seconds between two saves.
    """

    epochs: int
    patience: int | None
    select: str
    maximize: bool
    metrics: Sequence[str]
    seed: int
    precision: str = "32-true"
    checkpoint: Path | None = None
    checkpoint_every_s: float = 120.0


@dataclass
class TrainResult:
    """What training came to; the method itself holds the best epoch's weights.

    Attributes:
        best_epoch: From 1; 0 for a closed form.
        epochs: Epochs trained.
        value: Best validation value of the selection metric, full precision.
        valid: Validation metrics at the best epoch.
        curve: One point per epoch.
        stopped: Whether `on_epoch` asked to stop (a pruned trial).
        seconds: Wall seconds of training and of validation.
    """

    best_epoch: int = 0
    epochs: int = 0
    value: float = float("nan")
    valid: dict[str, float] = field(default_factory=dict)
    curve: list[CurvePoint] = field(default_factory=list)
    stopped: bool = False
    seconds: dict[str, float] = field(default_factory=lambda: {"train": 0.0, "validate": 0.0})


def train(
    method: Method,
    data: object,
    task: Task,
    settings: Settings,
    *,
    device: torch.device,
    on_epoch: Callable[[CurvePoint], bool] = lambda _: True,
) -> TrainResult:
    """Trains a method on train, selects on validation, and leaves the best epoch's weights in it.

    Args:
        method: A freshly built method on `device`.
        data: What the task's `batches` and `validate` take; it holds no test split.
        task: Batches and validation.
        settings: Effort and selection.
        device: Where the method is.
        on_epoch: Called after each epoch; False stops (pruning).

    Raises:
        DivergedError: A loss or a score is not finite; names the epoch.
        UserError: The method cannot train in this precision.
    """
    check_precision(method, settings.precision)
    if method.innermost.closed_form:
        return _fit(method, data, task, settings, on_epoch)
    return _Loop(method, data, task, settings, device).run(on_epoch)


def _fit(
    method: Method, data: object, task: Task, settings: Settings, on_epoch: Callable[[CurvePoint], bool]
) -> TrainResult:
    begun = time.perf_counter()
    method.fit()
    fitted = time.perf_counter()
    valid = task.validate(method, data, settings.metrics)
    seconds = {"train": fitted - begun, "validate": time.perf_counter() - fitted}
    point = CurvePoint(epoch=1, values={f"valid/{name}": value for name, value in valid.items()})
    on_epoch(point)
    return TrainResult(0, 0, valid[settings.select], valid, [point], seconds=seconds)


class _Loop:
    """State of one training; `run` is the loop."""

    def __init__(self, method: Method, data: object, task: Task, settings: Settings, device: torch.device) -> None:
        self.method, self.data, self.task, self.settings = method, data, task, settings
        config = gradient_config(method)
        accelerator = "cuda" if device.type == "cuda" else "cpu"
        devices: list[int] | int = [device.index or 0] if device.type == "cuda" else 1
        precision = cast("Any", settings.precision)
        self.fabric = Fabric(accelerator=accelerator, devices=devices, precision=precision)
        self.optimisers = Optimisers(method, config, settings.epochs, self.fabric)
        self.batch_stream = stream(settings.seed, "batches")
        self.method_stream = stream(settings.seed, "method")
        torch.manual_seed(component_seed(settings.seed, "global"))
        wanted = method.innermost.batches_of
        self.batches: Batches = cast("Any", task).batches(
            data,
            batch_size=config.batch_size,
            device=device,
            generator=self.batch_stream,
            **({} if wanted is None else {"of": wanted}),
        )
        self.best_weights: dict[str, torch.Tensor] = {}
        self.result = TrainResult()

    def run(self, on_epoch: Callable[[CurvePoint], bool]) -> TrainResult:
        """Trains until the budget, the patience or the caller ends it."""
        first = self._resume(on_epoch)
        saved_at = time.perf_counter()
        for epoch in range(first, self.settings.epochs + 1):
            if self._out_of_patience(epoch - 1) or self.result.stopped:
                break
            point = self._epoch(epoch)
            self.result.curve.append(point)
            self.result.epochs = epoch
            self.result.stopped = not on_epoch(point)
            if self.settings.checkpoint and time.perf_counter() - saved_at > self.settings.checkpoint_every_s:
                save_checkpoint(self.settings.checkpoint, self._state())
                saved_at = time.perf_counter()
        self.method.load_state_dict(self.best_weights)
        return self.result

    def _out_of_patience(self, epoch: int) -> bool:
        patience = self.settings.patience
        return patience is not None and self.result.best_epoch > 0 and epoch - self.result.best_epoch > patience

    def _epoch(self, epoch: int) -> CurvePoint:
        begun = time.perf_counter()
        losses = self._train_epoch(epoch)
        trained = time.perf_counter()
        try:
            valid = self.task.validate(self.method, self.data, self.settings.metrics)
        except DivergedError as error:
            raise DivergedError(f"{error.message} in epoch {epoch}", epoch=epoch) from error
        ended = time.perf_counter()
        self._keep_best(epoch, valid)
        seconds = {"train": trained - begun, "validate": ended - trained}
        for name, value in seconds.items():
            self.result.seconds[name] += value
        return CurvePoint(
            epoch=epoch,
            values={
                **losses,
                **{f"valid/{name}": value for name, value in valid.items()},
                **{f"seconds/{name}": value for name, value in seconds.items()},
            },
        )

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        self.method.train()
        self.method.begin_epoch(epoch, self.method_stream)
        sums: dict[str, torch.Tensor] = {}
        counts: dict[str, int] = {}
        for batch in self.batches.epoch():
            steps = self.method.steps(batch)
            while True:
                with self.fabric.autocast():
                    step = next(steps, None)
                if step is None:
                    break
                group, loss = step
                self.optimisers.step(group, loss.total)
                name = f"loss/{group}" if group else "loss"
                for key, part in ((name, loss.total), *((f"{name}/{key}", value) for key, value in loss.parts.items())):
                    sums[key] = sums[key] + part.detach() if key in sums else part.detach().clone()
                    counts[key] = counts.get(key, 0) + 1
        self.optimisers.end_epoch()
        means = {name: float(total) / counts[name] for name, total in sums.items()}
        if not all(torch.isfinite(torch.tensor(value)) for value in means.values()):
            wrong = ", ".join(f"{name} = {value}" for name, value in means.items())
            raise DivergedError(f"the loss is not finite in epoch {epoch} ({wrong})", epoch=epoch)
        return means

    def _keep_best(self, epoch: int, valid: dict[str, float]) -> None:
        value = valid[self.settings.select]
        better = value > self.result.value if self.settings.maximize else value < self.result.value
        if self.result.best_epoch and not better:
            return
        self.result.best_epoch, self.result.value, self.result.valid = epoch, value, valid
        for name, tensor in self.method.state_dict().items():
            if name in self.best_weights:
                self.best_weights[name].copy_(tensor)
            else:
                self.best_weights[name] = tensor.detach().clone()

    def _state(self) -> TrainingState:
        return TrainingState(
            weights=self.method.state_dict(),
            best_weights=self.best_weights,
            optimizers=self.optimisers.state(),
            schedules=self.optimisers.schedules(),
            streams={
                "batches": self.batch_stream.get_state(),
                "method": self.method_stream.get_state(),
                "global": torch.get_rng_state(),
                **({"cuda": torch.cuda.get_rng_state()} if self.fabric.device.type == "cuda" else {}),
            },
            progress={
                "best_epoch": self.result.best_epoch,
                "epochs": self.result.epochs,
                "value": self.result.value,
                "valid": self.result.valid,
                "seconds": self.result.seconds,
                "curve": [point.model_dump() for point in self.result.curve],
            },
        )

    def _resume(self, on_epoch: Callable[[CurvePoint], bool]) -> int:
        """Takes up a saved training, if there is one; returns the epoch to begin with."""
        path = self.settings.checkpoint
        state = load_checkpoint(path) if path else None
        if state is None:
            return 1
        self.method.load_state_dict(state.weights)
        self.best_weights = {name: tensor.to(self.fabric.device) for name, tensor in state.best_weights.items()}
        self.optimisers.load(state.optimizers, state.schedules)
        self.batch_stream.set_state(state.streams["batches"])
        self.method_stream.set_state(state.streams["method"])
        torch.set_rng_state(state.streams["global"])
        if "cuda" in state.streams:
            torch.cuda.set_rng_state(state.streams["cuda"])
        progress = dict(state.progress)
        curve = [CurvePoint.model_validate(point) for point in progress.pop("curve")]
        self.result = TrainResult(curve=curve, **progress)
        for point in curve:
            self.result.stopped = not on_epoch(point)
        return self.result.epochs + 1
