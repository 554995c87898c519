"""Training state on disk: tensors in safetensors, the rest in its JSON header, written atomically; no pickles."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

FORMAT = "bench-checkpoint-1"


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything a training needs to go on as if it had not stopped.

    Attributes:
        weights: Current weights, by name.
        best_weights: Weights of the best epoch, by name.
        optimizer: `state_dict` of the optimiser.
        schedule: `state_dict` of the step-size schedule (plain values).
        streams: States of the random streams.
        progress: Epochs, best value, curve; plain values.
    """

    weights: dict[str, Tensor]
    best_weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    streams: dict[str, Tensor]
    progress: dict[str, Any]


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    """Writes a safetensors file atomically: a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial, header)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def save_checkpoint(path: Path, state: TrainingState) -> None:
    """Writes a training state."""
    tensors = {f"weights/{name}": tensor for name, tensor in state.weights.items()}
    tensors |= {f"best/{name}": tensor for name, tensor in state.best_weights.items()}
    tensors |= {f"streams/{name}": tensor for name, tensor in state.streams.items()}
    for index, slots in state.optimizer["state"].items():
        tensors |= {f"optimizer/{index}/{slot}": tensor for slot, tensor in slots.items()}
    header = {
        "format": FORMAT,
        "groups": json.dumps(_plain_groups(state.optimizer["param_groups"])),
        "schedule": json.dumps({key: value for key, value in state.schedule.items() if key != "lr_lambdas"}),
        "progress": json.dumps(state.progress),
    }
    write_tensors(path, tensors, header)


def load_checkpoint(path: Path) -> TrainingState | None:
    """Reads a training state; None when there is none or it is damaged (the training then starts anew)."""
    if not path.is_file():
        return None
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "streams": {}, "optimizer": {}}
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                return None
            for name in file.keys():
                part, _, rest = name.partition("/")
                parts[part][rest] = file.get_tensor(name)
    except (SafetensorError, OSError, KeyError):
        return None
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimizer"].items():
        index, _, slot = name.partition("/")
        slots.setdefault(int(index), {})[slot] = tensor
    return TrainingState(
        weights=parts["weights"],
        best_weights=parts["best"],
        optimizer={"state": slots, "param_groups": json.loads(header["groups"])},
        schedule={**json.loads(header["schedule"]), "lr_lambdas": [None]},
        streams=parts["streams"],
        progress=json.loads(header["progress"]),
    )


def _plain_groups(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in group.items() if _is_plain(value)} for group in groups]


def _is_plain(value: object) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True
