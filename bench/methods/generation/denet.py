"""DE-Net (Tao et al., AAAI 2023, arXiv 2206.01160)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.methods.layers.denet_blocks import Parts
from bench.methods.layers.text_editor import AdversarialEditor, EditorConfig

if TYPE_CHECKING:
    from bench.methods.base import Context


class DENet(AdversarialEditor):
    """Dynamic text-guided image editing: each block mixes a global and a local change, in shares it predicts.

    Networks follow the authors' code (tobran/DE-Net at a07bccf), for any side that halves down to 4; the training is
    RECONSTRUCTED, see `AdversarialEditor`. The sentence vector is that of a frozen image-text encoder, whose image half
    also says how well the result fits; the authors' default is a bi-LSTM trained against image regions (DAMSM).
    `channel_affine` and `spatial_affine` are its branches alone.
    """

    class Config(EditorConfig):
        """Settings of `denet`; published: width 32, lr 1e-4 and 4e-4, batch 32, 256 pixels."""

        composition: bool = True
        """Whether Comp-Pred weighs the branches; without it each counts one half."""
        dynamic: bool = True
        """Whether the sentence changes the spatial branch's convolution; False makes it a plain one."""
        semantic: bool = True
        """Whether the spatial branch reads the text-free decoder; False makes it read the encoder's skips."""

    def __init__(self, config: Config, context: Context) -> None:
        parts = Parts(composition=config.composition, dynamic=config.dynamic, semantic=config.semantic)
        super().__init__(config, context, parts)


METHOD = DENet
