"""MGCN-lite: the backbone inside the published code of BeFA, whose file calls it LATTICE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from torch import Tensor, nn

from bench.methods.recommendation.mgcn import MGCN
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.methods.base import Context


class MGCNLite(MGCN):
    """MGCN without its fuser and contrastive loss: E_mul is the mean of the modalities, L = BPR + λ_E · reg.

    BeFA's repository (fqldom/BeFA at a0661a1) ships this backbone as `LATTICE_BeFA`; it learns no item graph, so it
    is not LATTICE. `befa[mgcn_lite]` reproduces that file; without the adapter MGCN's purifier takes its place.
    """

    class Config(MGCN.Config):
        """Settings of `mgcn_lite`."""

        lr: Annotated[float, Choices(1e-4, 5e-4, 1e-3, 5e-3)] = 1e-3
        """Adam's step size; BeFA's grid."""
        reg: Annotated[float, Choices(1e-5, 1e-3, 1e-1)] = 1e-3
        """λ_E, weight of ½ Σ‖·‖² / B on the final representations of the batch."""
        contrast: float = 0.0
        """λ_C; the published file computes no contrastive loss."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.query = nn.Sequential()
        self.preferences = nn.ModuleDict()

    def fuse(self, modalities: list[Tensor], behaviour: Tensor) -> Tensor:
        """Returns the mean of the modalities."""
        return torch.stack(modalities).mean(0)


METHOD = MGCNLite
