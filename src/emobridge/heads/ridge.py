"""Ridge regression (Hoerl & Kennard 1970) onto the classes' indicators, as a classifier.

With weights w_n of mean 1, labels y_n (probabilities), and components z_n less their weighted mean,

    f(z) = B^T z + mean y,    B = (Z^T W Z + s trace(Z^T W Z)/k I)^-1 Z^T W (Y - mean y)
    logit_c(z) = f_c(z) / v,    v the weighted mean square of Y - f(Z), over utterances and classes

Ours: f as logits. It is what normal noise of variance v around the indicator of the true class gives.
"""

from __future__ import annotations

import torch
from torch import Tensor

from emobridge.heads.base import ClosedFormHead, LinearMap
from emobridge.options import check_least

LEAST_NOISE = 1e-3  # v at least: a few utterances in many components are fitted without an error


class Ridge(ClosedFormHead):
    """`strength` s, at least 0, relative to the mean variance of the components."""

    def __init__(
        self, width: int, classes: int, *, components: int = 200, views: int = 1, strength: float = 1.0
    ) -> None:
        super().__init__(width, classes, components=components, views=views)
        check_least(0, strength=strength)
        self.strength = strength

    def solve(self, z: Tensor, label: Tensor, weight: Tensor) -> LinearMap:
        fitted = ridge(z, label, weight, self.strength)
        share = (weight / weight.sum(-1, keepdim=True).clamp(min=1e-12))[..., None]
        noise = ((label - fitted.of(z)).square() * share).sum(-2).mean(-1).clamp(min=LEAST_NOISE)
        return LinearMap(fitted.weight / noise[..., None, None], fitted.bias / noise[..., None])


def ridge(z: Tensor, y: Tensor, weight: Tensor, strength: float) -> LinearMap:
    """The map f from components z (..., N, k) to values y (..., N, C), utterances weighted by (..., N)."""
    z, y = z.double(), y.double()
    share = (weight.double() / weight.double().sum(-1, keepdim=True).clamp(min=1e-12))[..., None]
    middle, mean = (z * share).sum(-2, keepdim=True), (y * share).sum(-2, keepdim=True)
    z = z - middle
    second = (z * share).mT @ z
    scale = second.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None].clamp(min=1e-12)
    regularised = second + (strength + 1e-9) * scale * torch.eye(z.shape[-1], dtype=z.dtype)
    solved = torch.linalg.solve(regularised, (z * share).mT @ (y - mean)).mT  # (..., C, k)
    bias = mean[..., 0, :] - (solved @ middle.mT)[..., 0]
    return LinearMap(solved.float(), bias.float())
