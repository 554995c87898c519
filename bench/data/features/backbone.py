"""Appearance and motion features of frames by any vision backbone of `transformers`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch.nn import functional

from bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.data.features.frames import Frames

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, where the checkpoint brings no preprocessor."""
_DEFAULT_SIDE = 224


class Backbone:
    """A vision network and how pixels enter it.

    Args:
        name: A folder with a checkpoint, or an id of the Hugging Face hub.
        device: Where it runs.

    Raises:
        UserError: There is no such checkpoint, it holds no vision network, or weights of it are missing, damaged or
            pickled.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        from transformers import AutoImageProcessor, AutoModel

        loader: Any = AutoModel
        try:
            model, info = loader.from_pretrained(name, use_safetensors=True, output_loading_info=True)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise _not_loaded(name, error) from error
        # Two-tower models (CLIP, SigLIP) keep the vision network in a part of their own.
        self.model: Any = getattr(model, "vision_model", model).to(device).eval()
        tower = "vision_model." if self.model is not model else ""
        missing = sorted(key.removeprefix(tower) for key in info["missing_keys"] if key.startswith(tower))
        lacking = [key for key in missing if "pooler" not in key.split(".")]
        if lacking:
            raise UserError(
                f"the backbone {name!r} lacks {len(lacking)} weights of {type(self.model).__name__}, e.g. "
                f"{lacking[0]!r}; they would be random.",
                hint="Take a checkpoint that holds the whole network.",
            )
        # `transformers` makes up a pooler that a checkpoint lacks: a classifier's reads the first token itself.
        self.pooler = not missing
        self.first_token = any(
            key.endswith(("cls_token", "class_embedding")) for key, _ in self.model.named_parameters()
        )
        try:
            processor: Any = AutoImageProcessor.from_pretrained(name)
        except (OSError, ValueError):
            processor = None
        self.device = device
        mean = getattr(processor, "image_mean", None) or _MEAN
        std = getattr(processor, "image_std", None) or _STD
        self.mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(std, device=device).view(1, 3, 1, 1)
        config = getattr(self.model, "config", None)
        side = getattr(config, "image_size", None) or _DEFAULT_SIDE
        self.side = int(side if isinstance(side, int) else side[0])

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns (n, dim) float32 features of (n, H, W, 3) uint8 images.

        The pooled output where the network has one and the checkpoint brought its weights; else, of the last layer, the
        class token where the network has one, and the mean over tokens or places where not.

        Raises:
            UserError: The network does not take images.
        """
        pixels = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float() / 255.0
        size = (self.side, self.side)
        pixels = functional.interpolate(pixels, size=size, mode="bicubic", antialias=True, align_corners=False)
        try:
            out: Any = self.model(pixel_values=(pixels.clamp(0, 1) - self.mean) / self.std)
        except TypeError as error:
            raise UserError(f"the backbone {type(self.model).__name__} does not take images: {error}.") from error
        pooled = getattr(out, "pooler_output", None) if self.pooler else None
        if pooled is None:
            last = out.last_hidden_state
            if last.ndim == 4:
                pooled = last.mean(dim=(2, 3))
            else:
                pooled = last[:, 0] if self.first_token else last.mean(dim=1)
        features: np.ndarray = pooled.flatten(1).float().cpu().numpy()
        return features


def _not_loaded(name: str, error: Exception) -> UserError:
    folder = Path(name)
    pickles = sorted(path.name for path in folder.glob("*.bin")) if folder.is_dir() else []
    if pickles and not any(folder.glob("*.safetensors")):
        return UserError(
            f"the backbone {name!r} holds its weights as a pickle ({pickles[0]}), and loading one runs whatever is in "
            "it.",
            hint="Get the checkpoint with its model.safetensors; no other format is read.",
        )
    return UserError(
        f"cannot load the backbone {name!r}: {(str(error).splitlines() or [repr(error)])[0]}",
        hint="Name a folder with config.json and model.safetensors, or an id of the hub when this machine is online.",
    )


def extract(backbone: Backbone, frames: Frames, *, batch: int = 64) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields (id, (N, F, A) appearance, (N, M) motion) of every video.

    An image network sees no motion. Motion is therefore what its features do over time: the mean step from frame to
    frame and the mean absolute one (M = 2 A). Clips of a single frame (regions of a still) get their difference from
    the mean of all clips and its absolute value: how a region stands out.
    """
    for id_, clips in zip(frames.ids, frames.clips, strict=True):
        n, length = clips.shape[:2]
        flat = clips.reshape(n * length, *clips.shape[2:])
        seen = np.concatenate([backbone(flat[at : at + batch]) for at in range(0, len(flat), batch)])
        appearance = seen.reshape(n, length, -1)
        if length > 1:
            steps = np.diff(appearance, axis=1)
            motion = np.concatenate([steps.mean(axis=1), np.abs(steps).mean(axis=1)], axis=1)
        else:
            outstanding = appearance[:, 0] - appearance[:, 0].mean(axis=0)
            motion = np.concatenate([outstanding, np.abs(outstanding)], axis=1)
        yield id_, appearance, motion
