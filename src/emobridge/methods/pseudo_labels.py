"""Hard pseudo-labels with rebalancing (Agarla et al., Expert Systems with Applications 2024; methods E).

Every W epochs each unlabelled target utterance x is labelled with c = argmax p(x) where max p(x) >= tau, and the next
W epochs minimise the cross-entropy of labelled and pseudo-labelled utterances alike. Rebalancing oversamples the
target utterances to the number of source ones, at the start (where some are labelled) and after each labelling.

Ours where the paper is silent: utterances below tau are left out until the next labelling, classes weigh the same
within each corpus and source corpora the same among themselves, and the model goes on from where it was.
"""

from __future__ import annotations

import torch
from torch import Tensor

from emobridge.methods._base import Drawn, Labelled, Predict, Task, mixed, nothing, weighted_cross_entropy


class PseudoLabels:
    """`threshold` tau in [0, 1), `interval` W in epochs; the paper's values are the defaults."""

    name = "pseudo-labels"
    needs = frozenset({"source_labels", "target_audio"})
    takes = frozenset({"target_labels"})

    def __init__(self, *, threshold: float = 0.5, interval: int = 30, rebalance: bool = True) -> None:
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold: expected 0 <= threshold < 1, got {threshold}")
        if interval < 1:
            raise ValueError(f"interval: expected 1 or more epochs, got {interval}")
        self.threshold = threshold
        self.interval = interval
        self.rebalance = rebalance

    def prepare(self, task: Task) -> None:
        self.task = task

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Drawn | None:
        if epoch % self.interval:
            return None
        task = self.task
        target = task.few or nothing()
        if not epoch:
            return mixed(task, target, self.rebalance, generator)
        assert task.target is not None  # it is in `needs`
        confidence, best = predict(task.target).max(1)
        sure = confidence >= self.threshold
        rows = torch.cat([target.rows, task.target[sure]])
        label = torch.cat([target.label, best[sure]])
        notes = (("pseudo-labelled share", int(sure.sum()) / max(len(sure), 1)),)
        return mixed(task, Labelled(rows, label), self.rebalance, generator, notes)

    def loss(self, logits: Tensor, label: Tensor, weight: Tensor) -> dict[str, Tensor]:
        return {"cross-entropy": weighted_cross_entropy(logits, label, weight)}
