"""Minimum class confusion (Jin, Wang, Long & Wang, ECCV 2020, "Minimum class confusion for versatile domain
adaptation").

Of B target utterances with logits Z, and y = softmax(Z / T) with the temperature T,

    w_b = B (1 + exp(-H(y_b))) / sum_b' (1 + exp(-H(y_b')))      H the entropy in nats: sure utterances weigh more
    C_jk = sum_b w_b y_bj y_bk,    C'_jk = C_jk / sum_k' C_jk'   how often class j is confused with class k
    L = CE(source) + strength / K * sum_j sum_{k != j} C'_jk     K classes

The paper has T = 2.5 and a strength of 1. Through w no gradient flows, as in the authors' public code. Ours: as many
target utterances in a step as source ones in the batch.
"""

from __future__ import annotations

from torch import Tensor

from emobridge.methods._aligning import Aligning
from emobridge.methods.base import Model
from emobridge.options import check_above


class Mcc(Aligning):
    """`temperature` is T; `rebalance` as for source only."""

    needs = Aligning.needs | {"emotions"}
    term = "confusion"

    def __init__(self, *, strength: float = 1.0, temperature: float = 2.5, rebalance: bool = True) -> None:
        super().__init__(strength=strength, rebalance=rebalance)
        check_above(0, temperature=temperature)
        self.temperature = temperature

    def distance(self, model: Model, source: Tensor, label: Tensor, target: Tensor) -> Tensor:
        return class_confusion(model.classify(target), self.temperature)


def class_confusion(logits: Tensor, temperature: float = 2.5) -> Tensor:
    """The mean confusion of the classes in logits (B, K), in [0, 1 - 1/K]."""
    y = (logits / temperature).softmax(1)
    fixed = y.detach()
    entropy = -(fixed * fixed.clamp(min=1e-12).log()).sum(1)
    weight = 1 + (-entropy).exp()
    weight = len(y) * weight / weight.sum()
    confusion = (y * weight[:, None]).T @ y
    confusion = confusion / confusion.sum(1, keepdim=True).clamp(min=1e-12)
    return (confusion.sum() - confusion.trace()) / len(confusion)
