"""How far a fit is from its validation utterances: what early stopping compares."""

from __future__ import annotations

import torch
from torch import Tensor

from emobridge.methods.base import Labelled, balanced_weights, weighted_cross_entropy
from emobridge.training.concordance import concordance_loss, varies


def loss_of_attributes(regressed: Tensor, validation: Labelled) -> float:
    """The mean 1 - CCC over the attributes of each side, and over sides; 0 where nothing of them is known."""
    truth = validation.attributes
    if truth is None:
        return 0.0
    side = torch.zeros_like(validation.rows) if validation.corpus is None else validation.corpus
    lost = []
    for number in side.unique():
        on_side = side == number
        varied = varies(truth[on_side])
        if varied.any():
            lost.append(float(concordance_loss(regressed[on_side], truth[on_side])[varied].mean()))
    return sum(lost) / max(len(lost), 1)


def loss_of_emotions(p: Tensor, validation: Labelled, by: str) -> float:
    """The mean cross-entropy of probabilities p (N, C), the sides weighing the same; by "ua" 1 - UA."""
    if by == "ua":
        wrong = (p.argmax(1) != validation.label).float()
        return float((wrong * balanced_weights(validation, p.shape[1])).mean())
    logits = p.clamp(min=1e-12).log()
    weight = torch.ones(len(logits))
    if validation.corpus is not None:
        sides, side = validation.corpus.unique(return_inverse=True)
        weight = len(logits) / (len(sides) * side.bincount()[side])
    return float(weighted_cross_entropy(logits, validation.label, weight))
