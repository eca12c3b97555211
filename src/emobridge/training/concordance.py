"""The loss of attributes: 1 - CCC (Goncalves et al. 2024, methods A; Lin 1989 for the coefficient).

    CCC = 2 s_xy / (s_x^2 + s_y^2 + (m_x - m_y)^2) = 2 rho s_x s_y / (the same)

over a whole batch, with population (1/n) moments, as the measure `Ccc` has them. It is no mean over utterances: half a
batch has another value, so that gradients of parts of a batch must not be added up in its place.
"""

from __future__ import annotations

import torch
from torch import Tensor


def concordance_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """(B, K) regressed and (B, K) true attributes -> (K,) float32 of 1 - CCC, each in [0, 2]; their sum is minimised.

    NaN in `truth` is not known and left out, attribute by attribute. Where the batch holds fewer than two known values
    of an attribute, or these are all the same, the coefficient is 0/0 or 0 whatever is predicted: there is nothing to
    learn, and the loss is 0 with a gradient of 0. A constant `predicted` is no such case: its loss is 1, and its
    gradient leads away from constancy.
    """
    known = ~truth.isnan()
    tells = varies(truth)
    count = known.sum(0).clamp(min=1)
    # where() before the arithmetic: the gradient of what is left out would be 0 * NaN behind it
    x = truth.float().where(known, 0.0)
    y = predicted.float().where(known, 0.0)
    mean_x, mean_y = x.sum(0) / count, y.sum(0) / count
    from_x, from_y = (x - mean_x).where(known, 0.0), (y - mean_y).where(known, 0.0)
    covariance = (from_x * from_y).sum(0) / count
    apart = ((from_x**2).sum(0) + (from_y**2).sum(0)) / count + (mean_x - mean_y) ** 2
    return (1 - 2 * covariance / apart.where(tells, 1.0)).where(tells, 0.0)


def varies(truth: Tensor) -> Tensor:
    """(B, K) -> (K,) bool: whether the known values of an attribute differ, so that there is something to learn.

    Exact: a variance of equal floats need not be 0.
    """
    known = ~truth.isnan()
    highest = truth.where(known, -torch.inf).amax(0)
    lowest = truth.where(known, torch.inf).amin(0)
    return highest > lowest
