"""Hard pseudo-labels with rebalancing (Agarla et al., Expert Systems with Applications 2024; methods E).

Every W epochs each unlabelled target utterance x is labelled with c = argmax p(x) where max p(x) >= tau, and the next
W epochs minimise the cross-entropy of labelled and pseudo-labelled utterances alike. Rebalancing oversamples the
target utterances to the number of source ones, at the start (if some are labelled) and after each labelling.

Algorithm 1 of the paper EXPANDS the labelled set by each round's newly labelled utterances: an utterance that was once
sure keeps the label of that round, beside those of later ones where they differ. The default is ours: each round takes
the place of the one before, so that early mistakes do not stay.

Ours where the paper is silent: utterances below tau are left out until the next labelling; classes weigh the same
within each corpus, and source corpora the same among themselves; the weights are not reset when labels change; and if
all pseudo-labels are of the same class, which would teach nothing but that class, none is used until the next
labelling. With rebalancing, unless `even` is off, true labels of the target are repeated until they are as many as the
pseudo-labels: otherwise they have little weight, and pseudo-labels are bad where the encoder is weak
(docs/results/semi-supervised.md).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from emobridge.methods.base import (
    Examples,
    Labelled,
    Model,
    Predict,
    Task,
    as_probabilities,
    combine,
    oversample,
    weigh,
)
from emobridge.methods.source_only import SourceOnly
from emobridge.options import check_least, check_share

ROUNDS = ("replace", "expand", "once")


class Expanded(nn.Module):
    """The pseudo-labels of all rounds so far, which checkpoints keep, however many they are."""

    rows: Tensor  # (N,) int64 of the task's inputs
    label: Tensor  # (N,) int64, or (N, C) float32

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", torch.empty(0, dtype=torch.int64))
        self.register_buffer("label", torch.empty(0, dtype=torch.int64))

    def add(self, rows: Tensor, label: Tensor) -> None:
        """Put the pseudo-labels of a round beside the others; a pair that is there is not repeated."""
        if len(self.rows):
            rows, label = torch.cat([self.rows, rows]), torch.cat([self.label, label])
        if label.ndim == 1 and len(rows):
            rows, label = torch.stack([rows, label]).unique(dim=1)
        self.rows, self.label = rows, label

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        for name in ("rows", "label"):
            setattr(self, name, state_dict.get(prefix + name, getattr(self, name)).clone())


class PseudoLabels(SourceOnly):
    """`threshold` tau in [0, 1), `interval` W in epochs; the paper's values are the defaults. `rounds`: replace, each
    labelling takes the place of the one before; expand, it adds to those before, as in the paper; or once, at epoch W
    and never again. `even`: true labels of the target count as much as pseudo-labels; the paper has it off.
    """

    needs = frozenset({"source_labels", "target_audio", "emotions"})
    head = "single"
    stacks = True

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        interval: int = 30,
        rebalance: bool = True,
        even: bool = True,
        rounds: str = "replace",
    ) -> None:
        super().__init__(rebalance=rebalance)
        check_share(threshold=threshold)
        check_least(1, interval=interval)
        if rounds not in ROUNDS:
            raise ValueError(f"rounds: expected {', '.join(ROUNDS)}, got {rounds!r}")
        self.threshold, self.interval, self.rounds = threshold, interval, rounds
        self.even = even and rebalance

    def prepare(self, task: Task, model: Model) -> nn.Module | None:
        super().prepare(task, model)
        self.expanded = Expanded()
        return self.expanded if self.rounds == "expand" else None

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Examples | None:
        if not epoch:
            return super().examples(epoch, predict, generator)
        if epoch % self.interval or (self.rounds == "once" and epoch > self.interval):
            return None
        task = self.task
        true = task.labelled_target or Labelled.empty()
        assert task.target is not None  # it is in `needs`
        p = predict(task.target)
        sure = p.max(1).values >= self.threshold
        classes = len(p[sure].argmax(1).unique())
        if classes == 1:
            sure = torch.zeros_like(sure)
        rows, label = task.target[sure], self.label(p[sure])
        share = int(sure.sum()) / max(len(sure), 1)
        notes = (("pseudo-labelled share", share), ("pseudo-labelled classes", classes))
        if self.rounds == "expand":
            self.expanded.add(rows, label)
            rows, label = self.expanded.rows, self.expanded.label
        if task.solved and self.even:
            return weigh(task, Labelled(rows, label), notes)
        index = oversample(true.rows, len(rows) if self.even else 0, generator)
        true_label = true.label[index]
        if label.ndim == 2:
            true_label = as_probabilities(true_label, task.classes)
        target = Labelled(torch.cat([true.rows[index], rows]), torch.cat([true_label, label]))
        return combine(task, target, self.rebalance, generator, notes)

    def label(self, p: Tensor) -> Tensor:
        """The pseudo-labels of utterances with the probabilities p (N, C): classes (N,) or probabilities (N, C)."""
        return p.argmax(1)
