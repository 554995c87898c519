"""DE-Net with its channel branch alone: the ablation of its paper, and the plain text-conditioned editor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.methods.layers.denet_blocks import Parts
from bench.methods.layers.text_editor import AdversarialEditor, EditorConfig

if TYPE_CHECKING:
    from bench.methods.base import Context


class ChannelAffineEditor(AdversarialEditor):
    """A U-Net whose maps a sentence scales and shifts channel by channel: `denet` with w = 1.

    There is no Comp-Pred, no dynamic convolution and no text-free decoder.
    """

    class Config(EditorConfig):
        """Settings of `channel_affine`."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context, Parts(branches="channel"))


METHOD = ChannelAffineEditor
