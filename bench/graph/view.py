"""`View`: a compiled graph as CSR tensors, its transpose prepared."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

_INT32_MAX = 2**31 - 1


class Csr(NamedTuple):
    """One direction of a view on one device, in the index type its kernel wants.

    Attributes:
        indptr: (rows + 1,) int32 row offsets, int64 where int32 is too narrow.
        indices: (edges,) columns, of the type of `indptr`.
        values: (edges,) weights.
        matrix: The same as a torch sparse CSR tensor of shape (rows, columns).
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor
    matrix: Tensor


@dataclass(frozen=True, eq=False)
class View:
    """A weighted graph as a sparse matrix of shape (rows, columns), rows receiving from columns.

    Attributes:
        indptr: (rows + 1,) int64 row offsets.
        indices: (edges,) int64 column of each edge, ascending within a row.
        values: (edges,) edge weights.
        t_indptr: (columns + 1,) int64 row offsets of the transpose.
        t_indices: (edges,) int64 columns of the transpose.
        t_values: (edges,) weights of the transpose.
        n_cols: Number of columns.
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor
    t_indptr: Tensor
    t_indices: Tensor
    t_values: Tensor
    n_cols: int
    _prepared: dict[tuple[bool, torch.device, torch.dtype], Csr] = field(default_factory=dict, init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_prepared"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _prepared={})

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.indptr.numel() - 1

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.n_rows, self.n_cols

    @property
    def n_edges(self) -> int:
        """Number of stored edges."""
        return self.values.numel()

    @classmethod
    def from_edges(cls, rows: Tensor, cols: Tensor, values: Tensor, shape: tuple[int, int]) -> View:
        """Builds a view from edge lists in any order; repeated edges are summed.

        Args:
            rows: (edges,) integer ids of the receiving nodes.
            cols: (edges,) integer ids of the sending nodes.
            values: (edges,) floating weights. Zeros are stored like any other weight.
            shape: (rows, columns).

        Raises:
            ValueError: Lengths, types or ids do not fit together.
        """
        n_rows, n_cols = _checked_shape(shape)
        row, col = _checked_ids("rows", rows, n_rows), _checked_ids("cols", cols, n_cols)
        if values.ndim != 1 or not values.is_floating_point():
            raise ValueError(f"values must be a floating vector, but is {values.dtype} of shape {tuple(values.shape)}")
        if not row.numel() == col.numel() == values.numel():
            raise ValueError(f"{row.numel()} rows, {col.numel()} cols and {values.numel()} values must be equally many")
        code = row * n_cols + col
        if not _ascending(code):
            code, order = torch.sort(code, stable=True)
            values = values[order]
            fresh = torch.ones_like(code, dtype=torch.bool)
            torch.ne(code[1:], code[:-1], out=fresh[1:])
            if not fresh.all():
                slot = fresh.cumsum(0) - 1
                code = code[fresh]
                values = values.new_zeros(code.numel()).index_add(0, slot, values)
            row, col = code // max(n_cols, 1), code % max(n_cols, 1)
        order = torch.argsort(col, stable=True)
        return cls(
            indptr=_offsets(row, n_rows),
            indices=col,
            values=values,
            t_indptr=_offsets(col, n_cols),
            t_indices=row[order],
            t_values=values[order],
            n_cols=n_cols,
        )

    @property
    def rows(self) -> Tensor:
        """(edges,) int64 receiving node of each edge, in CSR order."""
        return torch.repeat_interleave(torch.arange(self.n_rows, device=self.indptr.device), self.indptr.diff())

    def block(self, rows: slice, cols: slice) -> View:
        """Returns the sub-matrix of the given row and column ranges.

        Raises:
            ValueError: A range has a step other than 1.
        """
        row_start, row_stop, row_step = rows.indices(self.n_rows)
        col_start, col_stop, col_step = cols.indices(self.n_cols)
        if (row_step, col_step) != (1, 1):
            raise ValueError(f"a block's ranges must have step 1, but got {row_step} and {col_step}")
        row, col = self.rows, self.indices
        keep = (row >= row_start) & (row < row_stop) & (col >= col_start) & (col < col_stop)
        shape = (max(row_stop - row_start, 0), max(col_stop - col_start, 0))
        return View.from_edges(row[keep] - row_start, col[keep] - col_start, self.values[keep], shape)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> View:
        """Returns the view on a device and with weights of a floating type; itself when nothing changes."""
        if (device is None or torch.device(device) == self.values.device) and dtype in (None, self.values.dtype):
            return self

        def move(tensor: Tensor, *, weights: bool = False) -> Tensor:
            return tensor.to(device=device, dtype=dtype if weights else None)

        return View(
            indptr=move(self.indptr),
            indices=move(self.indices),
            values=move(self.values, weights=True),
            t_indptr=move(self.t_indptr),
            t_indices=move(self.t_indices),
            t_values=move(self.t_values, weights=True),
            n_cols=self.n_cols,
        )

    def dense(self) -> Tensor:
        """Returns the (rows, columns) dense matrix; for tests and small graphs."""
        matrix = torch.zeros(self.shape, dtype=self.values.dtype, device=self.values.device)
        matrix[self.rows, self.indices] = self.values
        return matrix

    def csr(self, device: torch.device, dtype: torch.dtype, *, transpose: bool = False) -> Csr:
        """Returns one direction of the view ready to multiply; made once per device and floating type, then kept."""
        key = (transpose, device, dtype)
        if key not in self._prepared:
            self._prepared[key] = self._prepare(device, dtype, transpose=transpose)
        return self._prepared[key]

    def _prepare(self, device: torch.device, dtype: torch.dtype, *, transpose: bool) -> Csr:
        indptr = self.t_indptr if transpose else self.indptr
        indices = self.t_indices if transpose else self.indices
        values = self.t_values if transpose else self.values
        shape = self.shape[::-1] if transpose else self.shape
        index_type = torch.int32 if max(self.n_edges, *self.shape) <= _INT32_MAX else torch.int64
        indptr = indptr.to(device=device, dtype=index_type)
        indices = indices.to(device=device, dtype=index_type)
        values = values.detach().to(device=device, dtype=dtype)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse", category=UserWarning)
            matrix = torch.sparse_csr_tensor(indptr, indices, values, size=shape, check_invariants=False)
        return Csr(indptr, indices, values, matrix)


def _checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    n_rows, n_cols = shape
    if n_rows < 0 or n_cols < 0 or n_rows * n_cols >= 2**63:
        raise ValueError(f"shape must hold sizes whose product is below 2^63, but is ({n_rows}, {n_cols})")
    return n_rows, n_cols


def _checked_ids(name: str, ids: Tensor, size: int) -> Tensor:
    if ids.ndim != 1 or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise ValueError(f"{name} must be a vector of integers, but is {ids.dtype} of shape {tuple(ids.shape)}")
    if ids.numel():
        low, high = (int(bound) for bound in ids.aminmax())
        if low < 0 or high >= size:
            raise ValueError(f"{name} must hold ids in [0, {size}), but reach from {low} to {high}")
    return ids.long()


def _ascending(code: Tensor) -> bool:
    return bool((code[1:] > code[:-1]).all())


def _offsets(ids: Tensor, size: int) -> Tensor:
    counts = torch.bincount(ids, minlength=size)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])
