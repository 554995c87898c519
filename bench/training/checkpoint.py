"""Training state on disk: tensors in safetensors, the rest in its JSON header, written atomically; no pickles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from bench.atomic import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

FORMAT = "bench-checkpoint-2"


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything a training needs to go on as if it had not stopped.

    Attributes:
        weights: Current weights, by name.
        best_weights: Weights of the best epoch, by name.
        optimizers: `state_dict` of each optimiser, by group.
        schedules: `state_dict` of each step-size schedule (plain values), by group.
        streams: States of the random streams.
        progress: Epochs, best value, curve; plain values.
    """

    weights: dict[str, Tensor]
    best_weights: dict[str, Tensor]
    optimizers: dict[str, dict[str, Any]]
    schedules: dict[str, dict[str, Any]]
    streams: dict[str, Tensor]
    progress: dict[str, Any]


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    """Writes a safetensors file atomically: a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary, header)


def save_checkpoint(path: Path, state: TrainingState) -> None:
    """Writes a training state."""
    tensors = {f"weights/{name}": tensor for name, tensor in state.weights.items()}
    tensors |= {f"best/{name}": tensor for name, tensor in state.best_weights.items()}
    tensors |= {f"streams/{name}": tensor for name, tensor in state.streams.items()}
    for group, optimizer in state.optimizers.items():
        for index, slots in optimizer["state"].items():
            tensors |= {f"optimizer/{group}/{index}/{slot}": tensor for slot, tensor in slots.items()}
    header = {
        "format": FORMAT,
        "groups": json.dumps({name: _plain_groups(one["param_groups"]) for name, one in state.optimizers.items()}),
        "schedules": json.dumps(state.schedules),
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
    slots: dict[str, dict[int, dict[str, Tensor]]] = {}
    for name, tensor in parts["optimizer"].items():
        group, index, slot = name.rsplit("/", 2)
        slots.setdefault(group, {}).setdefault(int(index), {})[slot] = tensor
    return TrainingState(
        weights=parts["weights"],
        best_weights=parts["best"],
        optimizers={
            group: {"state": slots.get(group, {}), "param_groups": settings}
            for group, settings in json.loads(header["groups"]).items()
        },
        schedules=json.loads(header["schedules"]),
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
