"""FID, KID and Inception score of what a named network sees, by torchmetrics in float64.

Our network has looked already, so torchmetrics is handed its vectors and passes them on. Images are never rounded to
bytes for it, and nothing is downloaded.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

SINGULAR = 1e-8
"""A covariance is singular where its smallest eigenvalue is below this share of the largest."""
WHOLE = 5_000
"""Most vectors of a side that enter the kernel distance all at once; its three matrices then take 600 MB."""
SUBSETS, SUBSET = 100, 1_000
"""Number and rows of the random subsets that are taken of more, as Bińkowski et al. do."""
SEED = 20_250
"""Of the rows in a subset."""
LOWEST = -700.0
"""Of a logit less the largest of its row. A probability of e⁻⁷⁰⁰ counts for nothing, and one of 0 would make 0 · ∞."""


class _AsGiven(nn.Identity):
    """Stands where torchmetrics expects a network; what comes in are features already.

    Args:
        width: Of a feature vector.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width


def frechet_distance(real: np.ndarray, made: np.ndarray) -> float:
    """Returns ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), never below 0; covariances are divided by n − 1.

    Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017, section 3.

    Where a covariance is singular, as of fewer rows than columns or of equal images, the trace is computed in another
    way. torchmetrics takes roots of the eigenvalues of Σ₁ Σ₂, and of each that is 0 the root of its rounding remains,
    about 1e-8 of the largest. Of 446 rows that was a relative error of 1.5e-6 with 512 columns and of 2e-5 with 2048;
    with one leading direction, a hundred times the variance of all others together, 7e-4 and 1e-3. Where neither is
    singular it was below 1e-8.

    Args:
        real: (n, d) features.
        made: (m, d) features.

    Raises:
        ValueError: There are fewer than two rows on a side.
    """
    first, second = _checked(real, made)
    if _singular(first) or _singular(second):
        return max(0.0, _of_singular(first, second))
    # Imported here, as below: it takes seconds, and only an evaluation needs it.
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_AsGiven(first.shape[1]), sync_on_compute=False)
    return max(0.0, float(_computed(metric, first, second)))


def kernel_distance(real: np.ndarray, made: np.ndarray) -> float:
    """Returns the unbiased squared maximum mean discrepancy under (x · y / d + 1)³; it may be below zero.

    Bińkowski et al., Demystifying MMD GANs, ICLR 2018, section 4. Up to `WHOLE` rows a side are one subset, so that
    nothing is left to chance; of more it is the mean over random subsets, always the same ones, which estimates the
    same number.

    Args:
        real: (n, d) features.
        made: (m, d) features.

    Raises:
        ValueError: There are fewer than two rows on a side.
    """
    first, second = _checked(real, made)
    fewer, more = sorted((len(first), len(second)))
    if fewer < more <= WHOLE:
        return _of_unequal_sides(first, second)
    from torchmetrics.image.kid import KernelInceptionDistance

    subsets, size = (1, fewer) if more <= WHOLE else (SUBSETS, min(fewer, SUBSET))
    with _undisturbed():
        metric = KernelInceptionDistance(
            feature=_AsGiven(first.shape[1]), subsets=subsets, subset_size=size, sync_on_compute=False
        )
        return float(_computed(metric, first, second)[0])


def inception_score(logits: np.ndarray) -> float:
    """Returns exp(mean KL(p(y|x) ‖ p(y))) over all rows at once.

    Salimans et al., Improved Techniques for Training GANs, NeurIPS 2016, section 4; without the usual ten splits, which
    few images do not allow.

    Args:
        logits: (n, C) logits of each image.
    """
    from torchmetrics.image.inception import InceptionScore

    rows = _tensor(logits)
    with _undisturbed():
        metric = InceptionScore(feature=_AsGiven(rows.shape[1]), splits=1, sync_on_compute=False)
        metric.set_dtype(torch.float64)
        metric.update((rows - rows.amax(1, keepdim=True)).clamp(min=LOWEST))
        return float(metric.compute()[0])


def _computed(metric: Any, real: Tensor, made: Tensor) -> Any:
    """Returns what a metric of torchmetrics makes of features in float64."""
    metric.set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(made, real=False)
    return metric.compute()


def _checked(real: np.ndarray, made: np.ndarray) -> tuple[Tensor, Tensor]:
    if min(len(real), len(made)) < 2:
        raise ValueError(f"a distance needs at least 2 feature vectors a side, there are {len(real)} and {len(made)}")
    return _tensor(real), _tensor(made)


def _tensor(rows: np.ndarray) -> Tensor:
    # A copy: the rows may be read-only, or lie backwards.
    return torch.from_numpy(np.array(rows, dtype=np.float64, order="C"))


def _singular(rows: Tensor) -> bool:
    width = rows.shape[1]
    if len(rows) <= width:
        return True
    values = torch.linalg.eigvalsh(torch.cov(rows.T).reshape(width, width))
    return bool(values[0] <= SINGULAR * values[-1])


def _of_singular(first: Tensor, second: Tensor) -> float:
    """Returns the Fréchet distance of (n, d) and (m, d), exact for any rank.

    With Σᵢ = Aᵢᵀ Aᵢ, tr (Σ₁ Σ₂)^½ is the sum of the singular values of A₁ A₂ᵀ, and no root is taken of what is 0.
    """

    def root(rows: Tensor) -> Tensor:
        centred: Tensor = (rows - rows.mean(0)) / (len(rows) - 1) ** 0.5
        if len(rows) <= rows.shape[1]:
            return centred
        small: Tensor = torch.linalg.qr(centred, mode="r").R
        return small

    a, b = root(first), root(second)
    shift = (first.mean(0) - second.mean(0)).square().sum()
    return float(shift + a.square().sum() + b.square().sum() - 2.0 * torch.linalg.matrix_norm(a @ b.T, ord="nuc"))


def _of_unequal_sides(first: Tensor, second: Tensor) -> float:
    """Returns the same estimate of (n, d) and (m, d); that of torchmetrics takes equally many rows of both."""
    from torchmetrics.image.kid import poly_kernel

    within = [
        (values.sum() - values.trace()) / (len(values) * (len(values) - 1))
        for values in (poly_kernel(first, first), poly_kernel(second, second))
    ]
    return float(within[0] + within[1] - 2.0 * poly_kernel(first, second).mean())


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Fixes the global CPU stream, from which torchmetrics draws rows, and puts it back; mutes what it says of itself.

    It warns of the memory its features take, and that one split has no deviation.
    """
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore", UserWarning)
        # Not `torch.manual_seed`: that one seeds accelerators too, which are not put back.
        torch.default_generator.manual_seed(SEED)
        yield
