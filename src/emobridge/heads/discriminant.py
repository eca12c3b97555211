"""Linear discriminant analysis with shrinkage (Fisher 1936; Friedman 1989, "Regularized discriminant analysis").

With the weights w_n and labels y_nc of N utterances z_n, probabilities that may be soft,

    n_c = sum_n w_n y_nc,    m_c = 1/n_c sum_n w_n y_nc z_n
    S = 1/n sum_nc w_n y_nc (z_n - m_c)(z_n - m_c)^T,    n = sum_c n_c
    S_a = (1 - a) S + a trace(S)/k I
    logit_c(z) = m_c^T S_a^-1 z - 1/2 m_c^T S_a^-1 m_c + log prior_c

which are the posteriors of normal densities of one covariance; z is taken about the mean of all, which changes no
posterior and loses no digits. A class of weight 0 gets no probability.
"""

from __future__ import annotations

import torch
from torch import Tensor

from emobridge.errors import unknown
from emobridge.heads.base import ClosedFormHead, LinearMap
from emobridge.options import check_part_of_one

PRIORS = ("equal", "observed")
NEVER = -1e3  # the logit of a class without an utterance


class Discriminant(ClosedFormHead):
    """`shrinkage` a in [0, 1]; `prior` of the classes: equal, or their share of the weights (observed)."""

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        components: int = 200,
        views: int = 1,
        shrinkage: float = 0.35,
        prior: str = "equal",
    ) -> None:
        super().__init__(width, classes, components=components, views=views)
        check_part_of_one(shrinkage=shrinkage)
        if prior not in PRIORS:
            raise unknown("prior", prior, PRIORS)
        self.shrinkage, self.prior = shrinkage, prior

    def solve(self, z: Tensor, label: Tensor, weight: Tensor) -> LinearMap:
        z, share = z.to(torch.float64, copy=True), (label * weight[..., None]).double()  # (..., N, k), (..., N, C)
        each = share.sum(-1, keepdim=True)
        middle = each.mT @ z / each.sum(-2, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)  # (..., 1, k)
        z.sub_(middle)  # about it nothing is lost to rounding
        return self.solve_moments(share.sum(-2), share.mT @ z, scatter(z, each), middle)

    def solve_moments(self, count: Tensor, first: Tensor, second: Tensor, middle: Tensor) -> LinearMap:
        """`solve` of sums of w_n y_nc (..., C), of w_n y_nc z_n (..., C, k), and of w_n y_nc z_n z_n^T over all classes
        (..., k, k), each z_n less `middle` (..., 1, k).
        """
        total = count.sum(-1)[..., None, None].clamp(min=torch.finfo(torch.float64).tiny)
        mean = first / count[..., None].clamp(min=torch.finfo(torch.float64).tiny)  # (..., C, k)
        within = shrunk((second - (mean * count[..., None]).mT @ mean) / total, self.shrinkage)
        solved = torch.linalg.solve(within, mean.mT).mT  # (..., C, k)
        bias = -0.5 * (solved * mean).sum(-1) - (solved @ middle.mT)[..., 0]
        if self.prior == "observed":
            bias = bias + (count / total[..., 0]).clamp(min=torch.finfo(torch.float64).tiny).log()
        absent = count == 0
        return LinearMap(solved.masked_fill(absent[..., None], 0.0).float(), bias.masked_fill(absent, NEVER).float())


def scatter(z: Tensor, weight: Tensor) -> Tensor:
    """sum_n w_n z_n z_n^T, (..., k, k), of z (..., N, k) and weights (..., N, 1), none below 0."""
    z = z * weight.sqrt()
    if z.ndim > 2:
        return z.mT @ z
    return torch.from_numpy(z.numpy().T @ z.numpy())  # NumPy knows that a product is symmetric: half the time


def shrunk(covariance: Tensor, shrinkage: float) -> Tensor:
    """(1 - a) S + a trace(S)/k I of covariances (..., k, k); the identity where nothing varies."""
    size = covariance.shape[-1]
    scale = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    identity = torch.eye(size, dtype=covariance.dtype)
    # A share of the identity far below rounding of the rest keeps S invertible where a = 0 and components are constant.
    floor = 1e-9 * scale * identity
    return torch.where(scale > 1e-12, (1 - shrinkage) * covariance + shrinkage * scale * identity + floor, identity)
