"""Optimal transport of features and labels (Damodaran et al., ECCV 2018, "DeepJDOT: deep joint distribution optimal
transport for unsupervised domain adaptation").

Each step transports the source utterances i of the batch to as many target utterances j. With the cost

    c_ij = features ||h_i - h_j||^2 / H + labels CE(y_i, softmax(logits_j))                    (equation 5)

and the plan g (n, m) that transports 1/n from each i and 1/m to each j at the least cost,

    L = CE(source) + strength * sum_ij g_ij c_ij                                               (equation 6)

The plan is computed first and held while the gradient is taken, as in the paper.

Ours: the plan is the entropic one (Cuturi, NIPS 2013), g = argmin sum g c + e sum g log g with e = `entropy` times the
mean cost, found by Sinkhorn's iterations on logarithms (Peyre & Cuturi 2019, "Computational optimal transport", section
4.4), which need no solver and do not underflow; the squared distance divided by the width H, without which `features`
would have to change with it; the weights 1 and 1, where the paper has 0.001 and 0.0001 for the wide features of
images; and `warm_up` epochs on the source alone, since the labels of a model that knows nothing make a plan that it
then learns by heart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from emobridge.methods._aligning import Aligning
from emobridge.methods.base import Examples, Model, Predict, Step, Task, as_probabilities
from emobridge.options import check_above, check_least


class OptimalTransport(Aligning):
    """`features` and `labels` weigh the two parts of the cost; `iterations` of Sinkhorn at most."""

    term = "transport"

    def __init__(
        self,
        *,
        strength: float = 1.0,
        features: float = 1.0,
        labels: float = 1.0,
        entropy: float = 0.05,
        iterations: int = 100,
        warm_up: int = 5,
        rebalance: bool = True,
    ) -> None:
        super().__init__(strength=strength, rebalance=rebalance)
        check_least(0, features=features, labels=labels)
        check_above(0, entropy=entropy)
        check_least(1, iterations=iterations)
        check_least(0, warm_up=warm_up)
        self.features, self.labels, self.entropy = features, labels, entropy
        self.iterations, self.warm_up = iterations, warm_up

    def prepare(self, task: Task, model: Model) -> nn.Module | None:
        self.epoch = 0
        return super().prepare(task, model)

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Examples | None:
        self.epoch = epoch
        return super().examples(epoch, predict, generator)

    def loss(self, step: Step) -> dict[str, Tensor]:
        if self.epoch < self.warm_up:
            return {"cross-entropy": step.cross_entropy()}
        return super().loss(step)

    def distance(self, model: Model, source: Tensor, label: Tensor, target: Tensor) -> Tensor:
        surprise = -model.classify(target).log_softmax(1)  # (m, C)
        y = as_probabilities(label, surprise.shape[1]).to(surprise.dtype)
        cost = self.labels * y @ surprise.T
        cost = cost + self.features * (source[:, None] - target).square().mean(2)
        plan = transport_plan(cost.detach(), self.entropy, self.iterations)
        return (plan * cost).sum()


def transport_plan(cost: Tensor, entropy: float = 0.05, iterations: int = 100, tolerance: float = 1e-4) -> Tensor:
    """The entropic plan (n, m) of a cost (n, m) from 1/n each to 1/m each; its sum is 1.

    entropy: relative to the mean cost. The iterations end when no row misses its 1/n by more than `tolerance` of it;
    columns are met exactly.
    """
    n, m = cost.shape
    mean = float(cost.mean())
    if not mean > 0:
        return torch.full_like(cost, 1 / (n * m))
    scaled = -cost / (entropy * mean)
    rows, columns = cost.new_zeros(n), cost.new_zeros(m)  # logarithms of the factors of the plan
    sums = scaled.logsumexp(1)  # of each row before its factor
    for _ in range(iterations):
        rows = -math.log(n) - sums
        columns = -math.log(m) - (scaled + rows[:, None]).logsumexp(0)
        sums = (scaled + columns).logsumexp(1)
        if float((n * (rows + sums).exp() - 1).abs().max()) <= tolerance:
            break
    return (scaled + rows[:, None] + columns).exp()
