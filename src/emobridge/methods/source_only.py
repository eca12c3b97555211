"""Training on what is labelled, and on nothing else: the lower bound that every method is held against."""

from __future__ import annotations

import torch
from torch import Tensor

from emobridge.methods.base import Drawn, Model, Predict, Stage, Step, Task, mixed, nothing, weighted_cross_entropy


class SourceOnly:
    """Cross-entropy on labelled speech: the source and, within the budget, labelled target utterances.

    With all target labels it is the upper bound of Agarla et al. 2024 (methods E). `rebalance` oversamples labelled
    target utterances to the number of source ones.
    """

    name = "source-only"
    needs = frozenset({"source_labels"})
    takes = frozenset({"target_labels"})
    head = "single"
    stages: tuple[Stage, ...] = ()

    def __init__(self, *, rebalance: bool = True) -> None:
        self.rebalance = rebalance

    def prepare(self, task: Task, model: Model) -> None:
        self.task = task

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Drawn | None:
        if epoch:
            return None
        return mixed(self.task, self.task.few or nothing(), self.rebalance, generator)

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {"cross-entropy": weighted_cross_entropy(step.logits(), step.label, step.weight)}
