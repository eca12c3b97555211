"""Hard pseudo-labels with rebalancing (Agarla et al., Expert Systems with Applications 2024; methods E).

Every W epochs each unlabelled target utterance x is labelled with c = argmax p(x) where max p(x) >= tau, and the next
W epochs minimise the cross-entropy of labelled and pseudo-labelled utterances alike. Rebalancing oversamples the
target utterances to the number of source ones, at the start (if some are labelled) and after each labelling.

Ours where the paper is silent: utterances below tau are left out until the next labelling; classes weigh the same
within each corpus, and source corpora the same among themselves; the weights are not reset when labels change; and if
all pseudo-labels are of the same class, which would teach nothing but that class, none is used until the next
labelling. With rebalancing, unless `even` is off, true labels of the target are repeated until they are as many as the
pseudo-labels: otherwise they have little weight, and pseudo-labels are bad where the encoder is weak
(docs/results/semi-supervised.md).
"""

from __future__ import annotations

import torch
from torch import Tensor

from emobridge.methods.base import (
    Examples,
    Labelled,
    Predict,
    as_probabilities,
    combine,
    oversample,
    weigh,
)
from emobridge.methods.source_only import SourceOnly
from emobridge.options import check_least, check_share


class PseudoLabels(SourceOnly):
    """`threshold` tau in [0, 1), `interval` W in epochs; the paper's values are the defaults. `label_once`: label at
    epoch W and never again. `even`: true labels of the target count as much as pseudo-labels; the paper has it off.
    """

    needs = frozenset({"source_labels", "target_audio", "emotions"})
    head = "single"

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        interval: int = 30,
        label_once: bool = False,
        rebalance: bool = True,
        even: bool = True,
    ) -> None:
        super().__init__(rebalance=rebalance)
        check_share(threshold=threshold)
        check_least(1, interval=interval)
        self.threshold, self.interval, self.label_once = threshold, interval, label_once
        self.even = even and rebalance

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Examples | None:
        if not epoch:
            return super().examples(epoch, predict, generator)
        if epoch % self.interval or (self.label_once and epoch > self.interval):
            return None
        task = self.task
        true = task.labelled_target or Labelled.empty()
        assert task.target is not None  # it is in `needs`
        p = predict(task.target)
        sure = p.max(1).values >= self.threshold
        classes = len(p[sure].argmax(1).unique())
        if classes == 1:
            sure = torch.zeros_like(sure)
        label = self.label(p[sure])
        share = int(sure.sum()) / max(len(sure), 1)
        notes = (("pseudo-labelled share", share), ("pseudo-labelled classes", classes))
        if task.solved and self.even:
            return weigh(task, Labelled(task.target[sure], label), notes)
        index = oversample(true.rows, int(sure.sum()) if self.even else 0, generator)
        true_label = true.label[index]
        if label.ndim == 2:
            true_label = as_probabilities(true_label, task.classes)
        target = Labelled(torch.cat([true.rows[index], task.target[sure]]), torch.cat([true_label, label]))
        return combine(task, target, self.rebalance, generator, notes)

    def label(self, p: Tensor) -> Tensor:
        """The pseudo-labels of utterances with the probabilities p (N, C): classes (N,) or probabilities (N, C)."""
        return p.argmax(1)
