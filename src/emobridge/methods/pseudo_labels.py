"""Hard pseudo-labels with rebalancing (Agarla et al., Expert Systems with Applications 2024; methods E).

Every W epochs each unlabelled target utterance x is labelled with c = argmax p(x) where max p(x) >= tau, and the next
W epochs minimise the cross-entropy of labelled and pseudo-labelled utterances alike. Rebalancing oversamples the
target utterances to the number of source ones, at the start (where some are labelled) and after each labelling.

Ours where the paper is silent: utterances below tau are left out until the next labelling, classes weigh the same
within each corpus and source corpora the same among themselves, the model goes on from where it was, and where all that
are sure are of one class, which would teach nothing but that class, none is used until the next labelling. And with
rebalancing true labels of the target, unless `even` is off, are repeated until they are as many as the guessed ones: a
few drown among many, and where the encoder is weak, guesses are bad (docs/results/semi-supervised.md).
"""

from __future__ import annotations

import torch
from torch import Tensor

from emobridge.methods.base import (
    Drawn,
    Labelled,
    Model,
    Predict,
    Stage,
    Step,
    Task,
    as_probabilities,
    mixed,
    nothing,
    repeated,
    weighted_cross_entropy,
)


class PseudoLabels:
    """`threshold` tau in [0, 1), `interval` W in epochs; the paper's values are the defaults. `once`: label at epoch W
    and never again. `even`: true labels of the target count as much as the guessed ones; the paper has it off.
    """

    name = "pseudo-labels"
    needs = frozenset({"source_labels", "target_audio", "emotions"})
    takes = frozenset({"target_labels"})
    head = "single"
    stages: tuple[Stage, ...] = ()

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        interval: int = 30,
        once: bool = False,
        rebalance: bool = True,
        even: bool = True,
    ) -> None:
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold: expected 0 <= threshold < 1, got {threshold}")
        if interval < 1:
            raise ValueError(f"interval: expected 1 or more epochs, got {interval}")
        self.threshold, self.interval, self.once = threshold, interval, once
        self.rebalance, self.even = rebalance, even and rebalance

    def prepare(self, task: Task, model: Model) -> None:
        self.task = task

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Drawn | None:
        if epoch % self.interval or (self.once and epoch > self.interval):
            return None
        task = self.task
        few = task.few or nothing()
        if not epoch:
            return mixed(task, few, self.rebalance, generator)
        assert task.target is not None  # it is in `needs`
        p = predict(task.target)
        sure = p.max(1).values >= self.threshold
        classes = len(p[sure].argmax(1).unique())
        if classes == 1:
            sure = torch.zeros_like(sure)
        label = self.label(p[sure])
        again = repeated(few.rows, int(sure.sum()) if self.even else 0, generator)
        known = few.label[again]
        known = as_probabilities(known, task.classes) if label.ndim == 2 else known
        target = Labelled(torch.cat([few.rows[again], task.target[sure]]), torch.cat([known, label]))
        share = int(sure.sum()) / max(len(sure), 1)
        notes = (("pseudo-labelled share", share), ("pseudo-labelled classes", classes))
        return mixed(task, target, self.rebalance, generator, notes)

    def label(self, p: Tensor) -> Tensor:
        """What utterances of the probabilities (N, C) are labelled with."""
        return p.argmax(1)

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {"cross-entropy": weighted_cross_entropy(step.logits(), step.label, step.weight)}
