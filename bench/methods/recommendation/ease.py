"""EASE: a linear item-to-item model with a closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from pydantic import Field
from torch.nn import functional

from bench.errors import BenchError
from bench.methods.base import Recommender
from bench.methods.layers.histories import Histories
from bench.spec.config import MethodConfig
from bench.spec.space import Log

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.base import Context

MAX_ITEMS = 40_000
"""Largest catalogue EASE accepts: there its weights take 6.4 GB (float32), and 19.2 GB while inverted in float64."""

_BLOCK = 1024
_MAX_SINGLE_ERROR = 1e-3


class EASE(Recommender):
    """Embarrassingly shallow autoencoder (Steck, WWW 2019, equation 8).

    P = (XᵀX + λI)⁻¹ and B = I − P · diag(P)⁻¹ (zero diagonal); scores are X·B. B is items × items and dense by nature:
    memory grows with the square of the catalogue, time with its cube (7,050 items on one core: 12 s in float32, 24 s in
    float64). The inverse is taken in float32 where a bound on the condition number of XᵀX + λI keeps its error below
    0.1 % (on Amazon Baby the weights then differ by less than 1e-7), otherwise in float64.
    """

    class Config(MethodConfig):
        """Settings of EASE."""

        l2: Annotated[float, Log(1.0, 1e4), Field(gt=0)] = 100.0
        """λ, the L2 penalty on the weights."""

    closed_form: ClassVar[bool] = True

    weights: Tensor
    history_indptr: Tensor
    history_items: Tensor

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        if self.n_items > MAX_ITEMS:
            raise BenchError(
                f"ease needs a dense {self.n_items:,} x {self.n_items:,} matrix: {context.data.name!r} has "
                f"{self.n_items:,} items, at most {MAX_ITEMS:,} are allowed.",
                hint="Leave ease out for this dataset; itemknn is the sparse neighbour of it.",
            )
        self.config = config
        self.register_buffer("weights", torch.zeros(self.n_items, self.n_items, dtype=context.dtype))
        history = Histories.of(context.data)
        self.register_buffer("history_indptr", history.indptr, persistent=False)
        self.register_buffer("history_items", history.items, persistent=False)

    def fit(self) -> None:
        """Solves for the weights in place; besides them only a float64 copy is held, where one is needed.

        Raises:
            BenchError: The matrix is not positive definite in floating point.
        """
        work = self._gram()
        info = torch.empty((), dtype=torch.int32, device=work.device)
        factor, _ = torch.linalg.cholesky_ex(work, out=(work, info))
        if int(info) != 0:
            dtype = str(work.dtype).removeprefix("torch.")
            raise BenchError(
                f"ease cannot invert XᵀX + {self.config.l2:g}·I of {self.context.data.name!r}: "
                f"it is not positive definite in {dtype}.",
                hint="Use a larger l2.",
            )
        inverse = torch.cholesky_inverse(factor, out=factor)
        inverse.div_(-inverse.diagonal().clone()).fill_diagonal_(0)
        if inverse is not self.weights:
            self.weights.copy_(inverse)

    def _gram(self) -> Tensor:
        """Returns XᵀX + λI, in `weights` itself or in a float64 tensor of its own."""
        matrix = Histories(self.history_indptr, self.history_items).matrix(self.n_items)
        columns = matrix.T.tocsr()
        # The largest eigenvalue is at most the largest row sum; XᵀX has no negative one.
        largest = float((columns @ matrix.sum(axis=1)).max()) if matrix.nnz else 0.0
        error = torch.finfo(torch.float32).eps * (largest + self.config.l2) / self.config.l2
        double = self.weights.dtype == torch.float64 or error > _MAX_SINGLE_ERROR
        dtype = torch.float64 if double else torch.float32
        gram = self.weights if dtype == self.weights.dtype else self.weights.new_empty(self.weights.shape, dtype=dtype)
        for start in range(0, self.n_items, _BLOCK):
            block = (columns[start : start + _BLOCK] @ matrix).toarray()
            gram[start : start + _BLOCK] = torch.from_numpy(block)
        gram.diagonal().add_(self.config.l2)
        return gram

    def score(self, users: Tensor) -> Tensor:
        """Returns (n, items) sums of the weights from the user's history to each item."""
        history = Histories(self.history_indptr, self.history_items).select(users)
        return functional.embedding_bag(history.items, self.weights, history.indptr[:-1], mode="sum")


METHOD = EASE
