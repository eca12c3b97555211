"""Nearest neighbours as pseudo multi-labels (Li, Yan & Wang, ASRU 2021, "Unsupervised cross-lingual speech emotion
recognition using pseudo multilabel"; "NNPM" in methods E).

A memory holds the source utterances' representations, of length 1. A target utterance of representation f is like
source utterance j by the cosine s_j = f . memory_j; those most like it are its labels, of which it has many. As in
Wang & Zhang, CVPR 2020 ("Unsupervised person re-identification via multi-label classification"), on which it builds,

    L = CE(source) + strength * mean over target utterances of
        delta * mean over positives (s_j - 1)^2 + mean over hard negatives (s_j + 1)^2

with delta = 5, and the memory of an utterance of the batch is momentum * memory + (1 - momentum) * f, brought back to
length 1. Of the first paper only the abstract was read.

Ours where the papers are silent, or to suit emotions, of which there are few: those most like an utterance are found by
the cosine less its mean over the batch, without which a few source utterances (hubs) are the nearest of all; positives
are those of the `neighbours` most alike that are more alike than `threshold` and of the emotion that most of them (by
the sum of their cosines) have, in place of cycle consistency; an utterance without any is left out; negatives are the
hardest share of the source utterances of other emotions; cosines are taken without dropout; and the strength.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from emobridge.methods.base import (
    Examples,
    Method,
    Model,
    Predict,
    Step,
    Task,
    represent_without_dropout,
)
from emobridge.options import check_least, check_share


class Memory(nn.Module):
    """Representations (N, H) of length 1, or 0 of utterances that have not been seen."""

    features: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("features", torch.zeros(size, width))

    def update(self, index: Tensor, represented: Tensor, momentum: float) -> None:
        """Move the memory at `index` (B,) towards these representations (B, H) of length 1."""
        self.features[index] = normalize(momentum * self.features[index] + (1 - momentum) * represented)


class Nnpm(Method):
    """`warm_up` epochs, 1 at least, of labelled speech alone fill the memory; `hardest`, in (0, 1], is the share of the
    negatives that counts; `rebalance` as for source only."""

    needs = frozenset({"source_labels", "target_audio", "emotions"})

    def __init__(
        self,
        *,
        strength: float = 0.1,
        threshold: float = 0.5,
        neighbours: int = 20,
        hardest: float = 0.1,
        delta: float = 5.0,
        momentum: float = 0.5,
        warm_up: int = 5,
        rebalance: bool = True,
    ) -> None:
        super().__init__(rebalance=rebalance)
        check_least(0, strength=strength, delta=delta)
        check_least(1, neighbours=neighbours, warm_up=warm_up)
        check_share(threshold=threshold, momentum=momentum)
        if not 0 < hardest <= 1:
            raise ValueError(f"hardest: expected 0 < hardest <= 1, got {hardest}")
        self.strength, self.threshold, self.neighbours, self.hardest = strength, threshold, neighbours, hardest
        self.delta, self.momentum, self.warm_up = delta, momentum, warm_up

    def prepare(self, task: Task, model: Model) -> nn.Module:
        super().prepare(task, model)
        source = task.source
        assert source is not None and task.target is not None  # they are in `needs`
        self.target, self.label, self.epoch = task.target, source.label, 0
        self.index = torch.full((int(source.rows.max()) + 1,), -1)  # of a row of the inputs in the memory
        self.index[source.rows] = torch.arange(len(source.rows))
        self.memory = Memory(len(source.rows), model.width)
        return self.memory

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Examples | None:
        self.epoch = epoch
        return super().examples(epoch, predict, generator)

    def loss(self, step: Step) -> dict[str, Tensor]:
        terms = {"cross-entropy": step.cross_entropy()}
        index = self.index[step.rows.clamp(max=len(self.index) - 1)]
        is_source = (step.rows < len(self.index)) & (index >= 0)
        with torch.no_grad():
            unit = normalize(represent_without_dropout(step.model, step.x[is_source]))
            self.memory.update(index[is_source], unit, self.momentum)
        if self.epoch >= self.warm_up and len(self.target):
            target = step.take(step.sample(self.target))
            cosine = normalize(represent_without_dropout(step.model, target)) @ self.memory.features.T
            # A last batch of one utterance would be its own mean.
            usual = cosine.detach().mean(0) if len(cosine) > 1 else torch.zeros(())
            terms["neighbours"] = self.strength * self.distance(cosine, usual)
        return terms

    def distance(self, cosine: Tensor, usual: Tensor) -> Tensor:
        """The loss, before its strength, of target utterances with cosines (B, N) to the memory.

        The nearest are those with the highest cosines less the usual ones, (N,), or () where these are 0.
        """
        fixed = cosine.detach()
        index = (fixed - usual).topk(min(self.neighbours, fixed.shape[1])).indices
        near = fixed.gather(1, index)
        votes = torch.zeros(len(cosine), self.task.classes)
        votes.scatter_add_(1, self.label[index], near * (near > self.threshold))
        emotion = votes.argmax(1, keepdim=True)
        positive = (near > self.threshold) & (self.label[index] == emotion)
        other = self.label != emotion  # (B, N)
        hard = (self.hardest * other.sum(1, keepdim=True)).ceil()
        order = fixed.masked_fill(~other, -2.0).topk(int(hard.max())).indices
        negative = torch.arange(order.shape[1]) < hard
        loss = self.delta * mean_where((cosine.gather(1, index) - 1) ** 2, positive)
        loss = loss + mean_where((cosine.gather(1, order) + 1) ** 2, negative)
        used = positive.any(1)
        return (loss * used).sum() / used.sum().clamp(min=1)


def mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """(B,) means of values (B, N) where the mask is true; 0 for a row where it is true nowhere."""
    return (values * mask).sum(1) / mask.sum(1).clamp(min=1)
