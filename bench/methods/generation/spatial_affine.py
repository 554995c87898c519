"""DE-Net with its spatial branch alone: the ablation of its paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.methods.layers.denet_blocks import Parts
from bench.methods.layers.text_editor import AdversarialEditor, EditorConfig

if TYPE_CHECKING:
    from bench.methods.base import Context


class SpatialAffineEditor(AdversarialEditor):
    """A U-Net whose maps a sentence scales and shifts place by place, by dynamic convolution: `denet` with w = 0.

    There is no Comp-Pred; the text-free decoder stays, since the dynamic convolution reads it.
    """

    class Config(EditorConfig):
        """Settings of `spatial_affine`."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context, Parts(branches="spatial"))


METHOD = SpatialAffineEditor
