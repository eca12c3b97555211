"""Maximum mean discrepancy with several Gaussian kernels (Long et al., ICML 2015, "Learning transferable features with
deep adaptation networks"; Gretton et al., JMLR 2012, "A kernel two-sample test").

    L = CE(source) + strength * sum over layers of MMD^2(source, target)
    MMD^2 = mean k(s, s') + mean k(t, t') - 2 mean k(s, t),    k(x, y) = 1/U sum_u exp(-||x - y||^2 / g_u)

The layers are the last ones: the representation h and the logits. g_u = 2^u g for u = -2 .. 2, where g is the mean
squared distance between any two utterances of the batch, through which no gradient flows.

The paper weighs the kernels by a quadratic programme, takes the median distance, and a step of 2^(1/2) from 2^-8 to
2^8. Five kernels of one weight, a step of 2 and the mean distance are what the authors' public code has. Ours: the
estimate over all pairs with themselves among them, which is at least 0 and defined for a batch of one; as many target
utterances in a step as source ones in the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from emobridge.methods._aligning import Aligning
from emobridge.methods.base import Model
from emobridge.options import check_least


class Mmd(Aligning):
    """`kernels` is U, a step of 2 apart; `rebalance` as for source only."""

    term = "discrepancy"

    def __init__(self, *, strength: float = 1.0, kernels: int = 5, rebalance: bool = True) -> None:
        super().__init__(strength=strength, rebalance=rebalance)
        check_least(1, kernels=kernels)
        self.kernels = kernels

    def distance(self, model: Model, source: Tensor, label: Tensor, target: Tensor) -> Tensor:
        layers = ((source, target), (model.classify(source), model.classify(target)))
        return torch.stack([discrepancy(*layer, self.kernels) for layer in layers]).sum()


def discrepancy(source: Tensor, target: Tensor, kernels: int = 5) -> Tensor:
    """MMD^2 of (n, H) and (m, H) with `kernels` Gaussian kernels, in [0, 2]."""
    both = torch.cat([source, target])
    length = both.square().sum(1)
    squares = (length[:, None] + length - 2 * both @ both.T).clamp(min=0)  # (n + m, n + m), without their (n + m)^2 H
    pairs = len(both) * (len(both) - 1)
    middle = (squares.detach().sum() / pairs).clamp(min=1e-12)
    widths = middle * 2.0 ** (torch.arange(kernels, dtype=both.dtype) - kernels // 2)
    kernel = (-squares[..., None] / widths).exp().mean(2)
    n = len(source)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()
