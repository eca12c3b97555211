"""Deep CORAL (Sun & Saenko, ECCV 2016 workshops, "Deep CORAL: correlation alignment for deep domain adaptation").

    L = CE(source) + strength * ||C_S - C_T||_F^2 / (4 d^2)                                        (equations 1 and 6)
    C = (D^T D - (1^T D)^T (1^T D) / n) / (n - 1)                                                  (equations 2 and 3)

where D (n, d) are what the last layer gives of the source and of the target utterances of a batch: the logits, so that
d is the number of classes. The paper sets the strength so that both terms are about as large when training ends.

Layer anchoring (`layer-anchoring`) sums norms that are NOT squared, over layers, without 4 d^2: another function.
Ours: as many target utterances in a step as source ones in the batch; a covariance of one utterance is 0.
"""

from __future__ import annotations

from torch import Tensor

from emobridge.methods._aligning import Aligning
from emobridge.methods.base import Model


class DeepCoral(Aligning):
    """`strength` as above; `rebalance` as for source only."""

    term = "covariance"

    def distance(self, model: Model, source: Tensor, label: Tensor, target: Tensor) -> Tensor:
        return deep_coral(model.classify(source), model.classify(target))


def deep_coral(source: Tensor, target: Tensor) -> Tensor:
    """||C_S - C_T||_F^2 / (4 d^2) of outputs (n, d) and (m, d), at least 0."""
    return (covariance(source) - covariance(target)).square().sum() / (4 * source.shape[1] ** 2)


def covariance(x: Tensor) -> Tensor:
    """(..., n, d) -> (..., d, d), with n - 1 in the denominator; 0 of a single row."""
    centred = x - x.mean(-2, keepdim=True)
    return centred.mT @ centred / max(x.shape[-2] - 1, 1)
