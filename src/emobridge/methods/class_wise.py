"""Class-wise self-training: the surest utterances of each predicted class, more of them each time.

At first the head is fitted to the labelled utterances. Then R times every unlabelled target utterance is given its most
probable class, and the surest utterances of EACH class, by probability, are trained on beside the labelled ones. Their
share rises from `first` to `last` of the class: after Zou et al. 2018, "Unsupervised domain adaptation for semantic
segmentation via class-balanced self-training", whose thresholds by class these shares are. Were the share one of all
utterances, the class that the recogniser is surest of would drive the others out.

Ours: the schedule, R, and the weights: labelled source and guessed target weigh the same, whatever their sizes; within
them classes do, and source corpora; 25 true labels of a class of the target weigh as much again (`methods.base.weigh`).
Chosen on docs/results/across-languages.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

from emobridge.methods.base import Examples, Labelled, Predict, weigh
from emobridge.methods.source_only import SourceOnly
from emobridge.options import check_least, check_part_of_one


class ClassWise(SourceOnly):
    """`refits` R; `first` and `last` in [0, 1]: the shares of each class at the first and the last refit. `interval`:
    epochs between two labellings, for heads that are trained by gradients; those of a closed form need 1.
    """

    needs = frozenset({"source_labels", "target_audio", "emotions"})

    def __init__(self, *, refits: int = 5, first: float = 0.3, last: float = 0.9, interval: int = 1) -> None:
        super().__init__()
        check_least(1, refits=refits, interval=interval)
        check_part_of_one(first=first, last=last)
        self.refits, self.first, self.last, self.interval = refits, first, last, interval

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Examples | None:
        task = self.task
        refit, beside = divmod(epoch, self.interval)
        if beside or refit > self.refits:
            return None
        if not refit:
            return weigh(task)
        assert task.target is not None  # it is in `needs`
        share = self.first + (self.last - self.first) * (refit - 1) / max(self.refits - 1, 1)
        p = predict(task.target)
        chosen = surest_of_each_class(p, share)
        guessed = Labelled(task.target[chosen], p[chosen].argmax(1))
        classes = len(guessed.label.unique())
        notes = (("pseudo-labelled share", len(chosen) / max(len(p), 1)), ("pseudo-labelled classes", classes))
        return weigh(task, guessed, notes)


def surest_of_each_class(p: Tensor, share: float) -> Tensor:
    """The rows of probabilities p (N, C) that are among the surest `share` of those of their most probable class.

    At least one of each class that any row is of; of equally sure ones the first.
    """
    sureness, label = p.max(1)
    rows = []
    for index in label.unique():
        inside = (label == index).nonzero()[:, 0]
        count = max(1, round(share * len(inside)))
        rows.append(inside[sureness[inside].argsort(descending=True, stable=True)[:count]])
    return torch.cat(rows).sort().values if rows else label
